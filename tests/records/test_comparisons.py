"""Comparisons are kept: a cell is settled once, and no vote is lost, whatever happens to the database."""

from pathlib import Path

import pytest

from sdxl_lora.errors import DataError, NotFoundError
from sdxl_lora.records import Store, layout
from sdxl_lora.records.comparisons import ComparisonStore

DEFINITION = {
    "rows": [
        {"key": "a", "prompt": "a red hoodie", "facts": {}},
        {"key": "b", "prompt": "a cap", "facts": {}},
    ],
    "columns": [{"label": "A", "kind": "model"}, {"label": "B", "kind": "openai"}],
    "settings": {"seed": 0},
}


def begin(store: ComparisonStore) -> str:
    identifier = store.begin(DEFINITION, "A · B").id
    for column in range(2):
        store.keep(identifier, column, 0, b"content", ".png", {"seed": 5})
    return identifier


def test_cells_are_settled_with_a_picture_or_a_reason(home: Path) -> None:
    with ComparisonStore(home) as store:
        identifier = begin(store)
        store.refuse(identifier, 1, 1, "the provider refused")
        record = store.get(identifier)
    assert record.missing == [(0, 1)]
    path = record.cells[0, 0].path
    assert path is not None
    assert path.read_bytes() == b"content"
    assert record.cells[0, 0].facts == {"seed": 5}
    assert record.cells[1, 1].reason == "the provider refused"
    assert (record.pictures(0), record.pictures(1)) == ([0, 1], [])


def test_a_second_vote_of_one_voter_on_one_row_replaces_the_first(home: Path) -> None:
    with ComparisonStore(home) as store:
        identifier = begin(store)
        for choice in (0, None, 1):
            store.vote(identifier, 0, "ann", choice=choice, columns=[1, 0], blind=True)
        store.vote(identifier, 0, "bob", choice=0, columns=[0, 1], blind=False)
        assert [(v.voter, v.choice, v.columns, v.blind) for v in store.votes(identifier)] == [
            ("ann", 1, (1, 0), True),
            ("bob", 0, (0, 1), False),
        ]


@pytest.mark.parametrize(("row", "choice"), [(0, 2), (5, 0), (-1, 0)])
def test_a_vote_for_what_was_not_on_the_ballot_is_refused(home: Path, row: int, choice: int) -> None:
    with ComparisonStore(home) as store:
        identifier = begin(store)
        with pytest.raises(DataError, match="not on the ballot"):
            store.vote(identifier, row, "ann", choice=choice, columns=[0, 1], blind=True)
        assert store.votes(identifier) == []


@pytest.mark.parametrize("damage", ["gone", "damaged"])
def test_a_lost_database_loses_neither_comparisons_nor_votes(home: Path, damage: str) -> None:
    with ComparisonStore(home) as store:
        identifier = begin(store)
        store.vote(identifier, 0, "ann", choice=1, columns=[1, 0], blind=True)
        before, votes = store.get(identifier), store.votes(identifier)
    path = layout.database_path(home)
    for file in home.glob("records.sqlite*"):
        file.unlink()
    if damage == "damaged":
        path.write_bytes(b"this was a database once " * 100)
    with ComparisonStore(home) as store:
        after = store.get(identifier)
        assert (after.title, after.rows, after.created_at) == (before.title, before.rows, before.created_at)
        assert {place: cell.path for place, cell in after.cells.items()} == {
            place: cell.path for place, cell in before.cells.items()
        }
        assert store.votes(identifier) == votes


def test_a_vote_that_reached_the_disk_but_not_the_database_is_counted_later(home: Path) -> None:
    with ComparisonStore(home) as store:
        identifier = begin(store)
        store.vote(identifier, 0, "ann", choice=1, columns=[1, 0], blind=True)
        journal = store.folder / identifier / "votes.jsonl"
    line = journal.read_text().replace('"ann"', '"bob"')
    journal.write_text(journal.read_text() + '\n{"row": 0, "vo' + "\n" + line)  # cut off, then whole
    with ComparisonStore(home) as store:
        assert sorted(vote.voter for vote in store.votes(identifier)) == ["ann", "bob"]


def test_a_line_cut_off_by_a_crash_does_not_swallow_the_next_vote(home: Path) -> None:
    with ComparisonStore(home) as store:
        identifier = begin(store)
        (store.folder / identifier / "votes.jsonl").write_text('{"row": 0, "vot')
        store.vote(identifier, 0, "ann", choice=1, columns=[1, 0], blind=True)
    layout.database_path(home).unlink()
    with ComparisonStore(home) as store:
        assert [vote.voter for vote in store.votes(identifier)] == ["ann"]


def test_a_deleted_comparison_is_gone_with_its_files(home: Path) -> None:
    with ComparisonStore(home) as store:
        identifier = begin(store)
        store.vote(identifier, 0, "ann", choice=1, columns=[1, 0], blind=True)
        store.delete(identifier)
        assert (store.all(), store.votes(identifier)) == ([], [])
        with pytest.raises(NotFoundError, match="there is no comparison"):
            store.get(identifier)
    assert list((home / "comparisons").iterdir()) == []


def test_the_tables_stand_beside_those_of_an_older_database(home: Path) -> None:
    Store(home).close()
    with ComparisonStore(home) as store:
        begin(store)
    Store(home).close()
    with ComparisonStore(home) as store:
        assert len(store.all()) == 1


@pytest.mark.parametrize("identifier", ["../../etc", "", "0" * 15, "G" * 16])
def test_what_is_no_id_never_becomes_a_path(home: Path, identifier: str) -> None:
    with ComparisonStore(home) as store, pytest.raises(NotFoundError):
        store.vote(identifier, 0, "ann", choice=0, columns=[0, 1], blind=True)
