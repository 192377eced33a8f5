"""What the gallery looks for: whole words and filters, as conditions on the table of pictures.

A picture is found by the words of its prompt, negative prompt, model, template, slots, LoRAs and seed. They are kept in
one column as ` red jacket ... ` with a space on both sides, so that `red` does not find `tailored`. Scripts that are
written without spaces are searched character by character.
"""

import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict

import sqlalchemy as sa

from sdxl_lora.records.tables import PictureRow, VoteRow

Verdict = Literal["approved", "rejected", "open"]

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


def words_of(texts: Iterable[str]) -> str:
    """The words of `texts` as they are kept, each once."""
    found = dict.fromkeys(word for text in texts for word in _WORD.findall(fold(text)))
    return f" {' '.join(found)} "


def fold(text: str) -> str:
    """`text` as it is searched: compatibility forms unified, case removed, in every script."""
    return unicodedata.normalize("NFKC", text).casefold()


def request_words(request: dict[str, Any]) -> str:
    """The words of a request as its JSON says it, which may be another version's; what has no words is passed over."""
    texts = [request.get(name) for name in ("prompt", "negative_prompt", "model", "template", "seed")]
    texts += [pair[-1] for pair in _lists(request.get("slots")) if pair]
    texts += [lora.get("path") for lora in _list(request.get("loras")) if isinstance(lora, dict)]
    return words_of(str(text) for text in texts if isinstance(text, str | int))


def conditions(filters: Filters) -> list[sa.ColumnElement[bool]]:
    """What a row of the table must fulfil."""
    found: list[sa.ColumnElement[bool]] = []
    search = fold(filters.get("search", "")).strip()
    words = _SEARCHED.findall(search)
    if search and not words:
        found.append(sa.false())  # only marks, which no picture is found by
    for word in words:
        begins = word.endswith(_BEGINS)
        text = f" {word.removesuffix(_BEGINS)}" if begins else f" {word} "
        found.append(PictureRow.search_text.contains(text, autoescape=True))
    if (favourite := filters.get("favourite")) is not None:
        found.append(PictureRow.favourite.is_(favourite))
    if (session := filters.get("session")) is not None:
        found.append(PictureRow.session == session)
    if (model := filters.get("model")) is not None:
        found.append(PictureRow.model == model)
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


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _lists(value: Any) -> list[list[Any]]:
    return [item for item in _list(value) if isinstance(item, list)]
