"""Rows are inserted whatever is there, and however many they are."""

from datetime import datetime

from sdxl_lora.records import Store, upserts
from sdxl_lora.records.tables import TrashRow


def rows(number: int) -> list[dict[str, object]]:
    at = datetime(2026, 11, 27)
    return [{"id": str(n), "deleted_at": at, "session": "", "favourite": False} for n in range(number)]


def test_more_rows_than_one_statement_takes_are_inserted_once(store: Store) -> None:
    with store.database.writing() as session:
        upserts.insert_missing(
            session, TrashRow, rows(9_000)
        )  # 36,000 values; SQLite takes 32,766 in a statement
        upserts.insert_missing(session, TrashRow, rows(9_001))
    assert store.trash.count() == 9_001


def test_no_rows_are_no_statement(store: Store) -> None:
    with store.database.writing() as session:
        upserts.insert_missing(session, TrashRow, [])
    assert store.trash.count() == 0
