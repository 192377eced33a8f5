"""Where jobs stand: how many are before them, and how long that takes by what was measured. Changes nothing."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from sdxl_lora.jobs.here import Here
from sdxl_lora.jobs.job import Job
from sdxl_lora.jobs.spec import PRIORITIES
from sdxl_lora.jobs.store import JobStore

REMEMBERS = 0.25  # seconds, for a page asks once for each of its jobs


@dataclass(frozen=True)
class _Waiting:
    """Active jobs in their order, as they were at one moment."""

    epoch: int
    asked: float  # by the monotonic clock
    priority: int  # up to which
    places: dict[str, int]
    seconds: tuple[float | None, ...]  # what each needs alone; None = unknown
    at_a_time: int


class Line:
    """The line of one database, with what is known better in this process."""

    def __init__(self, store: JobStore, here: Here, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._here = here
        self._clock = clock
        self._known: _Waiting | None = None

    def placed(self, job: Job) -> Job:
        """The job with position and time left filled in as of now. Raises `StorageError`."""
        if not job.active:
            return job
        if job.state == "running":
            with self._here.changed:
                live = self._here.live.get(job.id)
                eta = job.eta if live is None else live.seconds_left(self._clock())
            return replace(job, position=0, eta=eta)
        line = self._waiting(PRIORITIES.index(job.spec.priority))
        ahead = line.places.get(job.id)
        if ahead is None:  # it has just begun
            return replace(job, eta=None)
        *before, own = line.seconds[: ahead + 1]
        if own is None or None in before:
            return replace(job, position=ahead, eta=None)
        return replace(job, position=ahead, eta=sum(filter(None, before)) / line.at_a_time + own)

    def _waiting(self, priority: int) -> _Waiting:
        """The line up to a priority."""
        here, known = self._here, self._known
        with here.changed:
            epoch = here.epoch
        of_now = known is not None and known.epoch == epoch and time.monotonic() - known.asked < REMEMBERS
        if known is not None and of_now and known.priority >= priority:
            return known
        waiting = self._store.line(priority)
        each = {work: self._store.seconds_of(work) for work in {one.work for one in waiting}}
        needs: list[float | None] = []
        for one in waiting:
            seconds = each[one.work]
            alone = None if seconds is None else seconds * one.pictures
            with here.changed:
                live = here.live.get(one.id)
                if one.state == "running" and live is not None:
                    alone = live.seconds_left(self._clock())
            needs.append(alone)
        self._known = _Waiting(
            epoch,
            time.monotonic(),
            priority,
            {one.id: place for place, one in enumerate(waiting)},
            tuple(needs),
            max(1, sum(one.state == "running" for one in waiting)),
        )
        return self._known
