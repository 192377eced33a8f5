"""Which pictures make which update, as a pure function of (seed, epoch).

An epoch is a permutation of the data set, sorted into buckets (pictures of one batch have one size), cut
into global batches of `batch_size x world_size`, shuffled again. Every picture is used exactly once per
epoch by exactly one process; a process that has none left for a global batch gets a stand-in of weight 0,
so that all processes make the same number of steps. Knows nothing of pictures.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from sdxl_lora.training.randomness import generator


@dataclass(frozen=True, kw_only=True)
class MicroBatch:
    """What one process does in one step."""

    rows: tuple[int, ...]  # row numbers of the data set, all of one size
    weight: float  # factor of this micro-batch's mean loss so that an update is the mean over its pictures


@dataclass(frozen=True, kw_only=True)
class Update:
    """One optimizer update: `micro_batches[rank]` is what process `rank` does, step by step."""

    index: int  # from 0, over the whole run
    epoch: int  # from 0
    pictures: int  # in all processes and steps
    micro_batches: tuple[tuple[MicroBatch, ...], ...]
    last_of_epoch: bool


@dataclass(frozen=True, kw_only=True)
class BatchSampler:
    """The order of a run. `groups[row]` is the bucket of a row."""

    groups: Sequence[int]
    batch_size: int
    accumulation: int = 1
    world_size: int = 1
    seed: int = 0

    def global_batches(self, epoch: int) -> list[tuple[int, ...]]:
        """The batches of an epoch over all processes, in order. Short ones are a bucket's rest."""
        draw = generator(self.seed, "order", epoch)
        by_group: dict[int, list[int]] = {}
        for row in torch.randperm(len(self.groups), generator=draw).tolist():
            by_group.setdefault(self.groups[row], []).append(row)
        size = self.batch_size * self.world_size
        batches = [
            tuple(rows[start : start + size])
            for _, rows in sorted(by_group.items())
            for start in range(0, len(rows), size)
        ]
        return [batches[i] for i in torch.randperm(len(batches), generator=draw).tolist()]

    @property
    def updates_per_epoch(self) -> int:
        size = self.batch_size * self.world_size
        counts: dict[int, int] = {}
        for group in self.groups:
            counts[group] = counts.get(group, 0) + 1
        return math.ceil(sum(math.ceil(n / size) for n in counts.values()) / self.accumulation)

    def updates(self, start: int = 0) -> Iterator[Update]:
        """Updates `start`, `start + 1`, ... without end."""
        epoch, skip = divmod(start, self.updates_per_epoch)
        index = start
        while True:
            batches = self.global_batches(epoch)
            for position in range(skip, self.updates_per_epoch):
                first = position * self.accumulation
                yield self._update(index, epoch, position, batches[first : first + self.accumulation])
                index += 1
            epoch, skip = epoch + 1, 0

    def _update(self, index: int, epoch: int, position: int, batches: list[tuple[int, ...]]) -> Update:
        pictures = sum(map(len, batches))
        micro_batches = tuple(
            tuple(_micro_batch(batch, rank, self.world_size, pictures) for batch in batches)
            for rank in range(self.world_size)
        )
        last = position == self.updates_per_epoch - 1
        return Update(
            index=index, epoch=epoch, pictures=pictures, micro_batches=micro_batches, last_of_epoch=last
        )


def _micro_batch(batch: tuple[int, ...], rank: int, world_size: int, pictures: int) -> MicroBatch:
    """The share of `rank` in a global batch; gradients are summed over processes and steps with these
    weights.
    """
    rows = batch[rank::world_size]
    if not rows:
        return MicroBatch(rows=batch[:1], weight=0.0)
    return MicroBatch(rows=rows, weight=len(rows) / pictures)
