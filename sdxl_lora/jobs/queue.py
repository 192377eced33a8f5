"""The front door: every picture is asked for here, by pages, command line and comparisons alike.

One worker thread, fair turns between users, cancel at any time. Turns are taken job by job, never in the middle of
one: jobs may use different models or LoRAs, and changing those costs more than a picture. Interactive jobs come before
batches. Among jobs of one priority the order is start-time fair queueing (Goyal, Vin and Cheng, "Start-time fair
queuing", SIGCOMM 1996) with jobs as packets of equal length: a user's n-th waiting job is in round n, and a newcomer
joins the round in progress. A user with eight jobs waiting therefore delays another by at most the job that is running
and one job per other user.

What is told of a job (`Job`) is JSON; what only lives while it runs (previews, the pictures of its attempts, the way
to cancel it) is asked for beside it. Knows nothing of models or pages. Nothing here survives the process; finished
pictures are in the records.
"""

import logging
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Protocol, Self

from PIL import Image

from sdxl_lora.errors import Cancelled, RequestError, StudioError
from sdxl_lora.generation import Started, StepDone
from sdxl_lora.jobs.attempts import ServingEvent
from sdxl_lora.jobs.job import Job, Picture
from sdxl_lora.jobs.spec import PRIORITIES, JobSpec
from sdxl_lora.jobs.studio import Recorded
from sdxl_lora.jobs.timing import Pace, Stopwatch
from sdxl_lora.search import Attempt, Begun, Finished
from sdxl_lora.search.log import logged

log = logging.getLogger(__name__)

KEEP_IMAGES = 8  # finished jobs whose attempts can still be looked at
SURPRISE = "something unexpected went wrong while making these pictures; the details are in the server's log"


class Runner(Protocol):
    """Makes what a spec asks for, as `attempts.BestOfNRunner` does."""

    def run(self, spec: JobSpec, *, cancel: threading.Event | None = None) -> Iterator[ServingEvent]: ...


@dataclass(kw_only=True)
class _Entry:
    """A job and what its snapshots do not show. Touched only under the queue's lock."""

    job: Job
    turn: tuple[int, int, int]  # (priority, round, order of submission); smallest first
    cancel: threading.Event = field(default_factory=threading.Event)
    watch: Stopwatch = field(default_factory=Stopwatch)
    ends: float | None = None  # by the clock, as estimated at the latest event; of a search: at the latest
    previews: dict[int, Image.Image] = field(default_factory=dict)  # by the picture's index
    made: list[Attempt] = field(default_factory=list)  # with their pictures, while these are remembered

    @property
    def size(self) -> tuple[object, ...]:
        """Requests of one size take about the same time per step."""
        r = self.job.request
        return r.model, r.width, r.height, r.precision, r.loras

    @property
    def kind(self) -> tuple[object, ...]:
        """Requests of one kind take about the same time per picture."""
        return *self.size, self.job.request.steps, self.job.spec.effort


class JobQueue:
    """Runs jobs one at a time on a thread of its own; every method may be called from any thread."""

    def __init__(
        self, runner: Runner, *, keep: int = 200, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Args:
        keep: finished jobs remembered, the latest ones; their pictures are in the records anyway.
        clock: seconds that never go back, by which estimates are made.
        """
        self._runner = runner
        self._keep = keep
        self._clock = clock
        self._changed = threading.Condition()
        self._entries: dict[str, _Entry] = {}  # oldest first
        self._round = [0] * len(PRIORITIES)  # by priority: round of the job that started last
        self._last_round: dict[tuple[int, str], int] = {}  # (priority, user) -> round of the latest job
        self._number = 0
        self._seconds: dict[tuple[object, ...], float] = {}  # kind -> seconds per picture, as last measured
        self._paces: dict[tuple[object, ...], Pace] = {}  # size -> as last measured
        self._closed = False
        self._thread = self._start_worker()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, spec: JobSpec) -> Job:
        """Puts a job in line and returns at once; with an idempotency key that was seen, the job it made.

        Raises `RequestError` where the key stood for another spec, `StudioError` once the queue is closed.
        """
        with self._changed:
            if self._closed:
                raise StudioError("the studio is shutting down; start it again to make pictures")
            if (known := self._of_key(spec)) is not None:
                return self._snapshot(known)
            priority = PRIORITIES.index(spec.priority)
            turn = max(self._round[priority], self._last_round.get((priority, spec.user), 0) + 1)
            self._last_round[priority, spec.user] = turn
            self._number += 1
            job = Job(
                id=uuid.uuid4().hex,
                spec=spec,
                submitted=time.time(),
                pictures=tuple(Picture(index=index) for index in range(spec.request.count)),
            )
            self._entries[job.id] = _Entry(job=job, turn=(priority, turn, self._number))
            self._changed.notify_all()
            return self._snapshot(self._entries[job.id])

    def get(self, job_id: str) -> Job | None:
        """The job as it is now; None when it was never here, or long ago."""
        with self._changed:
            entry = self._entries.get(job_id)
            return None if entry is None else self._snapshot(entry)

    def jobs(self, user: str | None = None) -> list[Job]:
        """Jobs of `user` (None = everybody's), oldest first."""
        with self._changed:
            return [self._snapshot(e) for e in self._entries.values() if user in (None, e.job.user)]

    def events(self, job_id: str) -> Iterator[Job]:
        """The job whenever it has changed, until it is over; states between may be left out, the last never is.

        Nothing where the job is unknown.
        """
        seen: Job | None = None
        while seen is None or seen.active:
            with self._changed:
                entry = self._entries.get(job_id)
                if entry is None:
                    return
                self._changed.wait_for(lambda entry=entry, seen=seen: seen is None or entry.job != seen)  # type: ignore[misc]
                seen, snapshot = entry.job, self._snapshot(entry)
            yield snapshot

    def preview(self, job_id: str, index: int) -> Image.Image | None:
        """The latest look at an unfinished picture; None where there is none, or it is recorded."""
        with self._changed:
            entry = self._entries.get(job_id)
            return None if entry is None else entry.previews.get(index)

    def attempts(self, job_id: str) -> tuple[Attempt, ...]:
        """All attempts of a search so far, of all its pictures; only jobs of late keep their pictures."""
        with self._changed:
            entry = self._entries.get(job_id)
            return () if entry is None else tuple(entry.made)

    def cancel(self, job_id: str) -> None:
        """Takes a waiting job out of the line, or stops a running one within one denoising step.

        Pictures that are finished stay. Cancelling a job that is over, or unknown, does nothing.
        """
        with self._changed:
            entry = self._entries.get(job_id)
            if entry is None or not entry.job.active:
                return
            entry.cancel.set()
            if entry.job.state == "queued":
                self._finish(entry, state="cancelled")

    def wait(self, job_id: str, timeout: float | None = None) -> Job | None:
        """Blocks until the job is over or `timeout` seconds have passed; then as `get`."""
        with self._changed:
            self._changed.wait_for(lambda: job_id not in self._active(), timeout)
        return self.get(job_id)

    def close(self, timeout: float = 10.0) -> None:
        """Cancels everything and waits up to `timeout` seconds for the worker to stop."""
        with self._changed:
            self._closed = True
            for job_id in self._active():
                self.cancel(job_id)
            self._changed.notify_all()
        self._thread.join(timeout)

    # ------------------------------------------------------------------ the worker

    def _start_worker(self) -> threading.Thread:
        thread = threading.Thread(target=self._work, name="studio-worker", daemon=True)
        thread.start()
        return thread

    def _work(self) -> None:
        """Job after job. A surprise ends this thread, and its traceback goes to the log, but not the queue:
        the job is marked as failed and the next thread takes over."""
        try:
            while (entry := self._next()) is not None:
                self._run(entry)
        finally:
            if sys.exception() is not None:
                with self._changed:
                    for entry in list(self._entries.values()):
                        if entry.job.state == "running":
                            self._finish(entry, state="failed", error=SURPRISE)
                    self._thread = self._start_worker()

    def _next(self) -> _Entry | None:
        """Waits for the job whose turn it is and marks it as running; None when the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._line())
            if self._closed:
                return None
            entry = self._line()[0]
            priority, self._round[priority], _ = entry.turn
            entry.job = replace(entry.job, state="running")
            self._changed.notify_all()
            return entry

    def _run(self, entry: _Entry) -> None:
        job = entry.job
        try:
            for event in self._runner.run(job.spec, cancel=entry.cancel):
                with self._changed:
                    self._note(entry, event, self._clock())
                    self._changed.notify_all()
        except Cancelled:
            with self._changed:
                self._finish(entry, state="cancelled")
        except StudioError as error:
            log.warning("job %s failed: %s", job.id, error)
            with self._changed:
                self._finish(entry, state="failed", error=str(error), error_kind=type(error).__name__)
        else:
            with self._changed:
                self._learn(entry)
                self._finish(entry, state="done")

    # ------------------------------------------------------------------ under the lock

    def _active(self) -> list[str]:
        return [job_id for job_id, entry in self._entries.items() if entry.job.active]

    def _line(self) -> list[_Entry]:
        """Waiting jobs in the order they will start."""
        waiting = [entry for entry in self._entries.values() if entry.job.state == "queued"]
        return sorted(waiting, key=lambda entry: entry.turn)

    def _of_key(self, spec: JobSpec) -> _Entry | None:
        """The entry of the same idempotency key, if it is still remembered."""
        if not spec.idempotency_key:
            return None
        for entry in self._entries.values():
            other = entry.job.spec
            if (other.user, other.idempotency_key) == (spec.user, spec.idempotency_key):
                if other != spec:
                    raise RequestError(
                        f"the idempotency key {spec.idempotency_key[:40]!r} stands for another job; choose another"
                    )
                return entry
        return None

    def _note(self, entry: _Entry, event: ServingEvent, now: float) -> None:
        """Brings the snapshot up to date with one event."""
        job = entry.job
        match event:
            case Begun():
                pictures = (
                    replace(one, budget=event.steps, most_attempts=event.attempts) for one in job.pictures
                )
                job = replace(job, pictures=tuple(pictures))
            case Started():
                entry.watch.started(now)
                job = replace(job, notes=_with(job.notes, event.note))
            case StepDone():
                if event.preview is not None:
                    entry.previews[event.picture] = event.preview
                entry.watch.stepped(now, first=event.step == 1)
                job = replace(
                    job.with_picture(event.picture, step=event.step, steps=event.steps), drawing=event.picture
                )
            case Attempt():
                entry.made.append(event)
                entry.watch.finished(now)
                drawn = job.pictures[job.drawing]
                tried, spent = (*drawn.attempts, logged(event)), drawn.spent + event.steps
                job = job.with_picture(job.drawing, attempts=tried, spent=spent, step=0)
            case Finished():
                job = job.with_picture(job.drawing, summary=event.summary)
                job = replace(job, notes=_with(job.notes, *event.notices))
            case Recorded():
                entry.previews.pop(event.index, None)
                if not job.searches:
                    entry.watch.finished(now)
                unscored = f"not scored: {event.unscored}" if event.unscored else ""
                job = job.with_picture(event.index, record_id=event.record.id)
                job = replace(job, notes=_with(job.notes, unscored, event.notice or ""))
        entry.job = job
        left = self._seconds_of_work(entry)
        entry.ends = None if left is None else now + left

    def _finish(self, entry: _Entry, **changes: object) -> None:
        entry.job = replace(entry.job, **changes)  # type: ignore[arg-type]  # names are Job's fields
        entry.previews.clear()
        searched = [other for other in self._entries.values() if other.made and not other.job.active]
        for other in searched[:-KEEP_IMAGES]:  # pictures take much memory
            other.made = [replace(attempt, image=None) for attempt in other.made]
        over = [job_id for job_id, other in self._entries.items() if not other.job.active]
        for job_id in over[: max(0, len(over) - self._keep)]:
            del self._entries[job_id]
        users = {(other.turn[0], other.job.user) for other in self._entries.values()}
        self._last_round = {user: number for user, number in self._last_round.items() if user in users}
        self._changed.notify_all()

    def _learn(self, entry: _Entry) -> None:
        if entry.watch.since is not None:
            self._seconds[entry.kind] = (self._clock() - entry.watch.since) / entry.job.request.count
        if (pace := entry.watch.pace()) is not None:
            self._paces[entry.size] = pace

    def _snapshot(self, entry: _Entry) -> Job:
        """The job with position and time left filled in as of now."""
        if not entry.job.active:
            return entry.job
        running = [other for other in self._entries.values() if other.job.state == "running"]
        line = self._line()
        ahead = [] if entry in running else running + line[: line.index(entry)]
        times = [self._seconds_left(other) for other in [*ahead, entry]]
        eta = None if None in times else sum(t for t in times if t is not None)
        return replace(entry.job, position=len(ahead), eta=eta)

    def _seconds_of_work(self, entry: _Entry) -> float | None:
        """Seconds that the pictures still need by what was measured, of this job or of one like it; None = unknown."""
        pace = entry.watch.pace() or self._paces.get(entry.size)
        if pace is None or entry.watch.since is None:
            return None
        left = [picture for picture in entry.job.pictures if picture.record_id is None]
        usual = max(picture.steps for picture in entry.job.pictures)  # of those that have not begun
        steps = sum((one.budget or one.steps or usual) - one.spent - one.step for one in left)
        return pace.of(steps, sum(max(1, one.most_attempts - len(one.attempts)) for one in left))

    def _seconds_left(self, entry: _Entry) -> float | None:
        """Time this job alone still needs; None where it is unknown, or later than was thought."""
        if entry.job.state == "running":
            left = None if entry.ends is None else entry.ends - self._clock()
            return left if left is not None and left > 0 else None
        seconds = self._seconds.get(entry.kind)
        return None if seconds is None else seconds * entry.job.request.count


def _with(notes: tuple[str, ...], *more: str) -> tuple[str, ...]:
    """Notes and those that are new; empty ones are none."""
    return tuple(dict.fromkeys(filter(None, (*notes, *more))))
