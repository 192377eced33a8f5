"""A queue in front of one `Studio`: one worker thread, fair turns between sessions, cancel at any time.

Turns are taken job by job, never in the middle of one: jobs may use different models or LoRAs, and changing
those costs more than a picture. Order is start-time fair queueing (Goyal, Vin and Cheng, "Start-time fair
queuing", SIGCOMM 1996) with jobs as packets of equal length: a session's n-th waiting job is in round n, and
a newcomer joins the round in progress. A session with eight jobs waiting therefore delays another by at most
the job that is running and one job per other session.

Knows nothing of models or pages. Nothing here survives the process; finished pictures are in the records.
"""

import logging
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

from sdxl_lora.errors import Cancelled, StudioError
from sdxl_lora.generation import Event, Started, StepDone
from sdxl_lora.jobs.job import Job, Picture
from sdxl_lora.jobs.studio import Recorded
from sdxl_lora.request import GenerationRequest
from sdxl_lora.search import Attempt, Begun, Finished

log = logging.getLogger(__name__)

KEEP_IMAGES = 8  # finished jobs whose attempts can still be looked at
SURPRISE = "something unexpected went wrong while making these pictures; the details are in the server's log"


class Runner(Protocol):
    """What the queue needs of a `Studio`."""

    def run(
        self,
        request: GenerationRequest,
        *,
        cancel: threading.Event | None = None,
        session: str = "",
        level: str = "",
    ) -> Iterator[Begun | Event | Attempt | Finished | Recorded]: ...


@dataclass(kw_only=True)
class _Entry:
    """A job and what its snapshots do not show. Touched only under the queue's lock."""

    job: Job
    turn: tuple[int, int]  # (round, order of submission); smallest first
    cancel: threading.Event = field(default_factory=threading.Event)
    drawing_since: float | None = (
        None  # monotonic seconds; set when the model is ready and the first picture begins
    )
    ends: float | None = (
        None  # monotonic seconds, as estimated at the latest step; with attempts: at the latest
    )
    attempt_since: float | None = None  # monotonic seconds; when the attempt in progress began
    steps: int = 0  # denoising steps of the attempts that are over
    seconds: float = 0.0  # that these took

    @property
    def kind(self) -> tuple[object, ...]:
        """Requests of one kind take about the same time per picture."""
        r = self.job.request
        return r.model, r.steps, r.width, r.height, r.precision, self.job.level


class JobQueue:
    """Runs jobs one at a time on a thread of its own; every method may be called from any thread."""

    def __init__(self, studio: Runner, *, keep: int = 200) -> None:
        """`keep`: finished jobs remembered, the latest ones; their pictures are in the records anyway."""
        self._studio = studio
        self._keep = keep
        self._changed = threading.Condition()
        self._entries: dict[str, _Entry] = {}  # oldest first
        self._round = 0  # round of the job that started last
        self._last_round: dict[str, int] = {}  # session -> round of its latest job
        self._number = 0
        self._pace: dict[tuple[object, ...], float] = {}  # kind -> seconds per picture, as last measured
        self._closed = False
        self._thread = self._start_worker()

    def submit(self, request: GenerationRequest, session: str, *, level: str = "") -> Job:
        """Puts `request` in line and returns at once; `level`: how hard to try, "" = one shot."""
        with self._changed:
            if self._closed:
                raise StudioError("the studio is shutting down; start it again to make pictures")
            turn = max(self._round, self._last_round.get(session, 0) + 1)
            self._last_round[session] = turn
            self._number += 1
            job = Job(
                id=uuid.uuid4().hex,
                session=session,
                request=request,
                submitted=time.time(),
                pictures=tuple(Picture(index=index) for index in range(request.count)),
                level=level,
            )
            self._entries[job.id] = _Entry(job=job, turn=(turn, self._number))
            self._changed.notify_all()
            return self._snapshot(self._entries[job.id])

    def get(self, job_id: str) -> Job | None:
        """The job as it is now; None when it was never here, or long ago."""
        with self._changed:
            entry = self._entries.get(job_id)
            return None if entry is None else self._snapshot(entry)

    def jobs(self, session: str | None = None) -> list[Job]:
        """Jobs of `session` (None = everybody's), oldest first."""
        with self._changed:
            return [self._snapshot(e) for e in self._entries.values() if session in (None, e.job.session)]

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
            self._round = entry.turn[0]
            entry.job = replace(entry.job, state="running")
            self._changed.notify_all()
            return entry

    def _run(self, entry: _Entry) -> None:
        job = entry.job
        try:
            hard = (
                {"level": job.level} if job.level else {}
            )  # who only makes single shots need not know levels
            for event in self._studio.run(job.request, cancel=entry.cancel, session=job.session, **hard):
                self._note(entry, event)
        except Cancelled:
            with self._changed:
                self._finish(entry, state="cancelled")
        except StudioError as error:
            log.warning("job %s failed: %s", job.id, error)
            with self._changed:
                self._finish(entry, state="failed", error=str(error))
        else:
            with self._changed:
                self._learn_pace(entry)
                self._finish(entry, state="done")

    def _note(self, entry: _Entry, event: Begun | Event | Attempt | Finished | Recorded) -> None:
        """Brings the snapshot up to date with one event."""
        with self._changed:
            now = time.monotonic()
            match event:
                case Begun():
                    pictures = tuple(replace(picture, budget=event.steps) for picture in entry.job.pictures)
                    entry.job = replace(entry.job, pictures=pictures)
                case Started():
                    entry.drawing_since = entry.drawing_since or now
                    entry.attempt_since = now
                case StepDone():
                    changes: dict[str, object] = {"step": event.step, "steps": event.steps}
                    if event.preview is not None:
                        changes["preview"] = event.preview
                    entry.job = replace(
                        entry.job.with_picture(event.picture, **changes), drawing=event.picture
                    )
                    entry.ends = now + event.eta + self._further_attempts(entry, event, now)
                case Attempt():
                    job, drawn = entry.job, entry.job.pictures[entry.job.drawing]
                    entry.steps += event.steps
                    entry.seconds += event.seconds
                    entry.job = replace(
                        job.with_picture(
                            job.drawing,
                            attempts=drawn.attempts + 1,
                            spent=drawn.spent + event.steps,
                            step=0,
                        ),
                        attempts=(*job.attempts, event),
                    )
                case Finished():
                    entry.job = replace(entry.job, note="; ".join(event.notices) or entry.job.note)
                case Recorded():
                    entry.job = entry.job.with_picture(event.index, record_id=event.record.id, preview=None)
                    unscored = f"not scored: {event.unscored}" if event.unscored else None
                    entry.job = replace(entry.job, note=unscored or event.notice or entry.job.note)
            self._changed.notify_all()

    # ------------------------------------------------------------------ under the lock

    def _active(self) -> list[str]:
        return [job_id for job_id, entry in self._entries.items() if entry.job.active]

    def _line(self) -> list[_Entry]:
        """Waiting jobs in the order they will start."""
        waiting = [entry for entry in self._entries.values() if entry.job.state == "queued"]
        return sorted(waiting, key=lambda entry: entry.turn)

    def _finish(self, entry: _Entry, **changes: object) -> None:
        entry.job = replace(entry.job, **changes)  # type: ignore[arg-type]  # names are Job's fields
        pictures = tuple(replace(picture, preview=None) for picture in entry.job.pictures)
        entry.job = replace(entry.job, pictures=pictures)
        looped = [other for other in self._entries.values() if other.job.attempts and not other.job.active]
        for other in looped[:-KEEP_IMAGES]:
            other.job = other.job.without_images()
        over = [job_id for job_id, other in self._entries.items() if not other.job.active]
        for job_id in over[: max(0, len(over) - self._keep)]:
            del self._entries[job_id]
        sessions = {other.job.session for other in self._entries.values()}
        self._last_round = {s: number for s, number in self._last_round.items() if s in sessions}
        self._changed.notify_all()

    def _learn_pace(self, entry: _Entry) -> None:
        if entry.drawing_since is not None:
            self._pace[entry.kind] = (time.monotonic() - entry.drawing_since) / entry.job.request.count

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

    def _further_attempts(self, entry: _Entry, event: StepDone, now: float) -> float:
        """Seconds of the attempts that may come after the one in progress; 0 for single shots."""
        open_pictures = [picture for picture in entry.job.pictures if picture.record_id is None]
        left = sum(picture.budget - picture.spent for picture in open_pictures) - event.steps
        if entry.steps:
            pace = entry.seconds / entry.steps
        else:
            pace = (now + event.eta - (entry.attempt_since or now)) / event.steps
        return pace * max(0, left)

    def _seconds_left(self, entry: _Entry) -> float | None:
        """Time this job alone still needs: by its own steps, else by the last of its kind, else unknown."""
        now = time.monotonic()
        if entry.ends is not None:
            return max(0.0, entry.ends - now)
        pace = self._pace.get(entry.kind)
        if pace is None:
            return None
        return max(0.0, pace * entry.job.request.count - (now - (entry.drawing_since or now)))
