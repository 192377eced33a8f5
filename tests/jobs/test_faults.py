"""What goes wrong around a job: a locked, vanished or newer database, a full disk, a device without memory."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from sdxl_lora.errors import MemoryLimitError, RequestError, StorageError, StudioError
from sdxl_lora.generation import StepDone
from sdxl_lora.jobs import worker
from sdxl_lora.jobs.events import ServingEvent
from sdxl_lora.jobs.front_door import open_front_door
from sdxl_lora.jobs.job import Job
from sdxl_lora.jobs.queue import JobQueue
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.jobs.store import JobStore
from sdxl_lora.jobs.task import Task
from sdxl_lora.records import Database, layout, sqlite
from sdxl_lora.records.tables import JobRow
from tests.jobs.drawing import spec

TIMEOUT = 60.0


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.3)
    monkeypatch.setattr(worker, "BACK_OFF", (0.1, 0.1, 0.1))


class Failing:
    """Raises each of its errors once, then has nothing left to do."""

    def __init__(self, *errors: StudioError) -> None:
        self.errors = list(errors)
        self.runs = 0

    def ready(self) -> bool:
        return True

    def run(
        self, spec: JobSpec, *, cancel: threading.Event | None = None, task: Task | None = None
    ) -> Iterator[ServingEvent]:
        self.runs += 1
        if self.errors:
            raise self.errors.pop(0)
        yield from ()


def over(queue: JobQueue, job: Job) -> Job:
    end = queue.wait(job.id, TIMEOUT)
    assert end is not None
    assert not end.active
    return end


@contextlib.contextmanager
def locked(home: Path) -> Iterator[None]:
    """Another program writes into the database, and does not end."""
    path = layout.database_path(home)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    with contextlib.closing(connection) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.parametrize("error", [StorageError("the disk is full"), MemoryLimitError("out of memory")])
def test_what_may_pass_is_tried_again_a_few_times_and_said(store: JobStore, error: StudioError) -> None:
    runner = Failing(error, error)
    with JobQueue(runner, store) as queue:
        end = over(queue, queue.submit(spec("a cap", 1)))
        assert (end.state, runner.runs) == ("done", 3)
        assert f"tried again in 0.1 s: {error}" in end.notes
    runner = Failing(*[error] * 9)
    with JobQueue(runner, store) as queue:
        end = over(queue, queue.submit(spec("a cap", 1)))
        assert (end.state, end.error, runner.runs) == ("failed", str(error), 4)


def test_what_was_asked_for_wrongly_is_not_tried_again(store: JobStore) -> None:
    runner = Failing(RequestError("too large"))
    with JobQueue(runner, store) as queue:
        end = over(queue, queue.submit(spec("a cap", 1)))
        assert (end.state, end.error, runner.runs) == ("failed", "too large", 1)
        queue.retry(end.id)
        assert over(queue, end).state == "done"


def test_asking_while_another_program_keeps_the_database_locked_is_one_line(
    home: Path, store: JobStore
) -> None:
    with JobQueue(Failing(), store) as queue:
        before = queue.submit(spec("a cap", 1))
        over(queue, before)
        with locked(home):
            with pytest.raises(StorageError, match=r"another program kept it locked for 0\.3 s; close"):
                queue.submit(spec("a scarf", 1))
            assert [job.id for job in queue.jobs()] == [before.id]  # everything can be looked at
        assert over(queue, queue.submit(spec("a scarf", 1))).state == "done"


def test_a_picture_that_is_finished_while_the_database_is_locked_is_kept_in_the_end(home: Path) -> None:
    """Locked from the first step on, until the worker has met it."""
    with open_front_door(home) as door, contextlib.ExitStack() as lock:
        job = door.queue.submit(spec("a cap", 2))
        for now in door.queue.events(job.id):
            if now.state == "running":
                break
        lock.enter_context(locked(home))
        threading.Timer(1.5, lock.close).start()
        end = over(door.queue, job)
        assert (end.state, len(end.record_ids), door.studio.store.count()) == ("done", 2, 2)


def test_a_database_that_vanished_is_said_and_nothing_is_written_beside_it(home: Path) -> None:
    with open_front_door(home) as door:
        over(door.queue, door.queue.submit(spec("a cap", 1)))
        for path in home.glob("records.sqlite*"):
            path.rename(path.with_name(f"away-{path.name}"))
        with pytest.raises(StorageError, match="was moved or deleted while the program ran; put it back"):
            door.queue.submit(spec("a scarf", 1))
        assert not layout.database_path(home).exists()
    with open_front_door(home) as door:  # rebuilt from the pictures
        assert door.studio.store.count() == 1


def test_a_job_of_a_newer_version_is_left_to_it(store: JobStore) -> None:
    newer, mine = store.submit([spec("a cap", 1), spec("a scarf", 1)], pinned="")
    with store.database.writing() as session:
        row = session.scalar(sa.select(JobRow).where(JobRow.id == newer))
        assert row is not None
        row.spec = {**row.spec, "request": {**row.spec["request"], "holograms": 3}}
        row.version += 1
    with JobQueue(Failing(), store, serves=True) as queue:
        end = queue.wait(mine, TIMEOUT)
        assert end is not None
        assert end.state == "done"
        assert [job.id for job in queue.jobs()] == [mine]
    with store.database.reading() as session:
        assert session.scalar(sa.select(JobRow.state).where(JobRow.id == newer)) == "queued"


def test_an_end_that_the_database_did_not_take_is_written_as_soon_as_it_does(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle, refused = store.settle, [StorageError("the disk is full")] * 2

    def sometimes(*arguments: Any, **values: Any) -> None:
        if refused:
            raise refused.pop()
        settle(*arguments, **values)

    monkeypatch.setattr(store, "settle", sometimes)
    with JobQueue(Failing(), store) as queue:
        job = queue.submit(spec("a cap", 1))
        assert over(queue, job).state == "done"
        assert over(queue, queue.submit(spec("a scarf", 1))).state == "done"
    kept = JobStore(store.database).get(job.id)
    assert kept is not None
    assert kept.job.state == "done"


def test_a_batch_makes_room_for_people_between_two_pictures_and_goes_on(home: Path) -> None:
    with open_front_door(home) as door:
        batch = door.queue.submit(spec("a cap", 12, priority="batch"))
        for now in door.queue.events(batch.id):
            if now.record_ids:
                break
        person = over(door.queue, door.queue.submit(spec("a scarf", 1, user="tab")))
        meanwhile = door.queue.get(batch.id)
        assert meanwhile is not None
        assert meanwhile.active  # it was in the middle
        assert person.state == "done"
        end = over(door.queue, batch)
        assert len(set(end.record_ids)) == 12
        made = [door.studio.store.get(identifier).request.seed for identifier in end.record_ids]
        first = made[0]
        assert first is not None
        assert made == list(range(first, first + 12))
        assert door.studio.store.count() == 13


class Stepping:
    """Draws 10 steps of each picture and keeps none; a batch stops at a step until somebody asks."""

    def __init__(self, step: int) -> None:
        self.at, self.somebody, self.begun = step, threading.Event(), list[str]()

    def ready(self) -> bool:
        return True

    def run(
        self, spec: JobSpec, *, cancel: threading.Event | None = None, task: Task | None = None
    ) -> Iterator[ServingEvent]:
        self.begun.append(spec.priority)
        for step in range(1, 11):
            if spec.priority == "batch" and step == self.at:
                self.somebody.wait(TIMEOUT)
                time.sleep(0.5)  # until it is known that somebody waits
            yield StepDone(picture=0, step=step, steps=10, eta=0.0, preview=None)


@pytest.mark.parametrize(
    ("step", "order"),
    [(3, ["batch", "interactive", "batch"]), (8, ["batch", "interactive"])],
    ids=["hardly begun", "nearly done"],
)
def test_a_picture_of_a_batch_that_has_hardly_begun_gives_way_to_people_and_one_that_is_nearly_done_ends(
    store: JobStore, step: int, order: list[str]
) -> None:
    runner = Stepping(step)
    with JobQueue(runner, store) as queue:
        batch = queue.submit(spec("a cap", 1, priority="batch"))
        while not runner.begun:
            time.sleep(0.01)
        person = queue.submit(spec("a scarf", 1, user="tab"))
        runner.somebody.set()
        assert [over(queue, job).state for job in (person, batch)] == ["done", "done"]
    assert runner.begun == order


def test_a_picture_of_a_batch_is_begun_anew_only_so_often(store: JobStore) -> None:
    runner = Stepping(2)
    runner.somebody.set()
    with JobQueue(runner, store) as queue:
        batch = queue.submit(spec("a cap", 1, priority="batch"))
        for number in range(1, worker.ANEW + 3):
            while runner.begun.count("batch") < number and batch.active:
                now = queue.get(batch.id)
                assert now is not None
                batch = now
                time.sleep(0.01)
            over(queue, queue.submit(spec(f"a scarf {number}", 1, user="tab")))
        assert over(queue, batch).state == "done"
    assert runner.begun.count("batch") == worker.ANEW + 1


def test_jobs_wait_for_the_next_start_where_the_process_serves(home: Path) -> None:
    with open_front_door(home, serves=True) as door:
        jobs = [door.queue.submit(spec("a cap", 20, user="tab")), door.queue.submit(spec("a scarf", 1))]
        for now in door.queue.events(jobs[0].id):
            if now.record_ids:
                break
    with Database(home) as database:
        kept = [JobStore(database).get(job.id) for job in jobs]
        assert [one and (one.job.state, one.owner, one.tries) for one in kept] == [("queued", "", 0)] * 2
    with open_front_door(home, serves=True) as door:
        assert [over(door.queue, job).state for job in jobs] == ["done", "done"]
        assert door.studio.store.count() == 21
        assert door.studio.store.count(session="tab") == 20
