"""Boards: named collections of pictures. A picture may be on several; taking it off deletes nothing.

What people do with boards also stands in `home/boards.jsonl`, from which lost tables are filled again. A board goes on
naming a picture that was deleted, so that one that is brought back from the trash is on it again.
"""

import logging
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sdxl_lora.errors import NotFoundError, RequestError
from sdxl_lora.records import layout, upserts
from sdxl_lora.records.database import Database, Repository
from sdxl_lora.records.journal import Journal, Line
from sdxl_lora.records.tables import BoardPictureRow, BoardRow, PictureRow

logger = logging.getLogger(__name__)

MAX_NAME = 80  # characters


@dataclass(frozen=True)
class Board:
    """A named collection."""

    id: str
    name: str
    pictures: int  # that are there


class Boards(Repository):
    """All boards of a data folder. Methods raise `StorageError`."""

    def __init__(self, where: Database | Path) -> None:
        super().__init__(where)
        self._journal = Journal(self.database, "boards.jsonl", enter=_enter, tell=_tell)
        self.notices += self._journal.begin()

    def all(self) -> list[Board]:
        """By name."""
        here = sa.select(BoardPictureRow.board, sa.func.count().label("pictures"))
        here = here.join(PictureRow, PictureRow.id == BoardPictureRow.picture_id).group_by(
            BoardPictureRow.board
        )
        counted = here.subquery()
        query = sa.select(BoardRow.id, BoardRow.name, counted.c.pictures)
        query = query.outerjoin(counted, counted.c.board == BoardRow.id)
        with self.database.reading() as session:
            found = [Board(row.id, row.name, row.pictures or 0) for row in session.execute(query)]
        return sorted(found, key=lambda board: (board.name.casefold(), board.id))

    def of(self, picture: str) -> list[str]:
        """The ids of the boards that a picture is on."""
        query = sa.select(BoardPictureRow.board).where(BoardPictureRow.picture_id == picture)
        with self.database.reading() as session:
            return list(session.scalars(query))

    def make(self, name: str) -> Board:
        """A new board. Raises `RequestError` for a name that is none, or is taken."""
        name = self._checked(name)
        identifier = secrets.token_hex(6)
        self._journal.append({"action": "make", "board": identifier, "name": name})
        return Board(identifier, name, 0)

    def rename(self, board: str, name: str) -> None:
        """Gives a board another name. Raises as `make`, and `NotFoundError`."""
        self._check(board)
        self._journal.append({"action": "rename", "board": board, "name": self._checked(name, besides=board)})

    def delete(self, board: str) -> None:
        """Forgets a board; its pictures stay. Raises `NotFoundError`."""
        self._check(board)
        self._journal.append({"action": "delete", "board": board})

    def add(self, board: str, pictures: Sequence[str]) -> None:
        """Puts pictures on a board; those that are on it stay so. Raises `NotFoundError`."""
        self._check(board)
        wanted = [picture for picture in dict.fromkeys(pictures) if layout.is_id(picture)]
        if wanted:
            self._journal.append({"action": "add", "board": board, "pictures": wanted})

    def remove(self, board: str, pictures: Sequence[str]) -> None:
        """Takes pictures off a board; they are not deleted. Raises `NotFoundError`."""
        self._check(board)
        if pictures:
            self._journal.append({"action": "remove", "board": board, "pictures": list(pictures)})

    def _check(self, board: str) -> None:
        with self.database.reading() as session:
            if session.get(BoardRow, board) is None:
                raise NotFoundError("this board was deleted meanwhile; choose another")

    def _checked(self, name: str, besides: str = "") -> str:
        name = " ".join(name.split())
        if not name or len(name) > MAX_NAME or not name.isprintable():
            raise RequestError(f"a board needs a name of 1 to {MAX_NAME} printable characters")
        if any(board.name.casefold() == name.casefold() and board.id != besides for board in self.all()):
            raise RequestError(f"there is a board named {name!r}; choose another name")
        return name


def _enter(session: Session, line: Line) -> None:
    """Makes the tables say what a line of the journal says."""
    action, board = line["action"], str(line["board"])
    if action in ("make", "rename"):
        upserts.insert_or_update(session, BoardRow, {"id": board, "name": str(line["name"])})
    elif action == "delete":
        session.execute(sa.delete(BoardRow).where(BoardRow.id == board))
        session.execute(sa.delete(BoardPictureRow).where(BoardPictureRow.board == board))
    elif action in ("add", "remove"):
        pictures = [str(picture) for picture in line["pictures"]]
        if action == "add":
            rows = [{"board": board, "picture_id": picture} for picture in pictures]
            upserts.insert_missing(session, BoardPictureRow, rows)
            return
        for some in upserts.parts(pictures):
            on = (BoardPictureRow.board == board, BoardPictureRow.picture_id.in_(some))
            session.execute(sa.delete(BoardPictureRow).where(*on))
    else:
        raise ValueError(f"action {str(action)[:40]!r} is not known")


def _tell(session: Session) -> Iterator[Line]:
    """The lines that lead to what the tables say."""
    for board in session.scalars(sa.select(BoardRow).order_by(BoardRow.id)):
        yield {"action": "make", "board": board.id, "name": board.name}
        query = sa.select(BoardPictureRow.picture_id).where(BoardPictureRow.board == board.id)
        pictures: Iterable[str] = session.scalars(query.order_by(BoardPictureRow.picture_id))
        if on_it := list(pictures):
            yield {"action": "add", "board": board.id, "pictures": on_it}
