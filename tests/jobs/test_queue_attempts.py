"""Jobs that try several times: how far they are, and how long they take at most."""

import threading
from collections.abc import Iterator

import pytest

from sdxl_lora.errors import Cancelled
from sdxl_lora.generation import Event, Started, StepDone
from sdxl_lora.jobs.job import Job
from sdxl_lora.jobs.queue import JobQueue
from sdxl_lora.jobs.studio import Recorded
from sdxl_lora.request import GenerationRequest
from sdxl_lora.search import Attempt, Begun, Finished

BEGUN = Begun(steps=20, attempts=2)  # two attempts at each picture
TIMEOUT = 60.0  # seconds; only reached when something is broken
REQUEST = GenerationRequest(prompt="a cap", seed=1, count=2)


def attempt(number: int) -> Attempt:
    return Attempt(
        number=number,
        request=REQUEST.for_picture(0),
        image=None,
        judgement=None,
        accepted=False,
        best=False,
        change="",
        kept=False,
        verdict="",
        steps=10,
        seconds=20.0,
    )


class Stepping:
    """Each event is told when the test asks for it; an attempt takes 20 s and has 10 steps."""

    def __init__(self, *events: Begun | Event | Attempt) -> None:
        self._events = events
        self.go, self.done = threading.Semaphore(0), threading.Semaphore(0)

    def run(
        self,
        request: GenerationRequest,
        *,
        cancel: threading.Event | None = None,
        session: str = "",
        level: str = "",
    ) -> Iterator[Begun | Event | Attempt | Finished | Recorded]:
        assert level == "draft"
        for event in self._events:
            self._wait(cancel)
            yield event
            self.done.release()
        self._wait(cancel)

    def _wait(self, cancel: threading.Event | None) -> None:
        while not self.go.acquire(timeout=0.005):
            if cancel is not None and cancel.is_set():
                raise Cancelled("cancelled")

    def next(self, queue: JobQueue, job: Job) -> Job:
        """The job right after its next event."""
        self.go.release()
        assert self.done.acquire(timeout=TIMEOUT)
        found = queue.get(job.id)
        assert found is not None
        return found


def test_progress_counts_attempts_and_never_goes_back() -> None:
    step = StepDone(picture=0, step=5, steps=10, eta=10.0, preview=None)
    runner = Stepping(BEGUN, Started(request=REQUEST, count=1), step, attempt(1), step)
    queue = JobQueue(runner)
    job = queue.submit(REQUEST, "tab", level="draft")
    seen = [runner.next(queue, job) for _ in range(5)]
    # half of the first of two attempts at the first of two pictures, all of it, half of the second
    assert [one.progress for one in seen] == pytest.approx([0, 0, 1 / 8, 1 / 4, 3 / 8])
    queue.close(TIMEOUT)


def test_time_left_is_what_all_attempts_would_take() -> None:
    step = StepDone(picture=0, step=5, steps=10, eta=10.0, preview=None)
    runner = Stepping(BEGUN, Started(request=REQUEST, count=1), step, attempt(1), step)
    queue = JobQueue(runner)
    job = queue.submit(REQUEST, "tab", level="draft")
    for _ in range(5):
        found = runner.next(queue, job)
    # 10 s of the second attempt, and two more of 20 s at the second picture
    assert found.eta == pytest.approx(50, abs=2)
    queue.close(TIMEOUT)


def test_a_cancelled_job_keeps_its_attempts_to_choose_from() -> None:
    runner = Stepping(Started(request=REQUEST, count=1), attempt(1))
    queue = JobQueue(runner)
    job = queue.submit(REQUEST, "tab", level="draft")
    for _ in range(2):
        runner.next(queue, job)
    queue.cancel(job.id)
    end = queue.wait(job.id, TIMEOUT)
    assert end is not None
    assert (end.state, [one.number for one in end.attempts]) == ("cancelled", [1])
    queue.close(TIMEOUT)
