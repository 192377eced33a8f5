"""Which process holds a job, and whether it still lives.

A process that holds jobs counts on in the database (`records.tables.WorkerRow`) every few seconds. Others watch the
number, each by its own clock that never goes back: a number that has not moved for `LEASE` seconds is that of a process
that is gone, or hangs. No moment of one clock is ever compared with another's, so that a wall clock set forward takes
no job from anybody, and one set back strands none. On the same machine a process that has ended is known at once.
"""

import os
import secrets
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

LEASE = 30.0  # seconds without a beat until others take a job over
GIVES_UP = 20.0  # seconds without a beat kept until its holder stops working at it, well before others begin
BEAT = 2.0  # seconds

_PROCESSES = Path("/proc")


def new_owner(device: str) -> str:
    """A name for whoever works on `device` in this process: "machine|device|process|random"."""
    return "|".join((_machine(), device, _process(os.getpid()), secrets.token_hex(4)))


def place_of(owner: str) -> str:
    """Machine and device: who is at the same place is in each other's way."""
    return owner.rpartition("|")[0].rpartition("|")[0]


def has_ended(owner: str) -> bool:
    """Whether it is known that the process has ended; False where it runs, or on another machine."""
    machine, _, process = owner.rpartition("|")[0].split("|", 2) if owner.count("|") == 3 else ("", "", "")
    if not process or machine != _machine() or not _PROCESSES.is_dir():
        return False
    return _process(int(process.partition(".")[0])) != process


class Watch:
    """Remembers when each process was last seen to count on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[int, float]] = {}  # owner -> beat, and since when

    def gone(self, beats: dict[str, int]) -> list[str]:
        """Those that have ended or stand still, of processes that hold something and their beats."""
        now = self._clock()
        self._seen = {
            owner: known if (known := self._seen.get(owner)) is not None and known[0] == beat else (beat, now)
            for owner, beat in beats.items()
        }
        return [o for o, (_, since) in self._seen.items() if has_ended(o) or now - since >= LEASE]


@cache
def _machine() -> str:
    """The same for processes that see each other's numbers, until the next start of the machine."""
    try:
        boot = (_PROCESSES / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}.{(_PROCESSES / 'self/ns/pid').readlink().name}"
    except OSError:  # no Linux: only beats tell
        return secrets.token_hex(8)


def _process(number: int) -> str:
    """Number and start of a process, since numbers are used again; "" where there is none of that number."""
    try:
        said = (_PROCESSES / str(number) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "" if _PROCESSES.is_dir() else str(number)
    state, *rest = said.rpartition(")")[2].split()
    return "" if state in "ZX" else f"{number}.{rest[18]}"  # field 22: start, in ticks since the machine's
