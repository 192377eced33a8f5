"""How much one token may ask for: pictures a minute, requests at once, and a line that does not grow without end.

Who is over a limit is told when to come back (429 with `Retry-After`). Kept in memory: limits begin anew with the
process. Every method may be called from any thread.
"""

import contextlib
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

from sdxl_lora.api.problems import Problem
from sdxl_lora.api.settings import Limits


class Turnstile:
    """Counts what is asked for. The rate is a token bucket (ITU-T I.371) that a minute without requests fills."""

    def __init__(self, limits: Limits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._inside: Counter[str] = Counter()
        self._left: dict[str, tuple[float, float]] = {}  # user -> (pictures left, at that time)

    @contextlib.contextmanager
    def passing(self, user: str, pictures: int) -> Iterator[None]:
        """A request for so many pictures, while it lasts. Raises `Problem` 429."""
        self._enter(user, pictures)
        try:
            yield
        finally:
            self._leave(user)

    def spend(self, user: str, pictures: int) -> None:
        """Pictures that are asked for now and drawn whenever. Raises `Problem` 429."""
        with self._lock:
            self._take(user, pictures)

    @property
    def inside(self) -> int:
        """Requests that wait now."""
        with self._lock:
            return self._inside.total()

    def _enter(self, user: str, pictures: int) -> None:
        limits = self._limits
        with self._lock:
            if self._inside[user] >= limits.at_once:
                raise _slower(f"{limits.at_once} requests of this token are waiting already", 2.0)
            if self._inside.total() >= limits.waiting:
                raise _slower("the studio is busy", 5.0)
            self._take(user, pictures)
            self._inside[user] += 1

    def _leave(self, user: str) -> None:
        with self._lock:
            self._inside[user] -= 1
            if not self._inside[user]:
                del self._inside[user]

    def _take(self, user: str, pictures: int) -> None:
        now, most, rate = self._clock(), float(self._limits.per_minute), self._limits.per_minute / 60
        left, since = self._left.get(user, (most, now))
        left = min(most, left + (now - since) * rate)
        wanted = min(float(pictures), most)
        if left < wanted:
            raise _slower(f"{self._limits.per_minute} pictures a minute are allowed", (wanted - left) / rate)
        self._left[user] = (left - wanted, now)


def _slower(why: str, seconds: float) -> Problem:
    wait = max(1, math.ceil(seconds))
    return Problem(
        429, f"{why}; try again in {wait} s", code="rate_limit_exceeded", headers={"Retry-After": str(wait)}
    )
