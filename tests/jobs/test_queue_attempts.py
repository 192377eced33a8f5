"""Jobs that try several times: how far they are, and how long they take at most."""

import threading
from collections.abc import Iterator

import pytest

from sdxl_lora import generation
from sdxl_lora.errors import Cancelled
from sdxl_lora.generation import Started, StepDone
from sdxl_lora.jobs.events import ServingEvent
from sdxl_lora.jobs.job import Job
from sdxl_lora.jobs.queue import JobQueue
from sdxl_lora.jobs.spec import Effort, JobSpec
from sdxl_lora.jobs.store import JobStore
from sdxl_lora.jobs.task import Task
from sdxl_lora.request import GenerationRequest
from sdxl_lora.search import Attempt, Begun

BEGUN = Begun(steps=20, attempts=2)  # two attempts at each picture
TIMEOUT = 60.0  # seconds; only reached when something is broken
REQUEST = GenerationRequest(prompt="a cap", seed=1, count=2, model="mini")
SPEC = JobSpec(request=REQUEST, effort=Effort(level="draft"), user="tab")


def step(number: int) -> StepDone:
    return StepDone(picture=0, step=number, steps=10, eta=0.0, preview=None)


def attempt(number: int) -> Attempt:
    return Attempt(
        number=number,
        request=generation.resolve(REQUEST).for_picture(0),
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
    """Each event is told when the test asks for it, at the moment of the clock that the test says."""

    def __init__(self, *events: ServingEvent) -> None:
        self._events = events
        self.go, self.done = threading.Semaphore(0), threading.Semaphore(0)
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def ready(self) -> bool:
        return True

    def run(
        self, spec: JobSpec, *, cancel: threading.Event | None = None, task: Task | None = None
    ) -> Iterator[ServingEvent]:
        assert spec == SPEC
        for event in self._events:
            self._wait(cancel)
            yield event
            self.done.release()
        self._wait(cancel)

    def _wait(self, cancel: threading.Event | None) -> None:
        while not self.go.acquire(timeout=0.005):
            if cancel is not None and cancel.is_set():
                raise Cancelled("cancelled")

    def next(self, queue: JobQueue, job: Job, after: float = 0.0) -> Job:
        """The job right after its next event, so many seconds later."""
        self.now += after
        self.go.release()
        assert self.done.acquire(timeout=TIMEOUT)
        found = queue.get(job.id)
        assert found is not None
        return found


@pytest.fixture
def started() -> Started:
    return Started(request=generation.resolve(REQUEST), count=1)


def test_progress_counts_attempts_and_never_goes_back(started: Started, store: JobStore) -> None:
    runner = Stepping(BEGUN, started, step(5), attempt(1), step(5))
    with JobQueue(runner, store) as queue:
        job = queue.submit(SPEC)
        seen = [runner.next(queue, job) for _ in range(5)]
    # half of the first of two attempts at the first of two pictures, all of it, half of the second
    assert [one.progress for one in seen] == pytest.approx([0, 0, 1 / 8, 1 / 4, 3 / 8])


def test_time_left_is_what_all_attempts_would_take_with_all_that_is_not_denoising(
    started: Started, store: JobStore
) -> None:
    steps = [step(number) for number in range(1, 11)]
    runner = Stepping(BEGUN, started, *steps, attempt(1), started, *steps)
    with JobQueue(runner, store, clock=runner.clock) as queue:
        job = queue.submit(SPEC)
        for seconds in (0, 0, *[2] * 10):  # 20 s of denoising; nothing is known of what comes after it
            assert runner.next(queue, job, after=seconds).eta is None
        found = runner.next(queue, job, after=5)  # decoded and judged
        assert found.eta == pytest.approx(25 + 2 * 25)  # one more attempt, and two at the other picture
        left = [runner.next(queue, job, after=seconds).eta for seconds in (0, *[2] * 10)]
        assert left == pytest.approx([75 - 2 * number for number in range(11)])
        runner.now += 100  # decoding takes longer than it ever did: nothing is promised any more
        late = queue.get(job.id)
        assert late is not None
        assert late.eta is None


def test_what_was_measured_helps_the_next_job_of_the_size(started: Started, store: JobStore) -> None:
    events: list[ServingEvent] = [BEGUN, started, *[step(number) for number in range(1, 11)], attempt(1)]
    runner = Stepping(*events)
    with JobQueue(runner, store, clock=runner.clock) as queue:
        first = queue.submit(SPEC)
        for seconds in (0, 0, *[2] * 10, 5):
            runner.next(queue, first, after=seconds)
        runner.go.release()
        queue.wait(first.id, TIMEOUT)
        second = queue.submit(SPEC)
        seen = [runner.next(queue, second, after=seconds).eta for seconds in (0, 0, 2)]
    assert seen[1:] == pytest.approx([100, 98])  # two pictures of two attempts


def test_a_cancelled_job_keeps_its_attempts_to_choose_from(started: Started, store: JobStore) -> None:
    runner = Stepping(started, attempt(1))
    with JobQueue(runner, store) as queue:
        job = queue.submit(SPEC)
        for _ in range(2):
            runner.next(queue, job)
        queue.cancel(job.id)
        end = queue.wait(job.id, TIMEOUT)
        assert end is not None
        assert (end.state, [one.number for one in end.pictures[0].attempts]) == ("cancelled", [1])
        assert [one.number for one in queue.attempts(job.id)] == [1]
