"""The queue: fair turns, cancelling, and a worker that nothing brings down."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sdxl_lora import generation
from sdxl_lora.errors import Cancelled, ModelUnavailableError, RequestError, StudioError
from sdxl_lora.generation import Started, StepDone
from sdxl_lora.jobs.events import ServingEvent
from sdxl_lora.jobs.front_door import open_front_door
from sdxl_lora.jobs.job import Job
from sdxl_lora.jobs.kept import Kept
from sdxl_lora.jobs.queue import JobQueue
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.jobs.store import JobStore
from sdxl_lora.jobs.task import Task
from sdxl_lora.jobs.worker import SURPRISE
from sdxl_lora.request import GenerationRequest

PREVIEW = Image.new("RGB", (8, 8))
TIMEOUT = 60.0  # seconds; only reached when something is broken


def spec(prompt: str, user: str = "a", *, count: int = 1, **more: Any) -> JobSpec:
    return JobSpec(request=GenerationRequest(prompt=prompt, count=count), user=user, **more)


class Gated:
    """A runner whose jobs go on when told to. A prompt may name what goes wrong: 'StudioError', 'surprise'."""

    def __init__(self) -> None:
        self.started: list[str] = []  # prompts, in the order of their turns
        self.gate = threading.Event()
        self.stepped = threading.Event()

    def ready(self) -> bool:
        return True

    def run(
        self, spec: JobSpec, *, cancel: threading.Event | None = None, task: Task | None = None
    ) -> Iterator[ServingEvent]:
        assert cancel is not None
        request = spec.request
        self.started.append(request.prompt)
        if request.prompt == "StudioError":
            raise ModelUnavailableError("the model is not here; fetch it")
        if request.prompt == "surprise":
            raise ZeroDivisionError("a bug")
        yield Started(request=generation.resolve(request), count=request.count)
        yield StepDone(picture=0, step=1, steps=4, eta=90.0, preview=PREVIEW)
        self.stepped.set()
        while not self.gate.wait(0.005):
            if cancel.is_set():
                raise Cancelled("cancelled")


@pytest.fixture
def runner() -> Gated:
    return Gated()


@pytest.fixture
def queue(runner: Gated, store: JobStore) -> Iterator[JobQueue]:
    queue = JobQueue(runner, store)
    yield queue
    queue.close(TIMEOUT)


@pytest.fixture
def ask(queue: JobQueue) -> Callable[..., Job]:
    def submit(prompt: str, user: str = "a", count: int = 1, **more: Any) -> Job:
        return queue.submit(spec(prompt, user, count=count, **more))

    return submit


def over(queue: JobQueue, job: Job) -> Job:
    end = queue.wait(job.id, TIMEOUT)
    assert end is not None
    assert not end.active
    return end


def test_a_job_ends_with_its_pictures_in_the_records(home: Path) -> None:
    with open_front_door(home) as door:
        end = over(door.queue, door.queue.submit(spec("a navy jacket", "tab", count=2)))
    studio = door.studio
    assert end.state == "done"
    assert end.progress == 1
    assert end.record_ids == tuple(record.id for record in reversed(studio.store.page()))
    assert all(record.session == "tab" for record in studio.store.page())


def test_a_running_job_of_the_real_studio_is_cancelled_and_the_model_goes_on_working(home: Path) -> None:
    queue = open_front_door(home).queue
    request = GenerationRequest(prompt="a navy jacket", steps=150, count=8)
    first = queue.submit(JobSpec(request=request, user="tab"))
    second = queue.submit(spec("a red coat", "tab"))
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
        dying = queue._workers[0]._thread
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


def test_only_the_latest_finished_jobs_are_remembered(
    runner: Gated, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.gate.set()
    monkeypatch.setattr("sdxl_lora.jobs.store.REMEMBERED", 3)
    for _ in range(2):  # those that are over are dropped at the start
        with JobQueue(runner, store) as queue:
            for i in range(5):
                over(queue, queue.submit(spec(f"job {i}", f"user {i}")))
    with JobQueue(runner, store) as queue:
        assert [job.request.prompt for job in queue.jobs()] == ["job 2", "job 3", "job 4"]


def test_a_session_sees_its_own_jobs_only(runner: Gated, queue: JobQueue, ask: Callable[..., Job]) -> None:
    ask("mine", "a")
    ask("yours", "b")
    assert [job.request.prompt for job in queue.jobs("a")] == ["mine"]
    assert [job.request.prompt for job in queue.jobs()] == ["mine", "yours"]


def test_jobs_from_many_threads_are_all_done_one_at_a_time(runner: Gated, queue: JobQueue) -> None:
    runner.gate.set()

    def submit_some(user: str) -> None:
        for i in range(20):
            queue.submit(spec(f"{user} {i}", user))

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


# ---------------------------------------------------------------- priorities, keys, events, what lives beside a job


def test_a_batch_waits_as_long_as_anybody_sits_and_waits(
    queue: JobQueue, runner: Gated, ask: Callable[..., Job]
) -> None:
    ask("running")
    runner.stepped.wait(TIMEOUT)
    batch = [ask(f"batch {i}", "evaluation", priority="batch") for i in range(2)]
    ask("b", "b")
    ask("a")
    assert [queue.get(job.id).position for job in batch] == [3, 4]  # type: ignore[union-attr]  # they are there
    runner.gate.set()
    over(queue, batch[-1])
    assert runner.started == ["running", "b", "a", "batch 0", "batch 1"]


def test_batches_of_several_users_take_turns_too(
    queue: JobQueue, runner: Gated, ask: Callable[..., Job]
) -> None:
    ask("running")
    runner.stepped.wait(TIMEOUT)
    last = [ask(f"a{i}", "a", priority="batch") for i in range(3)][-1]
    ask("b0", "b", priority="batch")
    runner.gate.set()
    over(queue, last)
    assert runner.started == ["running", "a0", "b0", "a1", "a2"]


def test_the_same_key_of_the_same_user_is_the_same_job(queue: JobQueue, ask: Callable[..., Job]) -> None:
    first = ask("a cap", idempotency_key="order 7")
    assert ask("a cap", idempotency_key="order 7").id == first.id
    assert ask("a cap", "b", idempotency_key="order 7").id != first.id
    assert ask("a cap").id != ask("a cap").id
    with pytest.raises(RequestError, match="stands for another job"):
        ask("a scarf", idempotency_key="order 7")


def test_the_events_of_a_job_end_with_its_end(
    queue: JobQueue, runner: Gated, ask: Callable[..., Job]
) -> None:
    job = ask("a cap")
    states = []
    for now in queue.events(job.id):
        states.append(now.state)
        if now.progress:
            runner.gate.set()
    assert states[-1] == "done"
    assert set(states) <= {"queued", "running", "done"}
    assert [now.state for now in queue.events(job.id)] == ["done"]
    assert list(queue.events("no such job")) == []


def test_previews_are_beside_the_job_and_gone_when_it_is_over(
    queue: JobQueue, runner: Gated, ask: Callable[..., Job]
) -> None:
    job = ask("a cap")
    runner.stepped.wait(TIMEOUT)
    assert queue.preview(job.id, 0) is PREVIEW
    assert queue.preview("no such job", 0) is None
    running = queue.get(job.id)
    assert running is not None
    json.dumps(running.to_dict())
    runner.gate.set()
    over(queue, job)
    assert queue.preview(job.id, 0) is None


def test_what_a_job_failed_with_can_be_raised_where_it_was_asked_for(
    queue: JobQueue, runner: Gated, ask: Callable[..., Job]
) -> None:
    runner.gate.set()
    failed = over(queue, ask("StudioError"))
    with pytest.raises(ModelUnavailableError, match="the model is not here; fetch it"):
        failed.raise_error()
    over(queue, ask("fine")).raise_error()


def test_many_workers_without_a_job_ask_the_database_once_for_all(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, claim = [], store.claim

    def counted(*args: Any, **more: Any) -> Kept | None:
        asked.append(threading.current_thread())
        return claim(*args, **more)

    monkeypatch.setattr(store, "claim", counted)
    runner = Gated()
    runner.gate.set()
    with JobQueue([runner] * 16, store, serves=True) as queue:
        time.sleep(1.2)
        assert 1 <= len(asked) <= 8  # and not 16 for each half of a second
        jobs = [queue.submit(spec(f"cap {n}")) for n in range(16)]
        assert {queue.wait(job.id, TIMEOUT).state for job in jobs} == {"done"}  # type: ignore[union-attr]
    assert sorted(runner.started) == sorted(f"cap {n}" for n in range(16))
