"""Files and rows agree again after a crash, and while other processes are at work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sdxl_lora import files
from sdxl_lora.errors import StorageError
from sdxl_lora.records import Store, layout, metadata, reconcile
from sdxl_lora.scoring.card import ScoreCard
from tests.records.shared import PICTURE, add, pngs

ROOT = Path(__file__).parents[2]


def test_a_process_killed_between_file_and_row_loses_nothing(home: Path) -> None:
    command = [sys.executable, "-c", _KILLED, str(home)]
    killed = subprocess.run(command, cwd=ROOT, check=False, env=_environment())
    assert killed.returncode == 9
    (orphan,) = pngs(home)
    with Store(home) as store:
        record = store.get(orphan)
        assert (record.request.prompt, record.request.seed, record.seconds) == ("killed 🧥", 3, 2.5)
        assert record.card == ScoreCard(scorer="CLIP", score=0.25)
        assert record.id == layout.new_id(record.created_at)[:-6] + record.id[-6:]
        assert "entered again" in store.notices[0]
    with Store(home) as again:
        assert again.notices == ()


_KILLED = """
import os, sys
from pathlib import Path
from PIL import Image
from sqlalchemy.orm import Session
from sdxl_lora.request import GenerationRequest
from sdxl_lora.records import Store
from sdxl_lora.scoring.card import ScoreCard
store = Store(Path(sys.argv[1]))
Session.execute = lambda *_, **__: os._exit(9)
store.add(Image.new("RGB", (8, 8)), request=GenerationRequest(prompt="killed 🧥", seed=3), seconds=2.5,
          card=ScoreCard(scorer="CLIP", score=0.25))
"""


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}


def test_a_row_whose_file_is_gone_is_dropped_at_the_next_start(home: Path) -> None:
    with Store(home) as store:
        kept, lost = add(store), add(store)
    lost.path.unlink()
    with Store(home) as store:
        assert [r.id for r in store.page()] == [kept.id]
        assert "lost their files" in store.notices[0]


def test_a_disk_too_full_for_repairs_still_shows_what_is_there(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(home) as store:
        kept, lost = add(store), add(store)
    lost.path.unlink()

    def full(*_: object) -> None:
        raise StorageError("database: the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(reconcile, "_drop", full)
        with Store(home) as store:
            assert "the disk is full" in store.notices[0]
            assert kept in store.page()
    with Store(home) as store:
        assert store.page() == [kept]


def test_a_foreign_file_among_the_pictures_is_left_alone(home: Path) -> None:
    with Store(home) as store:
        record = add(store)
    foreign = record.path.with_name("holiday.png")
    PICTURE.save(foreign)
    with Store(home) as store:
        assert (store.count(), store.notices, foreign.exists()) == (1, (), True)


def test_a_picture_that_lost_its_text_is_named_and_kept(home: Path) -> None:
    with Store(home) as store:
        record = add(store)
        store.delete(record.id)
    PICTURE.save(record.path)
    with Store(home) as store:
        assert store.count() == 0
        assert "do not say how they were made" in store.notices[0]
    assert record.path.exists()


def test_only_old_temporary_files_are_cleared_away(home: Path) -> None:
    with Store(home) as store:
        folder = add(store).path.parent
    old, new = folder / ".x.1.part", folder / ".x.2.part"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    Store(home).close()
    assert (old.exists(), new.exists()) == (False, True)


def test_a_file_that_vanishes_while_it_is_entered_is_no_problem(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(home) as store:
        record = add(store)
        found = {record.id: record.path, "20200101-000000-000000-aaaaaa": home / "gone.png"}
        monkeypatch.setattr(reconcile, "_scan", lambda _: found)
    with Store(home) as store:
        assert (store.count(), store.notices) == (1, ())


def test_processes_start_and_add_at_once_without_losing_any(home: Path) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", _WORKER, str(home), str(n)], cwd=ROOT, env=_environment())
        for n in range(3)
    ]
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0, 0]
    with Store(home) as store:
        assert store.notices == ()
        assert sorted(r.id for r in store.page(limit=99)) == pngs(home)
        assert {r.session for r in store.page(limit=99)} == {"0", "1", "2"}
        assert store.count() == 30


_WORKER = """
import sys
from pathlib import Path
from PIL import Image
from sdxl_lora.request import GenerationRequest
from sdxl_lora.records import Store
for i in range(10):
    with Store(Path(sys.argv[1])) as store:  # opening it each time reconciles beside the others' adding
        request = GenerationRequest(prompt="p", seed=i)
        store.add(Image.new("RGB", (8, 8)), request=request, session=sys.argv[2])
"""


def test_a_row_of_the_adding_process_wins_over_a_reconciled_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(home) as store:
        write = files.write_atomically

        def write_and_start_another(path: Path, data: bytes) -> None:
            write(path, data)
            Store(home).close()

        monkeypatch.setattr(files, "write_atomically", write_and_start_another)
        assert add(store, session="tab").session == "tab"
        assert store.count() == 1


def test_a_rebuilt_store_says_the_same_as_the_picture(store: Store) -> None:
    record = add(store)
    facts = metadata.read(record.path)
    assert facts.request == record.request
    assert (facts.created_at, facts.seconds) == (record.created_at, record.seconds)
