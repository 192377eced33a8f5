"""Several processes, real ones, on one data folder: what is finished stays, and nothing is drawn twice."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdxl_lora.jobs.front_door import open_front_door
from sdxl_lora.jobs.job import Job
from sdxl_lora.jobs.store import JobStore
from sdxl_lora.records import Database, Store, layout
from tests.jobs.drawing import spec

ROOT = Path(__file__).parents[2]
TIMEOUT = 120.0  # seconds; only reached when something is broken

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    """Starts processes that work at the jobs of the data folder."""
    running: list[subprocess.Popen[str]] = []

    def begin(pause: float) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.jobs.drawing", str(home), str(pause)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert line(process) == "ready"
        return process

    yield begin
    for process in running:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def submitted(home: Path, *counts: int) -> list[str]:
    with Database(home) as database:
        return JobStore(database).submit(
            [spec(f"jacket {i}", count, priority="batch") for i, count in enumerate(counts)], pinned=""
        )


def finished(home: Path, job_id: str, *, here: bool) -> Job:
    """The job, once it was ended: `here`, or by whoever works at it."""
    with open_front_door(home, serves=here) as door:
        job = door.queue.wait(job_id, TIMEOUT)
    assert job is not None
    assert job.state == "done", job.error
    return job


def pictures(home: Path) -> list[str]:
    with Store(home) as store:
        records = store.page(limit=999)
        assert all(record.path.is_file() for record in records)
        on_disk = [path.stem for path in layout.pictures_folder(home).glob("*/*.png")]
    assert sorted(on_disk) == sorted(record.id for record in records)
    return [f"{record.request.prompt} {record.request.seed}" for record in records]


def test_what_a_killed_process_has_finished_stays_and_the_rest_is_drawn_once(
    home: Path, start: Start
) -> None:
    [job_id] = submitted(home, 6)
    process = start(0.3)
    assert [line(process) for _ in range(3)] == ["drawn 0", "drawn 1", "drawn 2"]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = pictures(home)
    assert len(before) >= 3
    job = finished(home, job_id, here=True)
    after = pictures(home)
    assert after[-len(before) :] == before
    assert len(after) == len(set(after)) == len(job.record_ids) == 6
    seeds = sorted(int(name.rpartition(" ")[2]) for name in after)
    assert seeds == list(range(seeds[0], seeds[0] + 6))  # of the one request that was decided at first


def test_two_processes_work_at_one_line_no_job_runs_twice_and_a_third_cancels(
    home: Path, start: Start
) -> None:
    both = [start(0.1), start(0.1)]
    ids = submitted(home, *[2] * 8)
    jobs = [finished(home, job_id, here=False) for job_id in ids]
    assert [len(job.record_ids) for job in jobs] == [2] * 8
    names = pictures(home)
    assert len(names) == len(set(names)) == 16
    for process in both:
        assert line(process).startswith("drawn")  # neither had nothing to do
    [long] = submitted(home, 64)
    with open_front_door(home) as door:
        for job in door.queue.events(long):
            if job.record_ids and job.active:
                door.queue.cancel(long)
        end = door.queue.get(long)
    assert end is not None
    assert end.state == "cancelled"
    assert 1 <= len(end.record_ids) < 64
    assert len(pictures(home)) == 16 + len(end.record_ids)
