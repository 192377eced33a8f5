"""Jobs as an asynchronous program sees them: whenever they change, until they are over or nobody waits any more.

The queue tells of a job to a thread that waits; here such a thread hands what it hears to the event loop. Only the
latest state counts, so that a slow reader is never behind.
"""

import asyncio
import contextlib
import signal
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from types import FrameType

from sdxl_lora.api.problems import Problem
from sdxl_lora.jobs.job import Job
from sdxl_lora.jobs.queue import JobQueue


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


async def states(
    queue: JobQueue, job_id: str, closing: Closing, *, idle: float | None = None
) -> AsyncGenerator[Job | None]:
    """The job whenever it has changed, the last state always; nothing where it is unknown.

    Args:
        idle: after so many seconds without a change None is yielded; None = never.

    Raises `Problem` 503 when the process ends before the job.
    """
    loop, woken = asyncio.get_running_loop(), asyncio.Event()
    latest: list[Job] = []
    over = threading.Event()  # nobody listens
    ended = threading.Event()  # nothing follows

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(woken.set)

    def listen() -> None:
        try:
            for job in queue.events(job_id):
                latest[:] = [job]
                wake()
                if over.is_set():
                    return
        finally:
            ended.set()
            wake()

    threading.Thread(target=listen, name=f"api-{job_id[:8]}", daemon=True).start()
    with closing.waking(wake):
        try:
            while True:
                try:
                    await asyncio.wait_for(woken.wait(), idle)
                except TimeoutError:
                    yield None
                    continue
                woken.clear()
                finished = ended.is_set()
                job = latest.pop() if latest else None
                if job is not None:
                    yield job
                if finished or (job is not None and not job.active):
                    return
                if closing.begun:
                    raise Problem(503, "the studio is shutting down; ask again in a moment", code="closing")
        finally:
            over.set()


async def last_state(queue: JobQueue, job_id: str, closing: Closing) -> Job:
    """The job when it is over. Raises `Problem`."""
    job: Job | None = None
    async for state in states(queue, job_id, closing):
        job = state or job
    if job is None:
        raise Problem(404, f"there is no job {job_id[:60]!r}", code="not_found")
    return job
