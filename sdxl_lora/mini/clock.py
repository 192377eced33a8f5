"""Schedules by wall-clock time instead of steps: a build that has minutes, whatever the machine manages in them."""

import math
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """A stretch of time, in seconds of `time.monotonic`."""

    start: float
    end: float

    @classmethod
    def of(cls, minutes: float) -> "Span":
        """From now on for so many minutes."""
        now = time.monotonic()
        return cls(now, now + 60 * minutes)

    @property
    def left(self) -> float:
        """Seconds until the end; negative after it."""
        return self.end - time.monotonic()

    @property
    def seconds(self) -> float:
        """From start to end."""
        return self.end - self.start

    @property
    def progress(self) -> float:
        """Share of the time that has passed, 0..1."""
        return min(1.0, max(0.0, (time.monotonic() - self.start) / max(1e-9, self.end - self.start)))

    def until(self, share: float) -> "Span":
        """From now on until `share` of the whole span has passed."""
        return Span(time.monotonic(), self.start + share * (self.end - self.start))


def warmup_hold_decay(progress: float, *, warmup: float, decay: float, floor: float = 0.02) -> float:
    """Factor on the learning rate at `progress` 0..1: linear over the first `warmup`, constant, half a cosine down to
    `floor` over the last `decay` (arXiv 2404.06395, 4.1)."""
    if progress < warmup:
        return max(0.01, progress / warmup)
    if progress < 1 - decay:
        return 1.0
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * (progress - 1 + decay) / decay))
