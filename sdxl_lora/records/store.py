"""The store of pictures: add, look up, browse, mark, delete.

A picture's file is written and flushed before its row is committed, and deleted before its row is: a crash
leaves at most a file without a row, which the next start enters again from its own text, or a row without a
file, which the next start drops (`records.reconcile`). Several threads and processes may use one folder at
once. Knows nothing of models.
"""

import io
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Unpack

import sqlalchemy as sa
from PIL import Image
from sqlalchemy.orm import Session

from sdxl_lora import files
from sdxl_lora.errors import LeaseLostError, NotFoundError, StorageError
from sdxl_lora.records import finding, layout, metadata, places, upserts
from sdxl_lora.records.database import Database, Repository
from sdxl_lora.records.journal import Journal, Line
from sdxl_lora.records.places import Place
from sdxl_lora.records.reading import known_request
from sdxl_lora.records.reconcile import picture_values, reconcile
from sdxl_lora.records.searching import Filters, Order, conditions, from_key, key_of, order_by
from sdxl_lora.records.tables import FoundByRow, PictureLoraRow, PictureRow, TrashRow
from sdxl_lora.records.trash import Trash
from sdxl_lora.request import GenerationRequest
from sdxl_lora.scoring.card import ScoreCard

logger = logging.getLogger(__name__)

THUMBNAIL_SIDE = 320  # px, the longer side
_THUMBNAIL_QUALITY = 95  # at 85 the invisible mark becomes blotches on plain backdrops


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
    left_out: tuple[str, ...] = ()  # what a newer version says in the request, and this one does not know


@dataclass(frozen=True, kw_only=True)
class View:
    """A page of pictures, and the keys of its neighbours."""

    records: tuple[Record, ...]
    count: int  # of all pictures that pass the filters
    before: int  # how many of them come before this page
    next: str  # where the next page starts; "" = there is none
    previous: str  # where the page before starts; "" = at the first picture, or there is none


_BACKWARDS: dict[Order, Order] = {"newest": "oldest", "oldest": "newest", "best": "worst", "worst": "best"}


class Store(Repository):
    """All pictures under one folder.

    Opening it repairs what a crash left behind, as far as the disk allows; `notices` holds what the user should
    be told about that, one line each. `noted` is told the id of every picture that is added, and has to return at
    once. Opening and every method raise `StorageError` where the disk refuses.
    """

    def __init__(self, where: Database | Path) -> None:
        super().__init__(where)
        self.trash = Trash(self.database)
        self.noted: Callable[[str], None] = _nobody
        self._favourites = Journal(self.database, "favourites.jsonl", enter=_enter, tell=_tell)
        try:
            repaired = reconcile(self.database)
            self.trash.catch_up()
            self._favourites.catch_up()
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
        data = metadata.embed(image, request, card=card, seconds=seconds, created_at=now)
        return self.add_file(
            data,
            size=image.size,
            request=request,
            card=card,
            seconds=seconds,
            session=session,
            created_at=now,
        )

    def add_file(
        self,
        data: bytes,
        *,
        size: tuple[int, int],
        request: GenerationRequest,
        card: ScoreCard | None,
        seconds: float,
        session: str,
        created_at: datetime,
        place: Place | None = None,
    ) -> Record:
        """Keep a finished file byte for byte, as `add` does; `size` is (width, height) in px, `created_at` UTC.

        `place`: where in a job it belongs; if the picture of that place is there already, that one is returned.
        Raises `LeaseLostError` where another process goes on with the job.
        """
        if place is None:
            with self.database.reading() as connection:
                identifier = layout.new_id(created_at, after=_newest(connection))
        else:
            with self.database.writing() as connection:
                identifier, there = places.reserve(connection, place, created_at)
            if there:
                return self.get(identifier)
        path = layout.picture_path(self.home, identifier)
        values = picture_values(
            identifier,
            created_at=created_at,
            request=request.to_dict(),
            scores=(card or ScoreCard()).to_dict(),
            seconds=seconds,
            size=size,
            session=session,
        )
        files.write_atomically(path, data)
        committed = False
        try:
            with self.database.writing() as connection:
                # a process that started just now may have entered the file already, without the session
                upserts.insert_or_update(connection, PictureRow, values)
                finding.enter(connection, {identifier: values["request"]})
                if place is not None:
                    places.confirm(connection, place)
            committed = True
        except LeaseLostError:
            # whoever took the job over may have entered the file in our place
            committed = place is not None and places.names(self.database, place, identifier)
            raise
        finally:
            if not committed:
                path.unlink(missing_ok=True)
        self.noted(identifier)
        return self._record(SimpleNamespace(**values))

    def get(self, identifier: str) -> Record:
        """The record of that id. Raises `NotFoundError` if there is none."""
        with self.database.reading() as session:
            row = session.get(PictureRow, identifier)
            if row is None:
                raise NotFoundError(f"there is no picture {identifier[:80]!r}; it may have been deleted")
            return self._record(row)

    def page(self, offset: int = 0, limit: int = 24, **filters: Unpack[Filters]) -> list[Record]:
        """Records that pass the filters, newest first."""
        query = sa.select(PictureRow).where(*conditions(filters))
        query = query.order_by(PictureRow.id.desc()).offset(max(offset, 0)).limit(max(limit, 0))
        with self.database.reading() as connection:
            return [self._record(row) for row in connection.scalars(query)]

    def count(self, **filters: Unpack[Filters]) -> int:
        """How many records `page` goes through with the same filters."""
        query = sa.select(sa.func.count()).select_from(PictureRow).where(*conditions(filters))
        with self.database.reading() as connection:
            return connection.scalar(query) or 0

    def view(
        self, start: str = "", limit: int = 24, order: Order = "newest", **filters: Unpack[Filters]
    ) -> View:
        """Some of the pictures that pass the filters, from the one at the key `start` on; "" = the first.

        Reads by the key and never counts rows off, so that the last page costs what the first does. A picture that
        was deleted meanwhile leaves its key as a place. What is no key is the first page.
        """
        chosen = conditions(filters)
        here, left = from_key(start, order), from_key(start, order, before=True)
        query = sa.select(PictureRow).where(*chosen)
        counted = sa.select(sa.func.count()).select_from(PictureRow).where(*chosen)
        onwards = order_by(order)
        backwards = order_by(_BACKWARDS[order])
        with self.database.reading() as session:
            count = session.scalar(counted) or 0
            rows = list(
                session.scalars(
                    (query if here is None else query.where(here)).order_by(*onwards).limit(limit + 1)
                )
            )
            earlier: list[PictureRow] = []
            before = 0
            if left is not None:
                before = session.scalar(counted.where(left)) or 0
                earlier = list(session.scalars(query.where(left).order_by(*backwards).limit(limit)))
            return View(
                records=tuple(self._record(row) for row in rows[:limit]),
                count=count,
                before=before,
                next=key_of(rows[limit], order) if len(rows) > limit else "",
                previous=key_of(earlier[-1], order) if before > limit else "",
            )

    def ids(self, **filters: Unpack[Filters]) -> list[str]:
        """The ids that pass the filters, newest first."""
        query = sa.select(PictureRow.id).where(*conditions(filters)).order_by(PictureRow.id.desc())
        with self.database.reading() as session:
            return list(session.scalars(query))

    def there(self, identifiers: Sequence[str]) -> set[str]:
        """Those of a few ids that are pictures'."""
        with self.database.reading() as session:
            return set(session.scalars(sa.select(PictureRow.id).where(PictureRow.id.in_(identifiers))))

    def those(self, identifiers: Sequence[str]) -> list[Record]:
        """The records of these ids, in their order; those that are gone are left out."""
        with self.database.reading() as session:
            rows = session.scalars(sa.select(PictureRow).where(PictureRow.id.in_(identifiers)))
            found = {row.id: self._record(row) for row in rows}
        return [found[identifier] for identifier in identifiers if identifier in found]

    def models(self) -> list[str]:
        """The models that pictures were made with, by name."""
        return self._distinct(PictureRow.model)

    def brands(self) -> list[str]:
        """The brands of pictures, by name."""
        return [name for name in self._distinct(FoundByRow.brand) if name]

    def loras(self) -> list[str]:
        """The LoRAs that pictures were drawn with, as their requests name them."""
        return self._distinct(PictureLoraRow.lora)

    def _distinct(self, column: sa.orm.InstrumentedAttribute[str]) -> list[str]:
        """Every value of an indexed column once, by jumping from one to the next: few among many rows."""
        found: list[str] = []
        with self.database.reading() as session:
            query = sa.select(sa.func.min(column))
            value = session.scalar(query)
            while value is not None:
                found.append(value)
                value = session.scalar(query.where(column > value))
        return found

    def delete(self, identifier: str) -> None:
        """Remove picture, thumbnail and row for good, on a full disk too. Raises `NotFoundError` if there is none.

        What people delete goes to `trash` first.
        """
        record = self.get(identifier)
        with files.storage_errors(record.path, "delete"):
            record.path.unlink(missing_ok=True)
            layout.thumbnail_path(self.home, identifier).unlink(missing_ok=True)
        self.database.forget(
            sa.delete(PictureRow).where(PictureRow.id == identifier), *finding.forget([identifier])
        )

    def mark_favourite(self, identifier: str, favourite: bool = True) -> Record:
        """Set or clear the favourite mark. Raises `NotFoundError` if there is no such picture."""
        self.get(identifier)
        self._favourites.append({"picture": identifier, "favourite": favourite})
        return self.get(identifier)

    def thumbnail(self, record: Record) -> Path:
        """WebP of at most 320 px a side, made once; the picture itself where no thumbnail can be made."""
        return self.thumbnail_of(record.id, record.path)

    def thumbnail_of(self, identifier: str, picture: Path) -> Path:
        """As `thumbnail`, of a picture whose file lies at `picture`: one of the trash, too."""
        path = layout.thumbnail_path(self.home, identifier)
        if path.exists():
            return path
        buffer = io.BytesIO()
        try:
            with Image.open(picture) as image:
                image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
                image.save(buffer, format="WEBP", quality=_THUMBNAIL_QUALITY)
            files.write_atomically(path, buffer.getvalue())
        except (OSError, StorageError) as error:
            # a full disk, or a picture deleted meanwhile, must not take the gallery down
            logger.warning("no thumbnail for %s: %s", identifier, error)
            return picture
        return path

    def _record(self, row: PictureRow | SimpleNamespace) -> Record:
        request, left_out = known_request(row.request)
        return Record(
            id=row.id,
            path=layout.picture_path(self.home, row.id),
            created_at=row.created_at.replace(tzinfo=UTC),
            request=request,
            card=ScoreCard.from_dict(row.scores),
            seconds=row.seconds,
            session=row.session,
            favourite=row.favourite,
            width=row.width,
            height=row.height,
            left_out=left_out,
        )


def _newest(session: Session) -> str:
    """The id of the newest picture; "" = there is none."""
    return session.scalar(sa.select(sa.func.max(PictureRow.id))) or ""


def _nobody(identifier: str) -> None:
    """Whom a picture is told to where nobody asks."""


def _enter(session: Session, line: Line) -> None:
    change = sa.update(PictureRow).where(PictureRow.id == str(line["picture"]))
    session.execute(change.values(favourite=bool(line["favourite"])))
    deleted = sa.update(TrashRow).where(TrashRow.id == str(line["picture"]))
    session.execute(deleted.values(favourite=bool(line["favourite"])))


def _tell(session: Session) -> Iterable[Line]:
    marked = [sa.select(row.id).where(row.favourite.is_(True)) for row in (PictureRow, TrashRow)]
    ids = session.scalars(sa.union_all(*marked).order_by("id"))
    return [{"picture": identifier, "favourite": True} for identifier in ids]
