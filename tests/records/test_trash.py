"""What is deleted can be brought back whole, whatever happens in between, until it is old or the trash is emptied."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from sdxl_lora.errors import StorageError
from sdxl_lora.records import Store, layout, trash
from sdxl_lora.records.boards import Boards
from sdxl_lora.records.tables import TrashRow
from sdxl_lora.records.votes import Votes
from tests.records.shared import PICTURE, add, pngs, request


def age(store: Store, identifier: str, days: float) -> None:
    with store.database.writing() as session:
        at = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=days)
        session.execute(sa.update(TrashRow).where(TrashRow.id == identifier).values(deleted_at=at))


def test_a_picture_comes_back_with_everything_that_was_known_of_it(home: Path) -> None:
    with Store(home) as store:
        votes, boards = Votes(store.database), Boards(store.database)
        kept = add(store)
        record = store.add(PICTURE, request=request("a red coat", brand="Halden", sku="C-1"), session="tab")
        store.mark_favourite(record.id)
        votes.cast(record.id, approved=True, model="m", features=[1.0])
        boards.add(boards.make("Spring").id, [record.id])
        before, data = store.get(record.id), record.path.read_bytes()
        assert store.trash.put([record.id, record.id]) == [record.id]
        assert store.page() == [kept]
        assert store.count(search="coat") == store.count(brand="Halden") == boards.all()[0].pictures == 0
        assert [(one.id, one.path.read_bytes()) for one in store.trash.all()] == [(record.id, data)]
        assert store.trash.restore([record.id]) == [record.id]
        assert store.get(record.id) == before
        assert record.path.read_bytes() == data
        assert store.page(brand="Halden", sku="c-1", verdict="approved", search="coat") == [before]
        assert (store.trash.count(), boards.all()[0].pictures) == (0, 1)
        assert store.trash.restore([record.id]) == []


@pytest.mark.parametrize("lost", [False, True])
def test_the_trash_outlives_a_restart_and_a_lost_database(home: Path, lost: bool) -> None:
    with Store(home) as store:
        record = add(store)
        store.mark_favourite(record.id)
        store.trash.put([record.id])
    if lost:
        layout.database_path(home).unlink()
    with Store(home) as store:
        assert (store.count(), store.trash.count(), store.notices) == (0, 1, ())
        store.trash.restore([record.id])
        assert store.get(record.id).favourite


def test_a_crash_between_file_and_row_loses_nothing(home: Path) -> None:
    with Store(home) as store:
        record, other = add(store), add(store)
        store.trash.put([other.id])
    target = layout.trash_path(home, record.id)
    target.parent.mkdir(parents=True, exist_ok=True)
    record.path.rename(target)  # moved, and never committed
    layout.trash_path(home, other.id).rename(other.path)  # brought back, and never committed
    with Store(home) as store:
        assert [one.id for one in store.page()] == [other.id]
        assert [one.id for one in store.trash.all()] == [record.id]


def test_a_picture_that_cannot_be_noted_as_deleted_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = add(store)

    def refuse(*_: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(trash, "_move", refuse)
    with pytest.raises(StorageError, match="full"):
        store.trash.put([record.id])
    assert store.get(record.id) == record
    assert store.trash.count() == 0


def test_what_is_old_enough_goes_for_good_at_the_next_start(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(home) as store:
        old, new = add(store), add(store)
        store.thumbnail(old)
        store.trash.put([old.id, new.id])
        age(store, old.id, trash.DAYS + 1)
    monkeypatch.setenv("SDXL_LORA_TRASH_DAYS", "0")
    Store(home).close()
    monkeypatch.setenv("SDXL_LORA_TRASH_DAYS", "soon")
    Store(home).close()
    monkeypatch.delenv("SDXL_LORA_TRASH_DAYS")
    with Store(home) as store:
        assert [one.id for one in store.trash.all()] == [new.id]
        assert not layout.trash_path(home, old.id).exists()
        assert not layout.thumbnail_path(home, old.id).exists()


def test_emptying_by_hand_deletes_all_for_good_and_nothing_else(store: Store, home: Path) -> None:
    kept, gone = add(store), add(store)
    store.trash.put([gone.id])
    assert store.trash.empty() == 1
    assert (pngs(home), list((home / "trash").rglob("*.png"))) == ([kept.id], [])
    assert store.trash.restore([gone.id]) == []


def test_a_folder_that_takes_no_files_is_one_line_and_keeps_the_picture(store: Store, home: Path) -> None:
    record = add(store)
    (home / "trash").write_text("a file is in the way")
    with pytest.raises(StorageError, match="trash"):
        store.trash.put([record.id])
    assert store.get(record.id) == record
    assert record.path.is_file()
