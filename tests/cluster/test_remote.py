"""Pictures that another machine draws: the same pixels and records; none is lost or twice, whatever ends it."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from sdxl_lora import inputs
from sdxl_lora.cluster.order import Drawn
from sdxl_lora.generation import StepDone
from sdxl_lora.jobs import worker
from sdxl_lora.jobs.front_door import FrontDoor, open_front_door
from sdxl_lora.jobs.job import Job
from sdxl_lora.jobs.spec import Effort, JobSpec
from sdxl_lora.records import Record, layout, metadata
from sdxl_lora.request import GenerationRequest, LoraSpec
from tests.cluster.conftest import Beside, door_of
from tests.tiny import save_lora

REQUEST = GenerationRequest(prompt="a navy jacket", seed=7, count=2, width=64, height=64)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried again soon."""
    monkeypatch.setattr(worker, "BACK_OFF", (0.01, 0.02, 0.03))
    monkeypatch.setattr(worker, "LOOKS_EVERY", 0.02)


@pytest.fixture
def machine(tmp_path: Path) -> Beside:
    return Beside(tmp_path / "machine")


def done(door: FrontDoor, spec: JobSpec) -> Job:
    job = door.queue.wait(door.queue.submit(spec).id, 60)
    assert job is not None
    job.raise_error()
    assert job.state == "done"
    return job


def records(door: FrontDoor, job: Job) -> list[Record]:
    return [door.studio.store.get(identifier) for identifier in job.record_ids]


def pixels(record: Record) -> bytes:
    with Image.open(record.path) as image:
        return image.tobytes()


def compare(here: list[Record], there: list[Record]) -> None:
    """All that is not a moment or an id is the same."""
    assert [pixels(one) for one in here] == [pixels(one) for one in there]
    for one, other in zip(here, there, strict=True):
        same = replace(other, id=one.id, path=one.path, created_at=one.created_at, seconds=one.seconds)
        assert one == same
        assert metadata.read_request(one.path) == metadata.read_request(other.path) == other.request
        assert b"c2pa" in other.path.read_bytes()


@pytest.mark.parametrize(
    "effort", [Effort(), Effort(min_score=0.99, max_attempts=2)], ids=["once", "searched"]
)
def test_the_same_seeds_make_the_same_pixels_and_records_as_alone(
    tmp_path: Path, machine: Beside, effort: Effort
) -> None:
    spec = JobSpec(request=REQUEST, effort=effort, user="tab")
    with open_front_door(tmp_path / "alone") as alone, door_of(tmp_path / "home", [machine]) as door:
        compare(records(alone, done(alone, spec)), records(door, done(door, spec)))
    assert machine.drew == 2


def test_a_machine_is_sent_the_pictures_and_loras_that_it_does_not_have_and_only_once(
    home: Path, tmp_path: Path, machine: Beside
) -> None:
    path = save_lora(tmp_path / "brand.safetensors")
    start = inputs.keep(Image.new("RGB", (64, 64), "navy")).hash
    request = replace(
        REQUEST, count=1, start_picture=start, strength=0.6, loras=(LoraSpec(path=str(path), weight=1.0),)
    )
    with open_front_door(home) as alone:
        here = records(alone, done(alone, JobSpec(request=request)))
    with door_of(home, [machine]) as door:
        there = records(door, done(door, JobSpec(request=request)))
        done(door, JobSpec(request=replace(request, seed=8)))
    compare(here, there)
    assert machine.read == [path.read_bytes()]  # the folder of inputs is the same one here
    assert there[0].request.loras[0].path == str(path)


def test_what_a_machine_refuses_fails_the_job_in_the_same_words(tmp_path: Path, machine: Beside) -> None:
    request = replace(REQUEST, model=str(tmp_path / "nowhere"))
    said = []
    for door in (open_front_door(tmp_path / "alone"), door_of(tmp_path / "home", [machine])):
        with door:
            job = door.queue.wait(door.queue.submit(JobSpec(request=request)).id, 60)
            assert job is not None
            said.append((job.state, job.error, job.error_kind))
    assert said[0] == said[1]
    assert said[0][0] == "failed"


def test_a_machine_that_goes_in_the_middle_of_a_picture_loses_none_and_makes_none_twice(
    home: Path, tmp_path: Path, machine: Beside
) -> None:
    other = Beside(tmp_path / "other")
    machine.dies_at = 6
    with door_of(home, [machine, other]) as door:
        specs = [
            JobSpec(request=replace(REQUEST, seed=10 * n), priority="batch", group="g") for n in range(1, 5)
        ]
        jobs = [door.queue.wait(job.id, 60) for job in door.queue.submit_all(specs)]
        assert [job.state for job in jobs if job is not None] == ["done"] * 4
        kept = door.studio.store.page(limit=99)
    assert not machine.on
    assert other.drew > 4
    assert sorted(one.request.seed or 0 for one in kept) == [10, 11, 20, 21, 30, 31, 40, 41]
    assert len(list(layout.pictures_folder(home).glob("*/*.png"))) == 8


def test_a_job_waits_while_no_machine_is_there_and_goes_on_when_one_comes(
    home: Path, machine: Beside
) -> None:
    machine.on = False
    with door_of(home, [machine]) as door:
        job = door.queue.submit(JobSpec(request=REQUEST))
        time.sleep(0.2)
        now = door.queue.get(job.id)
        assert now is not None
        assert now.state == "queued"
        machine.on = True
        ended = door.queue.wait(job.id, 60)
        assert ended is not None
        assert ended.state == "done"


def test_cancelling_stops_a_machine_within_a_step(home: Path, machine: Beside) -> None:
    with door_of(home, [machine]) as door:
        job = door.queue.submit(JobSpec(request=replace(REQUEST, steps=150, count=1)))
        while not any(isinstance(event, StepDone) for event in machine.seen):
            time.sleep(0.01)
        door.queue.cancel(job.id)
        ended = door.queue.wait(job.id, 60)
        assert ended is not None
        assert ended.state == "cancelled"
    assert len(machine.seen) < 140
    assert not any(isinstance(event, Drawn) for event in machine.seen)


def test_people_see_every_step_and_a_batch_is_told_of_now_and_then(home: Path, machine: Beside) -> None:
    counts, messages, events = [], [], []
    with door_of(home, [machine]) as door:
        for priority in ("interactive", "batch"):
            machine.seen.clear()
            machine.messages = 0
            done(door, JobSpec(request=replace(REQUEST, steps=12, count=1), priority=priority))
            counts.append(sum(isinstance(event, StepDone) for event in machine.seen))
            assert any(isinstance(event, StepDone) and event.preview is not None for event in machine.seen)
            messages.append(machine.messages)
            events.append(len(machine.seen))
    assert counts[0] == 12
    assert 2 <= counts[1] < 12
    assert messages[0] == events[0]
    assert messages[1] < events[1]  # a batch's come some at a time


def test_several_machines_draw_at_a_time(home: Path, tmp_path: Path) -> None:
    machines = [Beside(tmp_path / name) for name in "ab"]
    with door_of(home, machines) as door:
        specs = [JobSpec(request=replace(REQUEST, seed=n, count=1), priority="batch") for n in range(8)]
        for job in door.queue.submit_all(specs):
            ended = door.queue.wait(job.id, 60)
            assert ended is not None
            assert ended.state == "done"
        assert len(door.studio.store.page(limit=99)) == 8
    assert all(machine.drew for machine in machines)
