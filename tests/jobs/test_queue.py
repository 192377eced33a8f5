"""The queue: fair turns, cancelling, and a worker that nothing brings down."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from sdxl_lora.errors import Cancelled, ModelUnavailableError, StudioError
from sdxl_lora.generation import Event, Started, StepDone
from sdxl_lora.jobs.job import Job
from sdxl_lora.jobs.queue import SURPRISE, JobQueue
from sdxl_lora.jobs.studio import Recorded, Studio
from sdxl_lora.request import GenerationRequest

TIMEOUT = 60.0  # seconds; only reached when something is broken


class Gated:
    """A runner whose jobs go on when told to. A prompt may name what goes wrong: 'StudioError', 'surprise'."""

    def __init__(self) -> None:
        self.started: list[str] = []  # prompts, in the order of their turns
        self.gate = threading.Event()
        self.stepped = threading.Event()

    def run(
        self, request: GenerationRequest, *, cancel: threading.Event | None = None, session: str = ""
    ) -> Iterator[Event | Recorded]:
        assert cancel is not None
        self.started.append(request.prompt)
        if request.prompt == "StudioError":
            raise ModelUnavailableError("the model is not here; fetch it")
        if request.prompt == "surprise":
            raise ZeroDivisionError("a bug")
        yield Started(request=request, count=request.count)
        yield StepDone(picture=0, step=1, steps=4, eta=90.0, preview=None)
        self.stepped.set()
        while not self.gate.wait(0.005):
            if cancel.is_set():
                raise Cancelled("cancelled")


@pytest.fixture
def runner() -> Gated:
    return Gated()


@pytest.fixture
def queue(runner: Gated) -> Iterator[JobQueue]:
    queue = JobQueue(runner)
    yield queue
    queue.close(TIMEOUT)


@pytest.fixture
def ask(queue: JobQueue) -> Callable[..., Job]:
    def submit(prompt: str, session: str = "a", count: int = 1) -> Job:
        return queue.submit(GenerationRequest(prompt=prompt, count=count), session)

    return submit


def over(queue: JobQueue, job: Job) -> Job:
    end = queue.wait(job.id, TIMEOUT)
    assert end is not None
    assert not end.active
    return end


def test_a_job_ends_with_its_pictures_in_the_records(home: Path) -> None:
    studio = Studio(home)
    queue = JobQueue(studio)
    end = over(queue, queue.submit(GenerationRequest(prompt="a navy jacket", count=2), "tab"))
    queue.close(TIMEOUT)
    assert end.state == "done"
    assert end.progress == 1
    assert end.record_ids == tuple(record.id for record in reversed(studio.store.page()))
    assert all(record.session == "tab" for record in studio.store.page())


def test_a_running_job_of_the_real_studio_is_cancelled_and_the_model_goes_on_working(home: Path) -> None:
    queue = JobQueue(Studio(home))
    first = queue.submit(GenerationRequest(prompt="a navy jacket", steps=150, count=8), "tab")
    second = queue.submit(GenerationRequest(prompt="a red coat"), "tab")
    while (now := queue.get(first.id)) is not None and now.progress == 0:
        pass
    queue.cancel(first.id)
    assert over(queue, first).state == "cancelled"
    assert over(queue, second).state == "done"
    queue.close(TIMEOUT)


def test_sessions_take_turns_however_many_jobs_one_has_waiting(
    queue: JobQueue, runner: Gated, ask: Callable[..., Job]
) -> None:
    ask("a1")
    runner.stepped.wait(TIMEOUT)  # runs before anybody else comes
    waiting = [ask(f"a{i}") for i in range(2, 9)]
    ask("b1", "b")
    ask("b2", "b")
    ask("c1", "c")
    runner.gate.set()
    over(queue, waiting[-1])
    assert runner.started == ["a1", "b1", "c1", "a2", "b2", "a3", "a4", "a5", "a6", "a7", "a8"]


def test_a_session_that_comes_back_does_not_pay_for_what_it_had_before(
    queue: JobQueue, runner: Gated, ask: Callable[..., Job]
) -> None:
    runner.gate.set()
    for i in range(5):
        over(queue, ask(f"a{i}"))
    runner.gate.clear()
    runner.stepped.clear()
    ask("b1", "b")
    runner.stepped.wait(TIMEOUT)
    ask("b2", "b")
    last = [ask("a5"), ask("b3", "b")][1]
    runner.gate.set()
    over(queue, last)
    assert runner.started[-4:] == ["b1", "b2", "a5", "b3"]


def test_a_waiting_job_knows_how_many_are_ahead_and_how_long_that_takes(
    runner: Gated, queue: JobQueue, ask: Callable[..., Job]
) -> None:
    ask("first")
    runner.stepped.wait(TIMEOUT)
    ask("second")
    other = ask("third", "b")
    assert other.position == 1  # its turn comes before the second of the other session
    running = queue.jobs("a")[0]
    assert running.eta == pytest.approx(90, abs=5)
    assert running.progress == 0.25
    assert queue.jobs("a")[1].position == 2
    assert other.eta is None  # nothing of its kind was ever timed


def test_a_job_cancelled_while_waiting_never_starts(
    runner: Gated, queue: JobQueue, ask: Callable[..., Job]
) -> None:
    ask("first")
    doomed = ask("doomed")
    queue.cancel(doomed.id)
    assert over(queue, doomed).state == "cancelled"
    runner.gate.set()
    over(queue, ask("last"))
    assert runner.started == ["first", "last"]


def test_a_running_job_is_cancelled_and_the_next_one_runs(
    runner: Gated, queue: JobQueue, ask: Callable[..., Job]
) -> None:
    doomed, following = ask("doomed"), ask("following")
    runner.stepped.wait(TIMEOUT)
    queue.cancel(doomed.id)
    assert over(queue, doomed).state == "cancelled"
    runner.gate.set()
    assert over(queue, following).state == "done"


def test_cancelling_what_is_over_or_unknown_changes_nothing(
    runner: Gated, queue: JobQueue, ask: Callable[..., Job]
) -> None:
    runner.gate.set()
    job = ask("a")
    over(queue, job)
    queue.cancel(job.id)
    queue.cancel("no such job")
    assert over(queue, job).state == "done"
    assert queue.get("no such job") is None


def test_an_error_fails_its_job_with_one_line_and_the_next_one_runs(
    runner: Gated, queue: JobQueue, ask: Callable[..., Job]
) -> None:
    runner.gate.set()
    failed = over(queue, ask("StudioError"))
    assert (failed.state, failed.error) == ("failed", "the model is not here; fetch it")
    assert over(queue, ask("fine")).state == "done"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_fails_its_job_and_the_queue_works_on(
    runner: Gated, queue: JobQueue, ask: Callable[..., Job]
) -> None:
    runner.gate.set()
    for _ in range(3):
        dying = queue._thread
        failed = over(queue, ask("surprise"))
        dying.join(TIMEOUT)  # so that its traceback is told in this test, not in the next
        assert (failed.state, failed.error) == ("failed", SURPRISE)
    assert over(queue, ask("fine")).state == "done"


def test_a_snapshot_never_changes(runner: Gated, queue: JobQueue, ask: Callable[..., Job]) -> None:
    before = ask("a")
    runner.gate.set()
    assert over(queue, before).state == "done"
    assert before.state == "queued"
    with pytest.raises(FrozenInstanceError):
        before.state = "done"  # type: ignore[misc]


def test_only_the_latest_finished_jobs_are_remembered(runner: Gated) -> None:
    runner.gate.set()
    queue = JobQueue(runner, keep=3)
    for i in range(10):
        over(queue, queue.submit(GenerationRequest(prompt=f"job {i}"), f"session {i}"))
    assert [job.request.prompt for job in queue.jobs()] == ["job 7", "job 8", "job 9"]
    queue.close(TIMEOUT)


def test_a_session_sees_its_own_jobs_only(runner: Gated, queue: JobQueue, ask: Callable[..., Job]) -> None:
    ask("mine", "a")
    ask("yours", "b")
    assert [job.request.prompt for job in queue.jobs("a")] == ["mine"]
    assert [job.request.prompt for job in queue.jobs()] == ["mine", "yours"]


def test_jobs_from_many_threads_are_all_done_one_at_a_time(runner: Gated, queue: JobQueue) -> None:
    runner.gate.set()

    def submit_some(session: str) -> None:
        for i in range(20):
            queue.submit(GenerationRequest(prompt=f"{session} {i}"), session)

    threads = [threading.Thread(target=submit_some, args=(f"s{n}",)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(over(queue, job).state == "done" for job in queue.jobs())
    assert len(set(runner.started)) == 100


def test_closing_cancels_everything_and_takes_no_more(
    runner: Gated, queue: JobQueue, ask: Callable[..., Job]
) -> None:
    running, waiting = ask("running"), ask("waiting")
    runner.stepped.wait(TIMEOUT)
    queue.close(TIMEOUT)
    assert [over(queue, job).state for job in (running, waiting)] == ["cancelled", "cancelled"]
    with pytest.raises(StudioError, match="shutting down"):
        ask("too late")
