"""What SQLAlchemy leaves to each database: INSERT that does not mind what is there, and how much a statement takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import DeclarativeBase, Session

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

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
    session.execute(_replacing(_dialect(session), row, tuple(values), only_if_older), dict(values))


def insert_missing(session: Session, row: type[DeclarativeBase], values: Iterable[Mapping[str, Any]]) -> None:
    """Any number of rows of mapped class `row`; those of which something unique is there stay as they are."""
    for some in parts(list(values)):
        session.execute(_new(_dialect(session), row), some)


def parts(values: Sequence[_Item]) -> Iterator[list[_Item]]:
    """As many at a time as one statement may name: databases take some 32,000 values."""
    for start in range(0, len(values), _AT_ONCE):
        yield list(values[start : start + _AT_ONCE])


# statements are made once: every picture needs some, and making one costs more than the database takes
@cache
def _replacing(
    dialect: str, row: type[DeclarativeBase], names: tuple[str, ...], only_if_older: str
) -> sqlite.Insert | postgresql.Insert:
    statement = _insert(dialect, row)
    keys = [column.name for column in sa.inspect(row).primary_key]
    new = {name: statement.excluded[name] for name in names if name not in keys}
    condition = None
    if only_if_older:
        condition = getattr(row, only_if_older) < statement.excluded[only_if_older]
    return statement.on_conflict_do_update(index_elements=keys, set_=new, where=condition)


@cache
def _new(dialect: str, row: type[DeclarativeBase]) -> sqlite.Insert | postgresql.Insert:
    return _insert(dialect, row).on_conflict_do_nothing()


def _insert(dialect: str, row: type[DeclarativeBase]) -> sqlite.Insert | postgresql.Insert:
    table = cast(sa.Table, row.__table__)
    if dialect != "postgresql":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # a tenth of a second that only its users need

    return postgresql.insert(table)


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name
