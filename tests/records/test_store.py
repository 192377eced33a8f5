"""The store keeps pictures whole or not at all, and finds them again."""

import errno
import math
import os
import sqlite3
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from PIL import Image

from sdxl_lora import files
from sdxl_lora.errors import NotFoundError, StorageError
from sdxl_lora.records import Store, layout, metadata
from sdxl_lora.request import LoraSpec
from sdxl_lora.scoring.card import ScoreCard
from tests.records.shared import PICTURE, add, pngs, request


def test_a_record_is_read_back_as_it_was_added(store: Store, home: Path) -> None:
    lora = LoraSpec(path="a.safetensors", weight=0.5)
    asked = request("ジャケット 🧥 Größe", negative_prompt="blurry", loras=(lora,))
    card = ScoreCard(scorer="mini-CLIP cosine", score=0.31)
    added = store.add(PICTURE, request=asked, card=card, seconds=1.5, session="tab")
    assert store.get(added.id) == added
    assert added.request == asked
    assert (added.card, added.seconds, added.session, added.favourite) == (card, 1.5, "tab", False)
    assert (added.width, added.height) == PICTURE.size
    assert added.path.parent == home / "pictures" / added.created_at.strftime("%Y-%m-%d")
    with Image.open(added.path) as image:
        assert image.tobytes() == PICTURE.tobytes()


def test_nothing_temporary_is_left_after_adding(store: Store, home: Path) -> None:
    record = add(store)
    assert os.listdir(record.path.parent) == [record.path.name]


def test_scores_that_are_not_finite_are_kept_as_none(store: Store) -> None:
    card = ScoreCard(scorer="CLIP", score=math.nan, others={"held_out": ("HPS v2", math.inf)})
    record = store.add(PICTURE, request=request(), card=card)
    assert not record.card.scored
    written = metadata.read(record.path).scores
    assert (written["clip"]["value"], written["held_out"]["value"]) == (None, None)


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
        ("%", 0),
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
    with pytest.raises(NotFoundError, match="may have been deleted"):
        store.get(record.id)
    with pytest.raises(NotFoundError, match="there is no picture"):
        store.mark_favourite(record.id)


@pytest.mark.parametrize("identifier", ["", "../../etc/passwd", "x" * 5000, "20261122-163000-000000-zzzzzz"])
def test_what_is_no_id_never_becomes_a_path(store: Store, identifier: str) -> None:
    with pytest.raises(NotFoundError, match="there is no picture"):
        store.get(identifier)
    with pytest.raises(NotFoundError, match="there is no picture"):
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
    with pytest.raises(StorageError, match="a file is where a folder should be; choose a folder"):
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
def test_each_refusal_of_a_disk_says_what_to_do(code: int, text: str, home: Path) -> None:
    for path, advice in ((home / "x", "set SDXL_LORA_HOME to "), (home.with_name("y"), "choose ")):
        with pytest.raises(StorageError, match=text) as caught, files.storage_errors(path):
            raise OSError(code, os.strerror(code))
        assert advice in str(caught.value)
        assert "\n" not in str(caught.value)


def test_threads_add_at_once_without_losing_any(store: Store, home: Path) -> None:
    threads = [
        threading.Thread(target=lambda n=n: [add(store, f"thread {n}", seed=i) for i in range(8)])
        for n in range(4)
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
