"""What pictures are found by: a narrow row for each, beside the wide one with request and scores.

Looking through the words of 25,000 pictures then reads a few megabytes. A picture without such a row was entered by an
earlier version of this program, and gets it at the next start. Knows nothing of what is looked for (`searching`).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sdxl_lora.records import upserts
from sdxl_lora.records.database import Database
from sdxl_lora.records.searching import fold, request_words
from sdxl_lora.records.tables import EmbeddingRow, FoundByRow, PictureLoraRow, PictureRow

NOT_SCORED = -2.0  # below every cosine, so that those without a score sort last
_ROWS = (FoundByRow, PictureLoraRow, EmbeddingRow)  # all by `picture_id`


def columns(request: Any, scores: Any) -> dict[str, Any]:
    """What `PictureRow` keeps of request and scores beside their JSON, whatever version wrote it."""
    known, judged = _mapping(request), _mapping(_mapping(scores).get("clip")).get("value")
    score = float(judged) if isinstance(judged, int | float) and not isinstance(judged, bool) else NOT_SCORED
    return {
        "search_text": request_words(known),
        "model": str(known.get("model") or "unknown"),
        "score": score,
    }


def enter(session: Session, requests: Mapping[str, Any]) -> None:
    """Makes pictures (id -> request as JSON) findable; those that are stay as they are."""
    found = [_found_by(identifier, _mapping(request)) for identifier, request in requests.items()]
    loras = [
        {"lora": str(lora["path"]), "picture_id": identifier}
        for identifier, request in requests.items()
        for lora in _entries(_mapping(request).get("loras"))
        if lora.get("path")
    ]
    for row, values in ((FoundByRow, found), (PictureLoraRow, loras)):
        upserts.insert_missing(session, row, values)


def forget(identifiers: Iterable[str]) -> list[sa.Delete]:
    """Statements that take pictures out of everything that they are found by."""
    return [
        sa.delete(row).where(row.picture_id.in_(some))
        for row in _ROWS
        for some in upserts.parts(list(identifiers))
    ]


def complete(database: Database) -> None:
    """Rows for pictures that an earlier version entered, none for those that it deleted. Raises `StorageError`."""
    with database.reading() as session:
        known = sa.select(FoundByRow.picture_id)
        new = list(session.scalars(sa.select(PictureRow.id).where(PictureRow.id.not_in(known))))
        pictures = session.scalar(sa.select(sa.func.count()).select_from(PictureRow)) or 0
        rows = session.scalar(sa.select(sa.func.count()).select_from(FoundByRow)) or 0
    if rows + len(new) > pictures:
        with database.writing(repair=True) as session:
            for row in _ROWS:
                session.execute(sa.delete(row).where(row.picture_id.not_in(sa.select(PictureRow.id))))
    for some in upserts.parts(new):
        with database.writing(repair=True) as session:
            query = sa.select(PictureRow.id, PictureRow.request, PictureRow.scores)
            rows_of = session.execute(query.where(PictureRow.id.in_(some))).all()
            session.execute(
                sa.update(PictureRow),
                [{"id": one.id, **columns(one.request, one.scores)} for one in rows_of],
            )
            enter(session, {one.id: one.request for one in rows_of})


def _found_by(identifier: str, request: Mapping[str, Any]) -> dict[str, Any]:
    slots = {str(pair[0]): pair[-1] for pair in _lists(request.get("slots")) if pair}
    seed = request.get("seed")
    return {
        "picture_id": identifier,
        "words": request_words(request),
        "brand": str(request.get("brand") or slots.get("brand") or "").strip(),
        "sku": fold(str(request.get("sku") or "")).strip(),
        "seed": seed if isinstance(seed, int) and 0 <= seed < 2**63 else -1,
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _entries(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _lists(value: Any) -> list[list[Any]]:
    return [item for item in value if isinstance(item, list)] if isinstance(value, list) else []
