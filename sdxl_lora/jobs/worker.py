"""The worker: takes the job whose turn it is, draws it, and writes down how it ended.

One thread for one device, of which a process may have several. Nothing brings it down: what a user did wrong fails its
job, what may pass by itself is tried again, and a bug costs one job. Where the database takes no writes, ends of jobs
are kept until it does. Knows nothing of pages, or of how pictures are made.
"""

import contextlib
import logging
import sys
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import Any, Protocol, cast

from sdxl_lora.errors import (
    Cancelled,
    LeaseLostError,
    MachineLostError,
    MemoryLimitError,
    StorageError,
    StudioError,
)
from sdxl_lora.generation import StepDone
from sdxl_lora.jobs.events import Recorded, ServingEvent
from sdxl_lora.jobs.here import Here
from sdxl_lora.jobs.keeper import Keeper
from sdxl_lora.jobs.kept import progress_of
from sdxl_lora.jobs.live import Live, Paces
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.jobs.store import JobStore
from sdxl_lora.jobs.task import Decided, Task, Trained
from sdxl_lora.records import places

log = logging.getLogger(__name__)

SURPRISE = "something unexpected went wrong while making these pictures; the details are in the server's log"
BACK_OFF = (2.0, 10.0, 60.0)  # seconds until what may pass by itself is tried again
# a full disk, a locked database, another program on the device, a machine that is gone
PASSING = (StorageError, MemoryLimitError, MachineLostError)
LITTLE = 0.5  # of a picture's steps that a batch throws away, so that nobody waits for the rest of them
ANEW = 3  # times in a row that a picture of a batch is begun anew
LOOKS_EVERY = 0.5  # seconds, at what other processes ask for
_SLOWEST = 32.0  # seconds between looks at a database that cannot be used


class Runner(Protocol):
    """Makes what a spec asks for, as `attempts.BestOfNRunner` does; the task says what of it is there already."""

    def run(
        self, spec: JobSpec, *, cancel: threading.Event | None = None, task: Task = ...
    ) -> Iterator[ServingEvent]: ...

    def ready(self) -> bool:
        """Whether it can draw now; a machine of a cluster may be gone, or not be there yet. Returns at once."""


class Haltable(Protocol):
    """A runner of trainings."""

    def halted(self) -> contextlib.AbstractContextManager[None]:
        """Inside, a training that runs stands still."""


class Worker:
    """Runs jobs one at a time on a thread of its own."""

    def __init__(
        self,
        here: Here,
        store: JobStore,
        runner: Runner,
        keeper: Keeper,
        clock: Callable[[], float],
        *,
        alone: bool = True,
    ) -> None:
        """`alone`: there is no other that could draw for somebody who comes in the middle of a picture."""
        self._here = here
        self._alone = alone
        self._begun_anew: Counter[str] = Counter()  # batch -> how often a picture of it gave way to people
        self._store = store
        self._runner = runner
        self._clock = clock
        self._paces = Paces()
        self._keeper = keeper
        self._at: list[Live] = []  # what this thread has claimed; two where a training stands still for one
        self._thread = self._start()

    def stop(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds for the thread of a closed queue; whether the work has ended."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def settle(self) -> None:
        """Writes down every end that is not yet. Raises `StorageError`."""
        here = self._here
        with here.settling:  # or a job that is settled twice is taken from whoever goes on with it
            with here.changed:
                left = dict(here.unsettled)
            for job_id, values in left.items():
                with contextlib.suppress(LeaseLostError):  # another process goes on with it
                    self._store.settle(job_id, here.owner, **values)
                with here.changed:
                    here.unsettled.pop(job_id, None)
                    if values["state"] != "queued":
                        here.mine.discard(job_id)

    def _start(self) -> threading.Thread:
        thread = threading.Thread(target=self._work, name="studio-worker", daemon=True)
        thread.start()
        return thread

    def _work(self) -> None:
        """Job after job. A surprise ends this thread, and its traceback goes to the log, but not the queue:
        the job is marked as failed and the next thread takes over."""
        try:
            while (live := self._next()) is not None:
                self._run(live)
        finally:
            if sys.exception() is not None:
                for running in self._at:
                    self._end(running, state="failed", error=SURPRISE)
                self._at.clear()
                self._thread = self._start()

    def _next(self) -> Live | None:
        """Waits for the job whose turn it is; None when the queue is closed."""
        here, pause = self._here, LOOKS_EVERY
        while not here.closed:
            with here.changed:
                epoch = here.epoch
            try:
                self.settle()
                kept, pause = self._keeper.claim() if self._runner.ready() else None, LOOKS_EVERY
            except StorageError as error:
                if pause == LOOKS_EVERY:  # the first time
                    log.warning("no job can be taken: %s", error)
                kept, pause = None, min(2 * pause, _SLOWEST)
            if kept is not None:
                live = Live(job=kept.job, kept=kept, paces=self._paces)
                here.begin(live)
                return live
            asleep = not here.serves and not here.mine and not here.unsettled
            here.rest(None if asleep else pause, epoch)
        return None

    def _run(self, live: Live) -> None:
        self._at.append(live)
        self._work_at(live)
        self._at.remove(live)

    def _work_at(self, live: Live) -> None:
        try:
            whole = self._draw(live)
        except (Cancelled, LeaseLostError) as error:
            if live.why in ("closing", "lost"):
                self._end(live, state="queued")
            elif isinstance(error, LeaseLostError):
                log.warning("job %s: %s", live.job.id, error)
                self._forget(live)
            else:
                self._end(live, state="cancelled")
        except PASSING as error:
            self._try_later(live, error)
        except StudioError as error:
            self._fail(live, error)
        else:
            if not whole:
                self._end(live, state="queued", tries=0)
                return
            with self._here.changed:
                self._paces.learn(live.job, live.watch.pace())
                seconds = live.seconds_each(self._clock())
            self._end(live, state="done", **({} if seconds is None else {"seconds": seconds}))

    def _draw(self, live: Live) -> bool:
        """Draws what is missing; False where the rest has to wait for somebody who sits and waits."""
        here, kept = self._here, live.kept
        done = {}
        if kept.begun:
            done = places.finished(self._store.database, kept.job.id, user=kept.job.user)
        with here.changed:
            task = live.task(here.owner, done)
        if len(task.done) == len(kept.job.pictures):
            return True
        events = self._runner.run(kept.to_run, cancel=live.cancel, task=task)
        try:
            for event in events:
                if isinstance(event, Trained) and self._keeper.people_wait:
                    self._serve_people(live)
                if isinstance(event, Decided):
                    if event.request != kept.to_run.request:
                        self._store.decide(kept.job.id, here.owner, event.request)
                    continue
                with here.changed:
                    live.note(event, self._clock())
                    here.drawn += isinstance(event, Recorded)
                    here.changed.notify_all()
                    if self._keeper.people_wait and self._gives_way(live, event):
                        return all(picture.record_id is not None for picture in live.job.pictures)
        finally:
            if isinstance(events, Generator):
                events.close()
        return True

    def _gives_way(self, live: Live, event: ServingEvent) -> bool:
        """Whether a batch stops here for somebody who sits and waits: between two pictures, or where little is lost."""
        job = live.job
        if isinstance(event, Recorded):
            self._begun_anew.pop(job.id, None)
            return True
        if not isinstance(event, StepDone) or not self._alone or self._begun_anew[job.id] >= ANEW:
            return False
        lost = sum(one.spent + one.step for one in job.pictures if one.record_id is None)
        if lost > event.steps * LITTLE:
            return False
        self._begun_anew[job.id] += 1
        return True

    def _serve_people(self, training: Live) -> None:
        """Draws for those who sit and wait, or lets another process do so, while a training stands still."""
        here, runner = self._here, cast(Haltable, self._runner)
        with runner.halted():
            while self._keeper.people_wait and not training.cancel.is_set():
                with here.changed:
                    epoch = here.epoch
                kept = self._keeper.claim(people=True)
                if kept is None:
                    here.rest(LOOKS_EVERY, epoch)
                    continue
                live = Live(job=kept.job, kept=kept, paces=self._paces)
                here.begin(live)
                self._run(live)

    def _try_later(self, live: Live, error: StudioError) -> None:
        tries = 0 if live.drawn else live.kept.tries
        if tries >= len(BACK_OFF):
            self._fail(live, error)
            return
        log.warning("job %s waits %g s: %s", live.job.id, BACK_OFF[tries], error)
        note = f"tried again in {BACK_OFF[tries]:g} s: {error}"
        with self._here.changed:
            live.job = replace(live.job, notes=(*live.job.notes, note))
        self._end(live, state="queued", tries=tries + 1, delay=BACK_OFF[tries])

    def _fail(self, live: Live, error: StudioError) -> None:
        log.info("job %s failed: %s", live.job.id, error)  # the job says so itself, to whoever asked for it
        self._end(live, state="failed", error=str(error), error_kind=type(error).__name__)

    def _end(self, live: Live, *, state: str, **columns: Any) -> None:
        """Ends this process's turn at a job, in the database as soon as that can be written."""
        here = self._here
        shown = {name: columns[name] for name in ("error", "error_kind") if name in columns}
        with here.changed:
            job = replace(live.job, state=state, eta=None, **shown)  # type: ignore[arg-type]  # a State
            # before it is shown as over, so that nobody looks into the database for it
            here.unsettled[job.id] = {"state": state, "progress": progress_of(job), **columns}
            live.job = job
            live.previews.clear()
        try:
            self.settle()
        except StorageError as error:
            log.warning("job %s ended, which cannot be kept yet: %s", live.job.id, error)
        here.tidy()
        here.touch()

    def _forget(self, live: Live) -> None:
        with self._here.changed:
            self._here.live.pop(live.job.id, None)
        self._here.touch()
