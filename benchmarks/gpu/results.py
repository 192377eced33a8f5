"""Parts of a run on a lent GPU: each is left out where time is short, may fail alone, and writes what it found."""

import json
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sdxl_lora.errors import StudioError

FAILURES = (StudioError, RuntimeError, ValueError, TypeError, OSError, AttributeError, ImportError, KeyError)


@dataclass(kw_only=True)
class Run:
    """One run: where its results go and how long it may take."""

    out: Path
    seconds: float
    tiny: bool  # the bundled model in the place of SDXL, a few steps: a rehearsal
    precisions: tuple[str, ...] = ("bf16", "fp16")  # of our generation
    ways: tuple[str, ...] = ("torch", "compiled")  # of our generation, see `parts.WAYS`
    variants: tuple[str, ...] = ("batch 1", "batch 4")  # of training, see `parts.TRAINING`
    began: float = field(default_factory=time.monotonic)

    @property
    def device(self) -> str:
        return "cuda" if torch.cuda.is_available() else "cpu"

    @property
    def left(self) -> float:
        """Seconds."""
        return self.seconds - (time.monotonic() - self.began)

    def say(self, part: str, **facts: Any) -> None:
        """One line of JSON on stdout and in `results.jsonl`."""
        line = json.dumps({"part": part, "at": round(time.monotonic() - self.began), **facts})
        print(line, flush=True)
        with (self.out / "results.jsonl").open("a") as file:
            file.write(line + "\n")

    def part(self, function: Callable[["Run"], None], needs: float) -> None:
        """Run one part if `needs` seconds are left; a failure is noted, with its traceback in a file."""
        name = function.__name__
        if self.left < needs:
            self.say(name, skipped=f"{self.left:.0f} s left, needs {needs:.0f}")
            return
        began = time.monotonic()
        try:
            function(self)
        except FAILURES as error:
            (self.out / f"{name}.txt").write_text(traceback.format_exc())
            self.say(name, failed=f"{type(error).__name__}: {error}"[:500])
        else:
            self.say(name, done_s=round(time.monotonic() - began, 1))


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_gb(*, reset: bool = False) -> float:
    """Most memory that tensors held on the GPU since the last reset, in GB; 0 without a GPU."""
    if not torch.cuda.is_available():
        return 0.0
    found = torch.cuda.max_memory_allocated() / 1e9
    if reset:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return round(found, 2)
