"""A live process keeps its jobs whatever the clocks say; a dead or hanging one loses them, once."""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from sdxl_lora.errors import LeaseLostError
from sdxl_lora.jobs import leases
from sdxl_lora.jobs.store import JobStore
from sdxl_lora.records import places
from sdxl_lora.records.places import Place
from tests.jobs.drawing import spec

HERE = leases.new_owner("cpu")
ELSEWHERE = "another machine|cuda|7.1|abcd"


class Clock:
    """Seconds that the test says."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def taken(store: JobStore, owner: str, **more: object) -> str:
    [job_id] = store.submit([spec("a cap", 2)], pinned="")
    kept = store.claim(owner, only=None, ready=(), least=1)
    assert kept is not None
    return job_id


def state(store: JobStore, job_id: str) -> tuple[str, str, int]:
    kept = store.get(job_id)
    assert kept is not None
    return kept.job.state, kept.owner, kept.tries


def test_a_process_that_counts_on_keeps_its_jobs_and_one_that_stands_still_loses_them(
    store: JobStore,
) -> None:
    job_id, clock = taken(store, ELSEWHERE), Clock()
    watch = leases.Watch(clock)
    for _ in range(5):
        assert watch.gone(store.holders()) == []
        clock.now += leases.LEASE - 1
        store.beat(ELSEWHERE)
    assert watch.gone(store.holders()) == []
    clock.now += leases.LEASE
    beats = store.holders()
    assert watch.gone(beats) == [ELSEWHERE]
    store.free(ELSEWHERE, beats[ELSEWHERE])
    assert state(store, job_id) == ("queued", "", 1)


def test_a_process_that_wakes_up_in_the_last_moment_keeps_its_jobs(store: JobStore) -> None:
    job_id = taken(store, ELSEWHERE)
    beats = store.holders()
    store.beat(ELSEWHERE)
    store.free(ELSEWHERE, beats[ELSEWHERE])
    assert state(store, job_id)[:2] == ("running", ELSEWHERE)


@pytest.mark.parametrize("moved", [-10 * 365 * 86_400.0, 10 * 365 * 86_400.0])
def test_a_clock_that_jumps_takes_no_job_and_strands_none(
    store: JobStore, monkeypatch: pytest.MonkeyPatch, moved: float
) -> None:
    job_id, clock = taken(store, ELSEWHERE), Clock()
    watch = leases.Watch(clock)
    watch.gone(store.holders())
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + moved)
    clock.now += leases.LEASE - 1
    assert watch.gone(store.holders()) == []  # it lives, whatever the day is
    late = store.submit([spec("a scarf", 1)], pinned="")[0]
    assert [one.id for one in store.line(1)] == [job_id, late]
    clock.now += 1
    beats = store.holders()
    assert watch.gone(beats) == [ELSEWHERE]
    store.free(ELSEWHERE, beats[ELSEWHERE])
    again = store.claim(HERE, only=None, ready=(), least=1)
    assert again is not None
    assert again.job.id == job_id


def test_a_process_of_this_machine_that_has_ended_is_known_at_once() -> None:
    code = "from sdxl_lora.jobs import leases; print(leases.new_owner('cpu'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert leases.has_ended(done.stdout.strip())
    assert not leases.has_ended(HERE)
    assert not leases.has_ended(ELSEWHERE)
    machine, device, process, token = HERE.split("|")
    other_start = f"{os.getpid()}.{int(process.partition('.')[2]) + 1}"  # the number was used again
    assert leases.has_ended("|".join((machine, device, other_start, token)))
    assert leases.Watch().gone({done.stdout.strip(): 3}) == [done.stdout.strip()]


def test_who_has_lost_a_job_records_nothing_more_of_it(store: JobStore) -> None:
    job_id = taken(store, ELSEWHERE)
    store.free(ELSEWHERE)
    with pytest.raises(LeaseLostError):
        store.report(job_id, ELSEWHERE, {}, useful=True)
    store.claim(HERE, only=None, ready=(), least=1)
    with store.database.writing() as session, pytest.raises(LeaseLostError):
        places.reserve(session, Place(job=job_id, index=0, owner=ELSEWHERE), datetime.now(UTC))
    assert state(store, job_id)[:2] == ("running", HERE)


def test_a_job_that_ends_its_process_again_and_again_fails(store: JobStore) -> None:
    job_id = taken(store, ELSEWHERE)
    for _ in range(9):
        store.free(ELSEWHERE)
        if store.claim(ELSEWHERE, only=None, ready=(), least=1) is None:
            break
    kept = store.get(job_id)
    assert kept is not None
    assert kept.job.state == "failed"
    assert kept.job.error == "the process that drew it has ended 4 times; see its log, then try again"
    store.retry(job_id, pinned="")
    assert store.claim(HERE, only=None, ready=(), least=1) is not None


def test_what_is_pinned_to_a_process_is_anybodys_once_that_has_ended(store: JobStore) -> None:
    [job_id] = store.submit([spec("a cap", 1)], pinned=ELSEWHERE)
    assert store.claim(HERE, only=None, ready=(), least=1) is None
    assert list(store.holders()) == [ELSEWHERE]
    store.free(ELSEWHERE)
    kept = store.claim(HERE, only=None, ready=(), least=1)
    assert kept is not None
    assert kept.job.id == job_id
