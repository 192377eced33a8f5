"""The front door: every picture is asked for here, by pages, command line and comparisons alike.

Fair turns between users, cancel at any time. Interactive jobs come before batches, and a batch makes room for them
between two of its pictures. Among jobs of one priority the order is start-time fair queueing (Goyal, Vin and Cheng,
"Start-time fair queuing", SIGCOMM 1996) with jobs as packets of equal length: a user's n-th waiting job is in round n,
and a newcomer joins the round in progress. A user with eight jobs waiting therefore delays another by at most the job
that is running and one job per other user.

Jobs are in the database (`store`): they outlive the process, and several processes work at one line. What is told of a
job (`Job`) is JSON; what only lives while it is drawn (previews, the pictures of its attempts) stands beside it in the
process that draws it. Knows nothing of models or pages.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

from PIL import Image

from sdxl_lora.errors import StorageError, StudioError
from sdxl_lora.jobs import leases
from sdxl_lora.jobs.here import Here
from sdxl_lora.jobs.job import Job
from sdxl_lora.jobs.keeper import Keeper
from sdxl_lora.jobs.kept import Kept
from sdxl_lora.jobs.line import Line
from sdxl_lora.jobs.spec import JobSpec, Kind
from sdxl_lora.jobs.store import JobStore
from sdxl_lora.jobs.worker import Runner, Worker
from sdxl_lora.search import Attempt

SHOWN = 200  # of the jobs that are over
LOOKS_EVERY = 0.25  # seconds, at the jobs of other processes


class JobQueue:
    """Runs jobs, each runner one at a time; every method may be called from any thread.

    All raise `StorageError` where the database cannot be used.
    """

    def __init__(
        self,
        runners: Runner | Sequence[Runner],
        store: JobStore,
        *,
        serves: bool = False,
        device: str = "cpu",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        runners: one for each device that this process draws on.
        serves: it also works at what other processes asked for, or left behind, and its own jobs outlive it;
            otherwise they are nobody else's while it lives, and closing cancels them.
        device: what it draws on; a batch makes room for people in other processes on the same one.
        clock: seconds that never go back, by which estimates are made.
        """
        self._store = store
        self._here = Here(owner=leases.new_owner(device), serves=serves)
        self._pinned = "" if serves else self._here.owner
        self._line = Line(store, self._here, clock)
        store.forget_old()
        each = runners if isinstance(runners, Sequence) else [runners]
        self._keeper = Keeper(self._here, store, workers=len(each))
        self._workers = [
            Worker(self._here, store, runner, self._keeper, clock, alone=len(each) == 1) for runner in each
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------------ asking

    def submit(self, spec: JobSpec) -> Job:
        """Puts a job in line and returns at once; with an idempotency key that was seen, the job it made.

        Raises `RequestError` where the key stood for another spec, `StudioError` once the queue is closed.
        """
        return self.submit_all([spec])[0]

    def submit_all(self, specs: Sequence[JobSpec]) -> list[Job]:
        """Puts jobs in line, all or none. Raises as `submit`."""
        if self._here.closed:
            raise StudioError("the studio is shutting down; start it again to make pictures")
        ids = self._store.submit(specs, pinned=self._pinned)
        found = {kept.job.id: kept for kept in map(self._store.get, ids) if kept is not None}
        self._enter(*(job_id for job_id in ids if job_id in found and found[job_id].job.active))
        return [self._line.placed(self._overlaid(found[job_id])) for job_id in ids]

    def retry(self, job_id: str) -> None:
        """Puts a failed or cancelled job back in line; its finished pictures stay.

        Raises `NotFoundError`, `StorageError`, and `RequestError` for a job that is neither.
        """
        self._workers[0].settle()  # an end that can be seen may not be written down yet
        self._store.retry(job_id, pinned=self._pinned)
        self._enter(job_id)

    def cancel(self, job_id: str) -> None:
        """Takes a waiting job out of the line, or stops a running one within one denoising step, in any process.

        Pictures that are finished stay. Cancelling a job that is over, or unknown, does nothing.
        """
        with self._here.changed:
            live = self._here.live.get(job_id)
            if live is not None and live.job.state == "running":
                live.stop("cancelled")
                return
        self._store.cancel(job_id)
        self._here.touch()

    def _enter(self, *ids: str) -> None:
        with self._here.changed:
            self._here.mine.update(ids)
        self._here.touch()

    # ------------------------------------------------------------------ looking

    def get(self, job_id: str) -> Job | None:
        """The job as it is now; None when it was never here, or long ago."""
        found = self._now(job_id)
        return None if found is None else self._line.placed(found)

    def jobs(self, user: str | None = None, *, kind: Kind | None = "pictures") -> list[Job]:
        """Jobs of `user` (None = everybody's), oldest first: all that are active, and the latest of the others.

        `kind`: only those that make this; None = all.
        """
        found = self._store.find(user, limit=SHOWN, kind=kind)
        return [self._line.placed(self._overlaid(kept)) for kept in found]

    def look(self, ids: Sequence[str]) -> list[Job]:
        """Those of these jobs that there are, as they are now, in one look at the database, for who follows many."""
        return [self._line.placed(self._overlaid(kept)) for kept in self._store.those(ids)]

    def asked(self, user: str, keys: Sequence[str]) -> dict[str, Job]:
        """Idempotency key -> the job that `user` asked for by it, as it is now, of those that there are."""
        ids = self._store.asked(user, keys)
        jobs = {job.id: job for job in self.look(list(ids.values()))}
        return {key: jobs[job_id] for key, job_id in ids.items() if job_id in jobs}

    def counts(self) -> dict[str, int]:
        """State -> how many jobs of everybody are in it."""
        return self._store.counts()

    def events(self, job_id: str) -> Iterator[Job]:
        """The job whenever it has changed, until it is over; states between may be left out, the last never is.

        Nothing where the job is unknown.
        """
        seen: Job | None = None
        while seen is None or seen.active:
            now = self._awaited(job_id, None, lambda found, seen=seen: found is None or found != seen)  # type: ignore[misc]
            if now is None:
                return
            seen = now
            yield self._line.placed(now)

    def wait(self, job_id: str, timeout: float | None = None) -> Job | None:
        """Blocks until the job is over or `timeout` seconds have passed; then as `get`."""
        found = self._awaited(job_id, timeout, lambda found: found is None or not found.active)
        return None if found is None else self._line.placed(found)

    def busy(self) -> bool:
        """Whether any job waits or runs, in any process."""
        return self._store.busy()

    @property
    def at_a_time(self) -> int:
        """Jobs that this process can work at together: one for each of its runners."""
        return len(self._workers)

    @property
    def drawn(self) -> int:
        """Pictures that this process has made."""
        return self._here.drawn

    def preview(self, job_id: str, index: int) -> Image.Image | None:
        """The latest look at an unfinished picture; None where there is none, or another process draws it."""
        with self._here.changed:
            live = self._here.live.get(job_id)
            return None if live is None else live.previews.get(index)

    def attempts(self, job_id: str) -> tuple[Attempt, ...]:
        """All attempts of a search so far, of all its pictures; only jobs of late keep their pictures.

        Nothing where another process drew it; what became of each is in the job itself.
        """
        with self._here.changed:
            live = self._here.live.get(job_id)
            return () if live is None else tuple(live.made)

    def _now(self, job_id: str) -> Job | None:
        if (known := self._here.known(job_id)) is not None:
            return known
        kept = self._store.get(job_id)
        return None if kept is None else self._overlaid(kept)

    def _overlaid(self, kept: Kept) -> Job:
        """What the database says, or what is known better here."""
        return self._here.known(kept.job.id) or kept.job

    def _awaited(self, job_id: str, timeout: float | None, ready: Callable[[Job | None], bool]) -> Job | None:
        """The job once it is `ready`, or as it is when the time is up; the database is asked now and then only."""
        ends = None if timeout is None else time.monotonic() + timeout
        here = self._here
        while True:
            with here.changed:
                epoch = here.epoch
            found = self._now(job_id)
            left = None if ends is None else ends - time.monotonic()
            if ready(found) or (left is not None and left <= 0):
                return found

            def news(epoch: int = epoch, found: Job | None = found) -> bool:
                live = here.live.get(job_id)
                running = live is not None and live.job.state == "running"
                return here.epoch != epoch or (running and live is not None and live.job is not found)

            with here.changed:
                here.changed.wait_for(news, LOOKS_EVERY if left is None else min(left, LOOKS_EVERY))

    # ------------------------------------------------------------------ the end

    def close(self, timeout: float = 10.0) -> None:
        """Ends the work and waits up to `timeout` seconds for it: what is left is cancelled, or, where this queue
        serves, left to whoever comes next."""
        here = self._here
        with here.changed:
            first, here.closed = not here.closed, True
            here.end_work()
        here.touch()
        ends = time.monotonic() + timeout
        ended = all(worker.stop(max(0.0, ends - time.monotonic())) for worker in self._workers)
        self._keeper.join(timeout)
        if not first:
            return
        with contextlib.suppress(StorageError):  # whoever comes next finds out by the lease
            self._workers[0].settle()
            if not here.serves:
                for job_id in sorted(here.mine):
                    self._store.cancel(job_id)
            if ended:
                self._store.leave(here.owner)
        here.touch()
