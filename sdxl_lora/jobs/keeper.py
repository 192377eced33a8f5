"""Keeps what a process holds, and finds what others have lost: beats, progress, cancelling from elsewhere.

A thread beside the worker, so that nothing of this takes time from drawing. Knows nothing of how pictures are made.
"""

import logging
import threading
import time

from sdxl_lora.errors import LeaseLostError, StorageError
from sdxl_lora.jobs import leases
from sdxl_lora.jobs.here import Here
from sdxl_lora.jobs.kept import Kept, progress_of
from sdxl_lora.jobs.live import Live
from sdxl_lora.jobs.spec import PRIORITIES
from sdxl_lora.jobs.store import JobStore

log = logging.getLogger(__name__)

LOOKS_EVERY = 0.2  # seconds, whether somebody cancelled the running job in another process
REPORTS_EVERY = 1.0  # seconds, to other processes
NOTHING_FOR = 0.4  # seconds that a line without a job for one worker has none for the others
SWEEPS_EVERY = 2.0  # seconds, for jobs of processes that are gone


class Keeper:
    """Does so on a thread of its own until the queue is closed."""

    def __init__(self, here: Here, store: JobStore, *, workers: int = 1) -> None:
        """`workers`: how many threads ask it for jobs."""
        self.people_wait = False  # somebody sits and waits for what the running batch is in the way of
        self._here = here
        self._store = store
        self._watch = leases.Watch()
        self._last: dict[str, float] = {}  # what is done now and then -> when it was
        self._beaten = time.monotonic()  # when it was last known that this process's beat is kept
        self._refused = ""  # what the database said last, which is logged once
        self._workers = workers
        self._claiming = threading.Lock()
        self._nothing = (-1, 0.0)  # change of the line at which no job could be had, and when that was
        self._delayed: dict[tuple[str, int], float] = {}  # (job, tries) -> first seen waiting
        self._thread = threading.Thread(target=self._keep, name="studio-keeper", daemon=True)
        self._thread.start()

    def join(self, timeout: float) -> None:
        """Waits for the thread to end."""
        self._thread.join(timeout)

    def claim(self, *, people: bool = False) -> Kept | None:
        """The job whose turn it is, now held by this process. Raises `StorageError`.

        `people`: only one for somebody who sits and waits.
        """
        with self._claiming:
            with self._here.changed:
                epoch = self._here.epoch
            if self._workers > 1 and not people:  # one of many asks for all
                last, when = self._nothing
                if last == epoch and time.monotonic() - when < NOTHING_FOR:
                    return None
            kept = self._claim(people)
            if kept is None:
                self._nothing = (epoch, time.monotonic())
            return kept

    def _claim(self, people: bool) -> Kept | None:
        here = self._here
        if (only := here.only()) is not None and not only:
            return None
        delayed, owners = self._store.before_claim(priority=0)
        least = 0 if people or self._in_the_way(owners) else len(PRIORITIES) - 1
        now = time.monotonic()
        beat = now - self._beaten >= leases.BEAT  # or the thread beside has just counted on
        ready = self._ready(delayed)
        kept = self._store.claim(here.owner, only=only, ready=ready, least=least, beat=beat)
        if kept is not None:
            if beat:
                self._beaten = now
            self.people_wait = False
        return kept

    def _ready(self, delayed: list[tuple[str, int, float]]) -> list[str]:
        """Jobs that failed and whose time has come to be tried again, by this process's own clock."""
        now = time.monotonic()
        self._delayed = {(i, tries): self._delayed.get((i, tries), now) for i, tries, _ in delayed}
        return [i for i, tries, delay in delayed if now - self._delayed[i, tries] >= delay]

    def _in_the_way(self, owners: list[str]) -> bool:
        """Whether one of these processes is another one on the same device."""
        mine = self._here.owner
        return any(leases.place_of(owner) == leases.place_of(mine) for owner in owners if owner != mine)

    def _keep(self) -> None:
        epoch = -1
        while True:
            idle = not self._here.running()
            pause = (
                (SWEEPS_EVERY if self._here.serves or self._here.holds() else None) if idle else LOOKS_EVERY
            )
            if not self._here.rest(pause, epoch):
                return
            with self._here.changed:
                epoch = self._here.epoch
            live = self._here.running()
            try:
                self._look(live)
                self._refused = ""
            except StorageError as error:
                if str(error) != self._refused:
                    log.warning("the queue cannot be kept: %s", error)
                self._refused = str(error)
                if time.monotonic() - self._beaten > leases.GIVES_UP:
                    for one in live:
                        one.stop("lost")
                time.sleep(LOOKS_EVERY)

    def _look(self, live: list[Live]) -> None:
        """What is due. Raises `StorageError`."""
        here, store = self._here, self._store
        if live:
            batch = all(one.job.spec.priority != PRIORITIES[0] for one in live)
            cancelled, waits, owners = store.news(here.owner, only=here.only(), priority=0, look=batch)
            for one in live:
                if one.job.id in cancelled:
                    one.stop("cancelled")
            if batch:
                self.people_wait = waits or self._in_the_way(owners)
        if here.holds() and self._due("beat", leases.BEAT):
            store.beat(here.owner)
            self._beaten = time.monotonic()
        if any(one.changed for one in live) and self._due("report", REPORTS_EVERY):
            for one in live:
                self._report(one)
        if (here.serves or here.holds()) and self._due("sweep", SWEEPS_EVERY):
            self._sweep()

    def _report(self, live: Live) -> None:
        """Tells other processes how far a job is."""
        with self._here.changed:
            job, useful, live.changed, live.useful = live.job, live.useful, False, False
            seconds = live.seconds_left(time.monotonic())
        if job.state == "running":
            try:
                self._store.report(job.id, self._here.owner, progress_of(job, eta=seconds), useful=useful)
            except LeaseLostError:
                live.stop("lost")

    def _sweep(self) -> None:
        """Puts jobs of processes that are gone back in line."""
        beats = self._store.holders()
        beats.pop(self._here.owner, None)
        for owner in self._watch.gone(beats):
            log.warning("a process that held jobs is gone; they go on here: %s", owner)
            self._store.free(owner, None if leases.has_ended(owner) else beats[owner])
            self._here.touch()

    def _due(self, name: str, every: float) -> bool:
        now = time.monotonic()
        if now - self._last.get(name, float("-inf")) < every:
            return False
        self._last[name] = now
        return True
