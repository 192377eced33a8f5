"""The inputs of every step, on the training device; on a GPU the next update's are made while it computes this one's.

Made in a thread are only those that need no model: from both caches. Every number is a function of (seed, update, step,
process), so it does not matter when they are made.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import takewhile

import torch
from diffusers import DDPMScheduler
from torch import Tensor

from sdxl_lora.training.batch_sampler import MicroBatch, Update
from sdxl_lora.training.batches import Batch, BatchBuilder, StepRng
from sdxl_lora.training.loss import draw_noise, draw_timesteps
from sdxl_lora.training.setup import Setup


@dataclass(frozen=True, kw_only=True)
class StepInputs:
    """What one step of one process computes its losses from."""

    part: MicroBatch
    rng: StepRng
    batch: Batch
    noise: Tensor  # B x C x h x w, fp32
    timesteps: Tensor  # B

    def map(self, change: Callable[[Tensor], Tensor]) -> "StepInputs":
        """Every tensor changed."""
        return replace(
            self, batch=self.batch.map(change), noise=change(self.noise), timesteps=change(self.timesteps)
        )

    def tensors(self) -> list[Tensor]:
        """All of them, in a fixed order."""
        found: list[Tensor] = []

        def note(tensor: Tensor) -> Tensor:
            found.append(tensor)
            return tensor

        self.map(note)
        return found

    def pinned(self) -> "StepInputs":
        """In memory that a GPU reads by itself."""
        return self.map(Tensor.pin_memory) if torch.cuda.is_available() else self

    def to(self, device: torch.device) -> "StepInputs":
        """On `device`; nobody waits for what is pinned."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))


def of_updates(
    setup: Setup, builder: BatchBuilder, scheduler: DDPMScheduler, start: int
) -> Iterator[tuple[Update, Iterator[StepInputs]]]:
    """Updates `start` to the last, each with the inputs of its steps."""
    updates = takewhile(lambda update: update.index < setup.total, setup.sampler.updates(start))
    device = setup.accelerator.device
    if builder.device == device:
        for update in updates:
            yield update, _steps(setup, builder, scheduler, update)
        return
    with ThreadPoolExecutor(1) as thread:
        for update, made in _one_ahead(thread, setup, builder, scheduler, updates):
            yield update, (inputs.to(device) for inputs in made.result())


def _one_ahead(
    thread: ThreadPoolExecutor,
    setup: Setup,
    builder: BatchBuilder,
    scheduler: DDPMScheduler,
    updates: Iterable[Update],
) -> Iterator[tuple[Update, Future[list[StepInputs]]]]:
    waiting: tuple[Update, Future[list[StepInputs]]] | None = None
    for update in updates:
        made = thread.submit(_all_steps, setup, builder, scheduler, update)
        if waiting is not None:
            yield waiting
        waiting = (update, made)
    if waiting is not None:
        yield waiting


def _all_steps(
    setup: Setup, builder: BatchBuilder, scheduler: DDPMScheduler, update: Update
) -> list[StepInputs]:
    return [inputs.pinned() for inputs in _steps(setup, builder, scheduler, update)]


def _steps(
    setup: Setup, builder: BatchBuilder, scheduler: DDPMScheduler, update: Update
) -> Iterator[StepInputs]:
    rank = setup.accelerator.process_index
    for step, part in enumerate(update.micro_batches[rank]):
        rng = StepRng(seed=setup.seed, update=update.index, step=step, rank=rank)
        with rng.dropout(setup.config.lora_dropout, builder.device):  # of text encoders that are trained
            batch = builder.batch(part.rows, rng)
        yield StepInputs(
            part=part,
            rng=rng,
            batch=batch,
            noise=draw_noise(batch, rng, setup.config.noise_offset),
            timesteps=draw_timesteps(batch, rng, scheduler),
        )
