"""The database survives damage, locks and new versions."""

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from sdxl_lora.errors import StorageError
from sdxl_lora.records import Store, database, evaluations, layout, votes
from tests.records.shared import add, pngs


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
    with pytest.raises(StorageError, match=r"newer version of this program \(schema 999"):
        Store(home)
    assert path.exists()


def test_migrations_end_in_exactly_the_mapped_schema(store: Store) -> None:
    for other in (evaluations.EvaluationRow, votes.VoteRow):
        assert other.metadata is database.Base.metadata  # their tables count too
    inspector = sa.inspect(store._engine)
    for table in database.Base.metadata.sorted_tables:
        found = {c["name"]: (str(c["type"]), c["nullable"]) for c in inspector.get_columns(table.name)}
        dialect = store._engine.dialect
        assert found == {c.name: (str(c.type.compile(dialect)), c.nullable) for c in table.columns}
        indexes = {i["name"]: tuple(i["column_names"]) for i in inspector.get_indexes(table.name)}
        assert indexes == {i.name: tuple(c.name for c in i.columns) for i in table.indexes}
    assert set(inspector.get_table_names()) == set(database.Base.metadata.tables)


def test_an_older_database_is_migrated_with_its_rows(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(home) as store:
        record = add(store)
    added = (*database.MIGRATIONS, ("CREATE TABLE ballots (id INTEGER PRIMARY KEY)",))
    monkeypatch.setattr(database, "MIGRATIONS", added)
    for _ in range(2):  # the second start has nothing left to do
        with Store(home) as store:
            assert store.get(record.id) == record
            assert "ballots" in sa.inspect(store._engine).get_table_names()


def test_a_migration_that_fails_changes_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(home).close()
    broken = (*database.MIGRATIONS, ("CREATE TABLE ballots (id INTEGER)", "no SQL at all"))
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", broken)
        with pytest.raises(StorageError, match="syntax error"):
            Store(home)
    with Store(home) as store:
        assert "ballots" not in sa.inspect(store._engine).get_table_names()


def test_a_lasting_lock_is_one_clear_line(store: Store, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.05)
    with Store(home) as impatient:
        other = sqlite3.connect(layout.database_path(home), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="another program kept it locked"):
            add(impatient)
        other.close()
    assert pngs(home) == []
