"""The store of pictures: add, look up, browse, mark, delete.

A picture's file is written and flushed before its row is committed, and deleted before its row is: a crash
leaves at most a file without a row, which the next start enters again from its own text, or a row without a
file, which the next start drops (`records.reconcile`). Several threads and processes may use one folder at
once. Knows nothing of models.
"""

import contextlib
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from PIL import Image
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from sdxl_lora.errors import NotFoundError, StorageError
from sdxl_lora.records import files, layout, metadata
from sdxl_lora.records.database import DatabaseUser, PictureRow, fold, picture_values, storage_errors
from sdxl_lora.records.reconcile import reconcile
from sdxl_lora.request import GenerationRequest
from sdxl_lora.scoring.card import ScoreCard

logger = logging.getLogger(__name__)

THUMBNAIL_SIDE = 320  # px, the longer side


@dataclass(frozen=True, kw_only=True)
class Record:
    """One picture made."""

    id: str  # sorts by time
    path: Path  # of the PNG
    created_at: datetime  # UTC
    request: GenerationRequest  # of this one picture: its own seed, count 1
    card: ScoreCard  # how good it is, and how it was chosen
    seconds: float  # wall clock
    session: str  # browser session that asked for it; "" = command line, or unknown
    favourite: bool
    width: int  # px
    height: int  # px


class Store(DatabaseUser):
    """All pictures under one folder.

    Opening it repairs what a crash left behind, as far as the disk allows; `notices` holds what the user should
    be told about that, one line each. Opening and every method raise `StorageError` where the disk refuses.
    """

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.home = home
        try:
            with storage_errors(self._database):
                repaired = reconcile(home, self._engine)
        except StorageError as error:  # what was kept can still be looked at, and deleted to make room
            logger.warning("not repaired: %s", error)
            repaired = (str(error),)
        self.notices += repaired

    def add(
        self,
        image: Image.Image,
        *,
        request: GenerationRequest,
        card: ScoreCard | None = None,
        seconds: float = 0.0,
        session: str = "",
    ) -> Record:
        """Keep `image`: file first, then row; if either fails, neither remains.

        Args:
            request: resolved, of this one picture (`GenerationRequest.for_picture`).
            card: what was found out about it; None = it was not scored.
            seconds: wall-clock time it took.
            session: browser session that asked for it; not written into the file.
        """
        now = datetime.now(UTC)
        identifier = layout.new_id(now)
        path = layout.picture_path(self.home, identifier)
        values = picture_values(
            identifier,
            created_at=now,
            request=request,
            scores=(card or ScoreCard()).to_dict(),
            seconds=seconds,
            size=image.size,
            session=session,
        )
        files.write_atomically(
            path, metadata.embed(image, request, card=card, seconds=seconds, created_at=now)
        )
        committed = False
        try:
            with self._session() as connection, connection.begin():
                statement = insert(PictureRow).values(values)
                # a process that started just now may have entered the file already, without the session
                connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))
            committed = True
        finally:
            if not committed:
                path.unlink(missing_ok=True)
        return self.get(identifier)

    def get(self, identifier: str) -> Record:
        """The record of that id. Raises `NotFoundError` if there is none."""
        with self._session() as session:
            row = session.get(PictureRow, identifier)
            if row is None:
                raise NotFoundError(f"there is no picture {identifier[:80]!r}; it may have been deleted")
            return self._record(row)

    def page(
        self,
        offset: int = 0,
        limit: int = 24,
        *,
        search: str = "",
        favourite: bool | None = None,
        session: str | None = None,
    ) -> list[Record]:
        """Records, newest first.

        Args:
            search: words that must all occur in prompt, negative prompt, model, template, slots, LoRA names
                or seed; case is ignored.
            favourite: True: only favourites; False: only the others.
            session: only what this browser session asked for.
        """
        query = sa.select(PictureRow).where(*_conditions(search, favourite, session))
        query = query.order_by(PictureRow.id.desc()).offset(max(offset, 0)).limit(max(limit, 0))
        with self._session() as connection:
            return [self._record(row) for row in connection.scalars(query)]

    def count(self, *, search: str = "", favourite: bool | None = None, session: str | None = None) -> int:
        """How many records `page` goes through with the same filters."""
        query = sa.select(sa.func.count()).select_from(PictureRow)
        query = query.where(*_conditions(search, favourite, session))
        with self._session() as connection:
            return connection.scalar(query) or 0

    def delete(self, identifier: str) -> None:
        """Remove picture, thumbnail and row for good. Raises `NotFoundError` if there is none."""
        record = self.get(identifier)
        with files.explained(record.path, "delete"):
            record.path.unlink(missing_ok=True)
            layout.thumbnail_path(self.home, identifier).unlink(missing_ok=True)
        with self._session() as session, session.begin():
            session.execute(sa.delete(PictureRow).where(PictureRow.id == identifier))

    def mark_favourite(self, identifier: str, favourite: bool = True) -> Record:
        """Set or clear the favourite mark. Raises `NotFoundError` if there is no such picture."""
        with self._session() as session, session.begin():
            change = sa.update(PictureRow).where(PictureRow.id == identifier)
            session.execute(change.values(favourite=favourite))
        return self.get(identifier)

    def thumbnail(self, record: Record) -> Path:
        """WebP of at most 320 px a side, made once; the picture itself where no thumbnail can be made."""
        path = layout.thumbnail_path(self.home, record.id)
        if path.exists():
            return path
        buffer = io.BytesIO()
        try:
            with Image.open(record.path) as image:
                image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
                image.save(buffer, format="WEBP", quality=85)
            files.write_atomically(path, buffer.getvalue())
        except (OSError, StorageError) as error:
            # a full disk, or a picture deleted meanwhile, must not take the gallery down
            logger.warning("no thumbnail for %s: %s", record.id, error)
            return record.path
        return path

    @contextlib.contextmanager
    def _session(self) -> Iterator[Session]:
        with storage_errors(self._database), Session(self._engine) as session:
            yield session

    def _record(self, row: PictureRow) -> Record:
        return Record(
            id=row.id,
            path=layout.picture_path(self.home, row.id),
            created_at=row.created_at.replace(tzinfo=UTC),
            request=GenerationRequest.from_dict(row.request),
            card=ScoreCard.from_dict(row.scores),
            seconds=row.seconds,
            session=row.session,
            favourite=row.favourite,
            width=row.width,
            height=row.height,
        )


def _conditions(search: str, favourite: bool | None, session: str | None) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = [
        PictureRow.search_text.contains(word, autoescape=True) for word in fold(search).split()
    ]
    if favourite is not None:
        conditions.append(PictureRow.favourite.is_(favourite))
    if session is not None:
        conditions.append(PictureRow.session == session)
    return conditions
