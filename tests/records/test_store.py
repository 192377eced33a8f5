"""The store keeps pictures: whole or not at all, whatever happens to process, disk or database."""

import errno
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from PIL import Image

from sdxl_lora.config import GenerationRequest, LoraSpec
from sdxl_lora.errors import ImageError, StorageError
from sdxl_lora.records import Record, Store, database, files, layout, metadata, reconcile

ROOT = Path(__file__).parents[2]
PICTURE = Image.linear_gradient("L").resize((48, 32)).convert("RGB")


def request(prompt: str = "a navy jacket", seed: int = 7, **changes: Any) -> GenerationRequest:
    values = {"model": "mini", "steps": 20, "guidance": 3.0, "width": 64, "height": 64, **changes}
    return GenerationRequest(prompt=prompt, seed=seed, **values)


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    with Store(home) as opened:
        yield opened


def pngs(home: Path) -> list[str]:
    return sorted(path.stem for path in (home / "pictures").glob("*/*.png"))


def add(store: Store, prompt: str = "a navy jacket", seed: int = 7, session: str = "") -> Record:
    return store.add(PICTURE, request=request(prompt, seed), session=session)


def test_a_record_is_read_back_as_it_was_added(store: Store, home: Path) -> None:
    asked = request("ジャケット 🧥 Größe", negative_prompt="blurry", loras=(LoraSpec(path="a.safetensors", weight=0.5),))
    scores = {"clip": {"name": "mini-CLIP cosine", "value": 0.31}}
    added = store.add(PICTURE, request=asked, scores=scores, seconds=1.5, session="tab")
    assert store.get(added.id) == added
    assert added.request == asked
    assert added.request.loras == (LoraSpec(path="a.safetensors", weight=0.5),)
    assert (added.scores, added.seconds, added.session, added.favourite) == (scores, 1.5, "tab", False)
    assert (added.width, added.height) == PICTURE.size
    assert added.path.parent == home / "pictures" / added.created_at.strftime("%Y-%m-%d")
    with Image.open(added.path) as image:
        assert image.tobytes() == PICTURE.tobytes()


def test_nothing_temporary_is_left_after_adding(store: Store, home: Path) -> None:
    record = add(store)
    assert os.listdir(record.path.parent) == [record.path.name]


def test_scores_that_are_not_finite_are_kept_as_none(store: Store) -> None:
    record = store.add(PICTURE, request=request(), scores={"clip": {"value": float("nan"), "all": [float("inf"), 1]}})
    assert record.scores == {"clip": {"value": None, "all": [None, 1]}}


def test_pages_run_from_newest_to_oldest(store: Store) -> None:
    records = [add(store, seed=seed) for seed in range(5)]
    assert [r.request.seed for r in store.page(0, 2)] == [4, 3]
    assert [r.request.seed for r in store.page(4, 2)] == [0]
    assert store.page(5, 2) == []
    assert store.count() == 5
    assert [r.id for r in records] == sorted(r.id for r in records)


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("navy", 1),
        ("JACKET", 2),
        ("jacket navy", 1),
        ("größe", 1),
        ("GRÖSSE", 1),
        ("100%", 1),
        ("%", 1),
        ("_", 0),
        ("🧥", 1),
        ("nothing", 0),
        ("  ", 3),
        ("4711", 1),
    ],
)
def test_search_takes_words_in_any_case_and_script_literally(store: Store, search: str, found: int) -> None:
    add(store, "a navy jacket, 100% cotton")
    add(store, "red jacket 🧥", seed=4711)
    add(store, "Größe M")
    assert store.count(search=search) == len(store.page(search=search)) == found


def test_favourites_and_sessions_filter_pages(store: Store) -> None:
    first, second = add(store, session="a"), add(store, session="b")
    assert store.mark_favourite(first.id).favourite
    assert [r.id for r in store.page(favourite=True)] == [first.id]
    assert [r.id for r in store.page(favourite=False)] == [second.id]
    assert store.count(session="b") == 1
    assert not store.mark_favourite(first.id, False).favourite
    assert store.count(favourite=True) == 0


def test_deleting_removes_picture_thumbnail_and_row(store: Store, home: Path) -> None:
    record = add(store)
    thumbnail = store.thumbnail(record)
    store.delete(record.id)
    assert (record.path.exists(), thumbnail.exists(), store.count()) == (False, False, 0)
    with pytest.raises(ImageError, match="may have been deleted"):
        store.get(record.id)
    with pytest.raises(ImageError, match="there is no picture"):
        store.mark_favourite(record.id)


@pytest.mark.parametrize("identifier", ["", "../../etc/passwd", "x" * 5000, "20261122-163000-000000-zzzzzz"])
def test_what_is_no_id_never_becomes_a_path(store: Store, identifier: str) -> None:
    with pytest.raises(ImageError, match="there is no picture"):
        store.get(identifier)
    with pytest.raises(ImageError, match="there is no picture"):
        layout.picture_path(store.home, identifier)


def test_thumbnails_are_small_and_made_once(store: Store) -> None:
    record = store.add(PICTURE.resize((640, 320)), request=request())
    path = store.thumbnail(record)
    with Image.open(path) as image:
        assert (image.format, image.size) == ("WEBP", (320, 160))
    before = path.stat().st_mtime_ns
    assert store.thumbnail(record) == path
    assert path.stat().st_mtime_ns == before


def test_the_gallery_shows_the_picture_itself_where_no_thumbnail_can_be_written(store: Store) -> None:
    record = add(store)
    (store.home / "thumbnails").write_text("a file where the folder should be")
    assert store.thumbnail(record) == record.path


# --- crashes
----------------------------------------------------------------------------------------------------


def test_a_process_killed_between_file_and_row_loses_nothing(home: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(home)], cwd=ROOT, check=False, env=_environment())
    assert killed.returncode == 9
    (orphan,) = pngs(home)
    with Store(home) as store:
        record = store.get(orphan)
        assert (record.request.prompt, record.request.seed, record.seconds) == ("killed 🧥", 3, 2.5)
        assert record.scores == {"clip": {"value": 0.25}}
        assert record.id == layout.new_id(record.created_at)[:-6] + record.id[-6:]
        assert "entered again" in store.notices[0]
    with Store(home) as again:
        assert again.notices == ()


_KILLED = """
import os, sys
from pathlib import Path
from PIL import Image
from sqlalchemy.orm import Session
from sdxl_lora.config import GenerationRequest
from sdxl_lora.records import Store
store = Store(Path(sys.argv[1]))
Session.execute = lambda *_, **__: os._exit(9)
store.add(Image.new("RGB", (8, 8)), request=GenerationRequest(prompt="killed 🧥", seed=3), seconds=2.5,
          scores={"clip": {"value": 0.25}})
"""


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}


def test_a_commit_that_fails_leaves_neither_file_nor_row(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise sa.exc.OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))

    with monkeypatch.context() as patch:
        patch.setattr(sa.orm.Session, "commit", full)
        patch.setattr(sa.orm.SessionTransaction, "commit", full)
        with pytest.raises(StorageError, match="the disk is full"):
            add(store)
    assert (pngs(home), store.count()) == ([], 0)


def test_an_interrupted_commit_leaves_neither_file_nor_row(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sa.orm.SessionTransaction, "commit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            add(store)
    assert (pngs(home), store.count()) == ([], 0)


def test_a_row_whose_file_is_gone_is_dropped_at_the_next_start(home: Path) -> None:
    with Store(home) as store:
        kept, lost = add(store), add(store)
    lost.path.unlink()
    with Store(home) as store:
        assert [r.id for r in store.page()] == [kept.id]
        assert "lost their files" in store.notices[0]


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
        monkeypatch.setattr(reconcile, "_scan", lambda _: {record.id: record.path, "20200101-000000-000000-aaaaaa": home / "gone.png"})
    with Store(home) as store:
        assert (store.count(), store.notices) == (1, ())


# --- disks
------------------------------------------------------------------------------------------------------


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "_write", full)
        with pytest.raises(StorageError, match="the disk is full; free some space"):
            add(store)
    assert [p for p in (home / "pictures").rglob("*") if p.is_file()] == []
    assert store.count() == 0
    assert add(store).path.exists()


def test_a_home_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StorageError, match="a file is where a folder should be; set SDXL_LORA_HOME"):
        Store(blocked / "home")


def test_a_day_folder_that_cannot_be_made_is_one_clear_line(store: Store, home: Path) -> None:
    (home / "pictures").write_text("")
    with pytest.raises(StorageError, match="a file is where a folder should be"):
        add(store)
    assert store.count() == 0


@pytest.mark.parametrize(
    ("code", "text"),
    [(errno.EROFS, "read-only"), (errno.EACCES, "permission denied"), (errno.EDQUOT, "quota")],
)
def test_each_refusal_of_a_disk_says_what_to_do(code: int, text: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=text) as caught, files.explained(tmp_path):
        raise OSError(code, os.strerror(code))
    assert "SDXL_LORA_HOME" in str(caught.value)
    assert "\n" not in str(caught.value)


# --- the database
-------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["not a database", "torn pages", "emptied"])
def test_a_damaged_database_is_rebuilt_from_the_pictures(home: Path, damage: str) -> None:
    with Store(home) as store:
        records = [add(store, f"jacket {i}", seed=i) for i in range(40)]
    path = layout.database_path(home)
    whole = path.read_bytes()
    path.write_bytes(
        {
            "not a database": b"this was a database once " * 100,
            "torn pages": whole[:4096] + b"\xff" * (len(whole) - 4096),
            "emptied": b"",
        }[damage]
    )
    with Store(home) as store:
        assert [r.id for r in store.page(limit=99)] == [r.id for r in reversed(records)]
        assert store.get(records[3].id).request == records[3].request
        aside = list(home.glob("records.damaged-*.sqlite"))
        assert len(aside) == (0 if damage == "emptied" else 1)
        assert any("entered again" in notice for notice in store.notices)
        assert any("was damaged" in notice for notice in store.notices) == (damage != "emptied")


def test_a_database_of_a_newer_version_is_refused_and_kept(home: Path) -> None:
    Store(home).close()
    path = layout.database_path(home)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=999")
    connection.close()
    with pytest.raises(StorageError, match="belongs to a newer version of this program .schema 999"):
        Store(home)
    assert path.exists()


def test_migrations_end_in_exactly_the_mapped_schema(store: Store) -> None:
    inspector = sa.inspect(store._engine)
    for table in database.Base.metadata.sorted_tables:
        migrated = {c["name"]: (str(c["type"]), c["nullable"]) for c in inspector.get_columns(table.name)}
        assert migrated == {c.name: (str(c.type.compile(store._engine.dialect)), c.nullable) for c in table.columns}
        indexes = {i["name"]: tuple(i["column_names"]) for i in inspector.get_indexes(table.name)}
        assert indexes == {i.name: tuple(c.name for c in i.columns) for i in table.indexes}
    assert set(inspector.get_table_names()) == set(database.Base.metadata.tables)


def test_an_older_database_is_migrated_with_its_rows(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(home) as store:
        record = add(store)
    added = (*database.MIGRATIONS, ("CREATE TABLE votes (id INTEGER PRIMARY KEY)",))
    monkeypatch.setattr(database, "MIGRATIONS", added)
    for _ in range(2):  # the second start has nothing left to do
        with Store(home) as store:
            assert store.get(record.id) == record
            assert "votes" in sa.inspect(store._engine).get_table_names()


def test_a_migration_that_fails_changes_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(home).close()
    broken = (*database.MIGRATIONS, ("CREATE TABLE votes (id INTEGER)", "no SQL at all"))
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", broken)
        with pytest.raises(StorageError, match="syntax error"):
            Store(home)
    with Store(home) as store:
        assert "votes" not in sa.inspect(store._engine).get_table_names()


def test_a_lasting_lock_is_one_clear_line(store: Store, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.05)
    with Store(home) as impatient:
        other = sqlite3.connect(layout.database_path(home), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="another program kept it locked"):
            add(impatient)
        other.close()
    assert pngs(home) == []


def test_threads_add_at_once_without_losing_any(store: Store, home: Path) -> None:
    threads = [
        threading.Thread(target=lambda n=n: [add(store, f"thread {n}", seed=i) for i in range(8)]) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.count() == 32
    for record in store.page(limit=99):
        assert metadata.read(record.path).request == record.request
    assert sorted(r.id for r in store.page(limit=99)) == pngs(home)
    assert store.count(search="thread 2") >= 8


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
from sdxl_lora.config import GenerationRequest
from sdxl_lora.records import Store
for i in range(10):
    with Store(Path(sys.argv[1])) as store:  # opening it each time reconciles beside the others' adding
        store.add(Image.new("RGB", (8, 8)), request=GenerationRequest(prompt="p", seed=i), session=sys.argv[2])
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
    assert (facts.request, facts.created_at, facts.seconds) == (record.request, record.created_at, record.seconds)
