"""Records and jobs on a real PostgreSQL server, which these tests start themselves."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sdxl_lora.errors import StorageError
from sdxl_lora.jobs.front_door import open_front_door
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.jobs.store import JobStore
from sdxl_lora.records import Database, Store, postgresql, upgrading
from sdxl_lora.records.comparisons import ComparisonStore
from sdxl_lora.records.evaluations import EvaluationStore
from sdxl_lora.records.tables import Base
from sdxl_lora.records.votes import Votes
from tests.jobs.drawing import spec
from tests.postgresql import address, server

__all__ = ["address", "server"]

TIMEOUT = 60.0


def test_jobs_become_recorded_pictures_and_nothing_is_left_in_the_folder_but_files(
    address: str, home: Path
) -> None:
    with open_front_door(home) as door:
        job = door.queue.wait(door.queue.submit(spec("a jacket", 2, user="tab")).id, TIMEOUT)
        assert job is not None
        assert job.state == "done", job.error
        records = door.studio.store.page(search="jacket")
        assert [record.id for record in records] == list(reversed(job.record_ids))
        door.studio.store.mark_favourite(records[0].id)
        Votes(door.database).cast(records[0].id, approved=True, model="m", features=[1.0])
    assert not list(home.glob("*.sqlite*"))
    with Store(home) as store, Votes(store.database) as votes:
        assert store.count(favourite=True) == store.count(verdict="approved") == 1
        assert votes.brands()
        store.delete(records[1].id)
        assert store.count() == 1


def test_a_new_database_has_the_same_tables_as_one_that_was_brought_up_to_date(address: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    engine = postgresql.open_server(postgresql.parse(address))
    for way in ("new", "old"):
        with postgresql.for_writing(engine).begin() as connection:
            if way == "old":
                Base.metadata.drop_all(connection)
                connection.exec_driver_sql("DROP TABLE alembic_version")
                upgrading.run_revisions(connection)
        upgrading.bring_up_to_date(engine, None)
        with engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


@pytest.mark.slow
def test_workers_in_two_processes_share_the_line(address: str, home: Path) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.jobs.drawing", str(home), "0.05"]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline().strip() == "ready"
        with open_front_door(home, serves=True) as door:
            jobs = door.queue.submit_all([spec(f"jacket {i}", 2, priority="batch") for i in range(8)])
            ended = [door.queue.wait(job.id, TIMEOUT) for job in jobs]
            assert [job and job.state for job in ended] == ["done"] * 8
            assert door.studio.store.count() == 16
        assert process.stdout.readline().startswith("drawn")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_only_one_of_many_claims_a_job(address: str, home: Path) -> None:
    with Database(home) as database:
        store = JobStore(database)
        ids = store.submit([spec(f"cap {i}", 1) for i in range(20)], pinned="")
        taken: list[str] = []

        def take(owner: str) -> None:
            while (kept := store.claim(owner, only=None, ready=(), least=1)) is not None:
                taken.append(kept.job.id)

        threads = [threading.Thread(target=take, args=(f"m|cpu|{n}.0|x",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(taken) == sorted(ids)


def test_the_same_key_from_two_processes_at_once_is_one_job(address: str, home: Path) -> None:
    with Database(home) as database:
        stores = [JobStore(database) for _ in range(4)]
        one = spec("a cap", 1, idempotency_key="order 7")
        found: list[str] = []
        threads = [
            threading.Thread(target=lambda store=store: found.extend(store.submit([one], pinned="")))
            for store in stores
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 4
        assert len(set(found)) == 1


def test_a_database_is_never_opened_with_another_folder(address: str, home: Path) -> None:
    with Store(home):
        pass
    with pytest.raises(StorageError, match="belongs to another data folder"):
        Store(home.with_name("other"))


def test_a_writer_that_does_not_end_is_said_to_keep_it_locked(
    address: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "PATIENCE", 1)
    with Database(home) as database, Database(home) as other:
        store = JobStore(database)
        with other.writing(), pytest.raises(StorageError, match="another program kept it locked for 1 s"):
            store.submit([spec("a cap", 1)], pinned="")


def test_everything_of_people_is_kept_there_and_entered_again_from_files(address: str, home: Path) -> None:
    import shutil

    old = Path(__file__).parents[1] / "records" / "folders" / "schema-4"
    shutil.copytree(old, home)
    (home / "records.sqlite").unlink()
    with Database(home) as database:
        assert Store(database).count() == 4
        assert len(EvaluationStore(database).all()) == 1
        assert len(ComparisonStore(database).all()) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mysql://a@b/c", "DATABASE_URL names 'mysql'"),
        ("no address", "DATABASE_URL is no address"),
        (
            "postgresql://me:secret@127.0.0.1:1/none",
            "postgresql://127.0.0.1:1/none: the server does not answer",
        ),
    ],
)
def test_an_address_that_leads_nowhere_is_one_line_without_a_password(
    given: str, said: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setenv("DATABASE_URL", given)
    with pytest.raises(StorageError, match=said) as caught:
        Database(home)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_asked_for_is_the_same_job_whatever_keeps_it(address: str, home: Path) -> None:
    wish = JobSpec.from_dict(spec("ein Mantel, größer 🧥", 3, priority="batch").to_dict())
    with Database(home) as database:
        store = JobStore(database)
        [job_id] = store.submit([wish], pinned="")
        kept = store.get(job_id)
    assert kept is not None
    assert kept.job.spec == wish
