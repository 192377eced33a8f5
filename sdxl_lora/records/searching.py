"""What the gallery looks for: whole words and filters, as conditions on the table of pictures.

A picture is found by the words of its prompt, negative prompt, model, template, slots, LoRAs, seed and product number.
They are kept in one column as ` red jacket ... ` with a space on both sides, so that `red` does not find `tailored`.
Scripts that are written without spaces are searched character by character.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict

import sqlalchemy as sa

from sdxl_lora.records.tables import BoardPictureRow, FoundByRow, PictureLoraRow, PictureRow, VoteRow

Verdict = Literal["approved", "rejected", "open"]
Order = Literal["newest", "oldest", "best", "worst"]  # by time, by score

LEAST_SCORE = -1.0  # of a cosine; what has none is below it
_BEGINS = "*"  # at the end of a word that is searched: whatever begins so
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_SYMBOLS = "\u2190-\u2bff\U0001f000-\U0001faff"  # arrows, dingbats, emoji: each is a word
_WORD = re.compile(rf"[{_UNSPACED}{_SYMBOLS}]|(?:(?![{_UNSPACED}_])\w)+")
_SEARCHED = re.compile(rf"(?:{_WORD.pattern})\{_BEGINS}?")


class Filters(TypedDict, total=False):
    """Which pictures; all of them must hold."""

    search: str  # words that must all occur; `jack*` finds what begins so; case is ignored
    favourite: bool | None  # True: only favourites; False: only the others
    session: str | None  # only what this browser session asked for
    verdict: Verdict | None  # what people said; "open": nothing yet
    model: str | None  # only pictures of this model
    since: datetime | None  # made then or later; with a time zone
    until: datetime | None  # made before then
    brand: str | None  # only pictures of this brand, exactly; "": of none
    sku: str | None  # only of this product number; `AB-1*`: of those that begin so; case is ignored
    lora: str | None  # only those drawn with this LoRA
    seed: int | None
    board: str | None  # only what is on the board of this id
    min_score: float | None  # of the judge that the picture was scored by; only those that have a score


def words_of(texts: Iterable[str]) -> str:
    """The words of `texts` as they are kept, each once."""
    found = dict.fromkeys(word for text in texts for word in _WORD.findall(fold(text)))
    return f" {' '.join(found)} "


def fold(text: str) -> str:
    """`text` as it is searched: compatibility forms unified, case removed, in every script."""
    return unicodedata.normalize("NFKC", text).casefold()


def request_words(request: Mapping[str, Any]) -> str:
    """The words of a request as its JSON says it, which may be another version's; what has no words is passed over."""
    texts = [request.get(name) for name in ("prompt", "negative_prompt", "model", "template", "seed", "sku")]
    texts += [pair[-1] for pair in _lists(request.get("slots")) if pair]
    texts += [lora.get("path") for lora in _list(request.get("loras")) if isinstance(lora, dict)]
    return words_of(str(text) for text in texts if isinstance(text, str | int))


def conditions(filters: Filters) -> list[sa.ColumnElement[bool]]:
    """What a row of the table must fulfil."""
    return [*_of_words(filters.get("search", "")), *_of_picture(filters), *_of_request(filters)]


def order_by(order: Order) -> tuple[sa.ColumnElement[Any], ...]:
    """The columns that sort, of which the last is unique."""
    columns = (PictureRow.score, PictureRow.id) if order in ("best", "worst") else (PictureRow.id,)
    return tuple(column.desc() if order in ("newest", "best") else column.asc() for column in columns)


def key_of(row: PictureRow, order: Order) -> str:
    """Where in the order a picture stands, as it can be in an address."""
    return f"{row.score!r},{row.id}" if order in ("best", "worst") else row.id


def from_key(key: str, order: Order, *, before: bool = False) -> sa.ColumnElement[bool] | None:
    """What stands at a key or after it (`before`: before it); None for what is no key."""
    score, comma, identifier = key.rpartition(",")
    place: sa.ColumnElement[Any]
    there: sa.ColumnElement[Any]
    if order in ("newest", "oldest"):
        if comma or not key:
            return None
        place, there = PictureRow.id.expression, sa.literal(identifier)
    else:
        try:
            place, there = sa.tuple_(PictureRow.score, PictureRow.id), sa.tuple_(float(score), identifier)
        except ValueError:
            return None
    downwards = order in ("newest", "best")
    if before:
        return place > there if downwards else place < there
    return place <= there if downwards else place >= there


def _of_words(text: str) -> list[sa.ColumnElement[bool]]:
    search = fold(text).strip()
    words = _SEARCHED.findall(search)
    if search and not words:
        return [sa.false()]  # only marks, which no picture is found by
    if not words:
        return []
    found = []
    for word in words:
        begins = word.endswith(_BEGINS)
        kept = f" {word.removesuffix(_BEGINS)}" if begins else f" {word} "
        found.append(FoundByRow.words.contains(kept, autoescape=True))
    return [PictureRow.id.in_(sa.select(FoundByRow.picture_id).where(*found))]


def _of_picture(filters: Filters) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if (favourite := filters.get("favourite")) is not None:
        found.append(PictureRow.favourite.is_(favourite))
    if (session := filters.get("session")) is not None:
        found.append(PictureRow.session == session)
    if (model := filters.get("model")) is not None:
        found.append(PictureRow.model == model)
    if (least := filters.get("min_score")) is not None:
        found.append(PictureRow.score >= max(least, LEAST_SCORE))
    if (board := filters.get("board")) is not None:
        on_it = sa.select(BoardPictureRow.picture_id).where(BoardPictureRow.board == board)
        found.append(PictureRow.id.in_(on_it))
    if (since := filters.get("since")) is not None:
        found.append(PictureRow.created_at >= since.astimezone(UTC).replace(tzinfo=None))
    if (until := filters.get("until")) is not None:
        found.append(PictureRow.created_at < until.astimezone(UTC).replace(tzinfo=None))
    if (verdict := filters.get("verdict")) is not None:
        voted = sa.select(VoteRow.picture_id)
        if verdict == "open":
            found.append(PictureRow.id.not_in(voted))
        else:
            found.append(PictureRow.id.in_(voted.where(VoteRow.approved.is_(verdict == "approved"))))
    return found


def _of_request(filters: Filters) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if (brand := filters.get("brand")) is not None:
        found.append(FoundByRow.brand == brand)
    if (seed := filters.get("seed")) is not None:
        found.append(FoundByRow.seed == seed)
    if sku := fold(filters.get("sku") or "").strip():
        begins = sku.endswith(_BEGINS)
        number = FoundByRow.sku
        found.append(number.startswith(sku[:-1], autoescape=True) if begins else number == sku)
    narrow: list[sa.ColumnElement[bool]] = (
        [PictureRow.id.in_(sa.select(FoundByRow.picture_id).where(*found))] if found else []
    )
    if (lora := filters.get("lora")) is not None:
        narrow.append(
            PictureRow.id.in_(sa.select(PictureLoraRow.picture_id).where(PictureLoraRow.lora == lora))
        )
    return narrow


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _lists(value: Any) -> list[list[Any]]:
    return [item for item in _list(value) if isinstance(item, list)]
