"""How long jobs take: seconds of a denoising step, and of what every picture costs besides (decoding, judging).

Measured on the wall clock while a job runs, so that an estimate holds what is really waited for. Knows no threads.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """What the pictures of one kind take, in seconds."""

    step: float
    overhead: float  # of each picture or attempt, on top of its steps

    def of(self, steps: int, pictures: int) -> float:
        """Seconds for so many steps and pictures."""
        return self.step * steps + self.overhead * pictures


class Stopwatch:
    """Follows one job by the moments of its events (seconds of any clock that never goes back)."""

    def __init__(self) -> None:
        self.since: float | None = None  # when the model was ready and the first picture began
        self._mark = 0.0
        self._between, self._gaps = 0.0, 0  # time between steps of one picture, and how many such times
        self._steps, self._steps_then = 0, 0  # done; done when the last picture was over
        self._over, self._over_at = 0, 0.0

    def started(self, now: float) -> None:
        """The model is ready; the first picture or the next attempt begins."""
        self.since = now if self.since is None else self.since
        self._mark = now

    def stepped(self, now: float, *, first: bool) -> None:
        """A denoising step is done; the `first` of a picture has its preparation in it, which is no step's time."""
        if not first:
            self._between += now - self._mark
            self._gaps += 1
        self._steps += 1
        self._mark = now

    def finished(self, now: float) -> None:
        """A picture or attempt is over: decoded, judged and, if it was to be, kept."""
        self._over += 1
        self._over_at, self._steps_then = now, self._steps
        self._mark = now

    def pace(self) -> Pace | None:
        """What was measured; None before a whole picture was over."""
        if self.since is None or not self._over or not self._gaps:
            return None
        step = self._between / self._gaps
        rest = self._over_at - self.since - step * self._steps_then
        return Pace(step=step, overhead=max(0.0, rest / self._over))
