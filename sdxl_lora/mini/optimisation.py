"""What the training stages share: learning-rate schedule, moving average, checkpoints, gradients of two processes.

Knows nothing of what is trained. Stages write one line of JSON per report to `log.jsonl` in their folder.
"""

import json
import math
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from sdxl_lora.models.precision import has_fast_bf16

REPORT_SECONDS = 20.0


def warmup_stable_decay(step: int, *, total: int, warmup: int, decay: int, floor: float = 0.03) -> float:
    """Factor on the learning rate, in [0, 1]: linear warm-up, constant, then half a cosine down to `floor`.

    Unlike a plain cosine the total can be changed when a run is resumed before its decay (arXiv 2404.06395, 4.1).
    """
    if step < warmup:
        return (step + 1) / warmup
    start = total - decay
    if step < start:
        return 1.0
    progress = min(1.0, (step - start) / max(1, decay))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


class MovingAverage:
    """Exponential moving average of a module's parameters, with a warm-up: decay = min(`decay`, (1+n)/(10+n)).

    By PyTorch's averaging function, without its `AveragedModel`: that keeps a second module, and here the averages are
    swapped in and out of the one.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.averages = [p.detach().clone() for p in module.parameters()]

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        update = get_ema_multi_avg_fn(decay)
        update(self.averages, [p.detach() for p in module.parameters()], self.updates)

    @torch.no_grad()
    def swap(self, module: nn.Module) -> None:
        """Exchange the averages and the module's parameters; a second call undoes it."""
        for average, parameter in zip(self.averages, module.parameters(), strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(kept)

    def state(self) -> dict[str, Any]:
        return {"updates": self.updates, "averages": self.averages}

    def load(self, state: dict[str, Any]) -> None:
        self.updates = state["updates"]
        for average, stored in zip(self.averages, state["averages"], strict=True):
            average.copy_(stored)


class GradientMean:
    """Averages gradients over worker processes; with one process it does nothing."""

    def __init__(self, parameters: Iterable[nn.Parameter], workers: int) -> None:
        self.parameters = list(parameters)
        self.workers = workers
        self.flat = torch.zeros(sum(p.numel() for p in self.parameters)) if workers > 1 else None

    def __call__(self) -> None:
        if self.flat is None:
            return
        gradients = [p.grad for p in self.parameters]
        torch.cat([g.reshape(-1) for g in gradients if g is not None], out=self.flat)
        torch.distributed.all_reduce(self.flat)
        self.flat.div_(self.workers)
        for gradient, mean in zip(
            gradients, self.flat.split([p.numel() for p in self.parameters]), strict=True
        ):
            if gradient is not None:
                gradient.copy_(mean.view_as(gradient))


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write atomically: a reader sees the old checkpoint or the new one, never half of one."""
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


def load_checkpoint(path: Path, device: str) -> dict[str, Any] | None:
    """The checkpoint, or None if there is none."""
    if not path.exists():
        return None
    return dict(torch.load(path, map_location=device, weights_only=True))


class Reporter:
    """Prints a line about every 20 s, and appends the same figures to `log.jsonl`."""

    def __init__(self, stage: str, folder: Path, total: int, *, quiet: bool = False) -> None:
        self.stage, self.log, self.total, self.quiet = stage, folder / "log.jsonl", total, quiet
        self.started = self.last = time.monotonic()
        self.first_step: int | None = None

    def __call__(self, step: int, *, force: bool = False, **figures: float) -> None:
        """Report figures of optimizer step `step` (from 0), if it is time."""
        now = time.monotonic()
        if self.first_step is None:
            self.first_step = step
        if self.quiet or not (force or now - self.last >= REPORT_SECONDS):
            return
        self.last = now
        done = step + 1 - self.first_step
        pace = (now - self.started) / max(1, done)
        left = pace * (self.total - step - 1)
        record = {"step": step + 1, "seconds": round(now - self.started, 1), **figures}
        with self.log.open("a") as file:
            file.write(json.dumps(record) + "\n")
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
        print(
            f"[{self.stage}] {step + 1}/{self.total}  {numbers}  {left / 60:.0f} min left",
            file=sys.stderr,
            flush=True,
        )


def prepare_process() -> None:
    """Settings every training process wants on a CPU."""
    torch.set_flush_denormal(True)  # denormals make convolutions of a young network many times slower


def autocast(device: str) -> torch.autocast:
    """bf16 arithmetic with fp32 weights; plain fp32 on processors that only emulate bf16, sixty times slower."""
    kind = torch.device(device).type
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=kind != "cpu" or has_fast_bf16())


def clip_and_step(parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer, limit: float) -> Tensor:
    """Clip the gradient norm to `limit`, step, clear; returns the norm before clipping."""
    norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm
