"""Jobs as an asynchronous program sees them: whenever they change, until they are over or nobody waits any more.

Only the latest state counts, so that a slow reader is never behind.
"""

import asyncio
import contextlib
import logging
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import replace
from types import FrameType
from typing import Final

from sdxl_lora.api.problems import Problem
from sdxl_lora.errors import StorageError
from sdxl_lora.jobs.job import Job
from sdxl_lora.jobs.queue import JobQueue

log = logging.getLogger(__name__)

_EVERY: Final = 0.1  # seconds between two looks
_AFTER_ERROR: Final = 1.0  # seconds
_LINGERS: Final = 10.0  # seconds without anybody


class Closing:
    """Whether the process is on its way out: whoever waits stops waiting, or the server would wait for them."""

    def __init__(self) -> None:
        self._waiting: set[Callable[[], None]] = set()
        self.begun = False

    def begin(self) -> None:
        """From a signal or the end of the application; wakes everybody who waits."""
        self.begun = True
        for wake in tuple(self._waiting):
            wake()

    @contextlib.contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """Calls `wake`, which any thread may call, when the end begins."""
        self._waiting.add(wake)
        try:
            yield
        finally:
            self._waiting.discard(wake)

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Begins at SIGINT and SIGTERM, before what the server does about them; only in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def heard(number: int, frame: FrameType | None) -> None:
            self.begin()
            earlier = before[signal.Signals(number)]
            if callable(earlier):
                earlier(number, frame)

        for number, earlier in before.items():
            if callable(earlier):  # else the process ends without us
                signal.signal(number, heard)
        try:
            yield
        finally:
            for number, earlier in before.items():
                if callable(earlier):
                    signal.signal(number, earlier)


class Watch:
    """Looks after all jobs that anybody follows, in one thread and with one look at the database at a time.

    A thread for each, as `JobQueue.events` has it, takes the interpreter from the drawing once there are fifty.
    """

    def __init__(self, queue: Callable[[], JobQueue], closing: Closing) -> None:
        self._queue = queue
        self._closing = closing
        self._changed = threading.Condition()
        self._followed: set[_Followed] = set()
        self._thread: threading.Thread | None = None

    async def states(self, job_id: str, *, idle: float | None = None) -> AsyncGenerator[Job | None]:
        """The job whenever it has changed, the last state always; nothing where it is unknown.

        Args:
            idle: after so many seconds without a change None is yielded; None = never.

        Raises `Problem` 503 when the process ends before the job.
        """
        followed = _Followed(job_id, asyncio.get_running_loop())
        self._begin(followed)
        with self._closing.waking(followed.wake):
            try:
                while True:
                    try:
                        await asyncio.wait_for(followed.woken.wait(), idle)
                    except TimeoutError:
                        yield None
                        continue
                    followed.woken.clear()
                    ended, job = followed.ended, followed.take()
                    if job is not None:
                        yield job
                    if ended or (job is not None and not job.active):
                        return
                    if self._closing.begun:
                        raise Problem(
                            503, "the studio is shutting down; ask again in a moment", code="closing"
                        )
            finally:
                with self._changed:
                    self._followed.discard(followed)

    async def last_state(self, job_id: str) -> Job:
        """The job when it is over. Raises `Problem`."""
        job: Job | None = None
        async for state in self.states(job_id):
            job = state or job
        if job is None:
            raise Problem(404, f"there is no job {job_id[:60]!r}", code="not_found")
        return job

    def _begin(self, followed: "_Followed") -> None:
        with self._changed:
            self._followed.add(followed)
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="api-watch", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _look(self) -> None:
        """Ends when nobody follows anything for a while; a surprise ends it, too, and whoever follows is told."""
        try:
            while followed := self._awaited():
                self._tell(followed)
        finally:
            if sys.exception() is not None:
                with self._changed:
                    self._thread = None
                    left = tuple(self._followed)
                for one in left:
                    one.tell(None)

    def _awaited(self) -> tuple["_Followed", ...]:
        """Who follows anything, once somebody does; nobody, where that took too long."""
        with self._changed:
            self._changed.wait_for(lambda: self._followed, _LINGERS)
            if not self._followed:
                self._thread = None  # whoever comes from now on starts another
            return tuple(self._followed)

    def _tell(self, followed: tuple["_Followed", ...]) -> None:
        try:
            jobs = {job.id: job for job in self._queue().look([one.job_id for one in followed])}
        except StorageError as error:  # the disk is busy; it is looked at again
            log.warning("jobs could not be looked at: %s", error)
            time.sleep(_AFTER_ERROR)
            return
        for one in followed:
            one.tell(jobs.get(one.job_id))
        with self._changed:
            self._changed.wait_for(lambda: self._followed - set(followed), _EVERY)


class _Followed:
    """A job that one request follows; told by the thread, taken by the event loop."""

    def __init__(self, job_id: str, loop: asyncio.AbstractEventLoop) -> None:
        self.job_id = job_id
        self.woken = asyncio.Event()
        self.ended = False  # nothing follows
        self._loop = loop
        self._told: Job | None = None  # without the time left, which changes always
        self._latest: deque[Job] = deque(maxlen=1)

    def tell(self, job: Job | None) -> None:
        """What was seen; None: there is no such job."""
        if self.ended:
            return
        self.ended = job is None or not job.active
        if job is not None:
            plain = replace(job, eta=None)
            if plain == self._told:
                return
            self._told = plain
            self._latest.append(job)
        self.wake()

    def take(self) -> Job | None:
        """The latest state that was not taken yet."""
        return self._latest.pop() if self._latest else None

    def wake(self) -> None:
        """From any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self.woken.set)
