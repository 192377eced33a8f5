"""What SQLAlchemy leaves to each database: INSERT that does not mind what is there, and how much a statement takes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Session

_AT_ONCE = 500  # rows of one statement
_Item = TypeVar("_Item")


def insert_or_update(
    session: Session,
    row: type[DeclarativeBase],
    values: Mapping[str, Any],
    *,
    only_if_older: str = "",
) -> None:
    """A row of mapped class `row` that replaces the one of the same primary key.

    Args:
        only_if_older: a column; a row is replaced only where its value there is smaller than the new one.
    """
    statement = _insert(session, row).values(values)
    keys = [column.name for column in sa.inspect(row).primary_key]
    new = {name: statement.excluded[name] for name in values if name not in keys}
    condition = None
    if only_if_older:
        condition = getattr(row, only_if_older) < statement.excluded[only_if_older]
    session.execute(statement.on_conflict_do_update(index_elements=keys, set_=new, where=condition))


def insert_missing(session: Session, row: type[DeclarativeBase], values: Iterable[Mapping[str, Any]]) -> None:
    """Any number of rows of mapped class `row`; those of which something unique is there stay as they are."""
    for some in parts(list(values)):
        session.execute(_insert(session, row).values(some).on_conflict_do_nothing())


def parts(values: Sequence[_Item]) -> Iterator[list[_Item]]:
    """As many at a time as one statement may name: databases take some 32,000 values."""
    for start in range(0, len(values), _AT_ONCE):
        yield list(values[start : start + _AT_ONCE])


def _insert(session: Session, row: type[DeclarativeBase]) -> sqlite.Insert | postgresql.Insert:
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(row)
    return sqlite.insert(row)
