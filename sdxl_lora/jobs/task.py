"""One run of a job: what of it is done already, and in whose name the rest is recorded."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from sdxl_lora.records.places import Place
from sdxl_lora.request import ResolvedRequest


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What the request leaves open was decided; a later run of the job goes on with this very request."""

    request: ResolvedRequest


@dataclass(frozen=True, kw_only=True)
class Trained:
    """How far a training is; told now and then."""

    step: int  # updates made
    steps: int  # of how many; 0: not known yet
    note: str = ""  # one line worth knowing


@dataclass(frozen=True, kw_only=True)
class Task:
    """Without arguments: pictures that belong to no job, all of them."""

    job: str = ""
    owner: str = ""  # the process that holds the job
    done: frozenset[int] = frozenset()  # indexes of the pictures that are recorded

    def place(self, index: int) -> Place | None:
        """Where the picture of that index is recorded."""
        return Place(job=self.job, index=index, owner=self.owner) if self.job else None

    def left(self, count: int) -> Iterator[range]:
        """The pictures of `count` that are not done, neighbours together."""
        missing = [index for index in range(count) if index not in self.done]
        for _, run in groupby(enumerate(missing), key=lambda pair: pair[1] - pair[0]):
            indexes = [index for _, index in run]
            yield range(indexes[0], indexes[-1] + 1)
