"""Votes on recorded pictures, and what they teach: joins records, CLIP features and the preference.

A brand's preference is learned anew from its votes when one was added; that takes a second or two.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from sdxl_lora.errors import ImageError
from sdxl_lora.feedback.preference import Features, Preference, learn, order
from sdxl_lora.records import Database, Record
from sdxl_lora.records.votes import Vote, Votes
from sdxl_lora.scoring.base import default_scorer
from sdxl_lora.search import Attempt

if TYPE_CHECKING:
    from sdxl_lora.scoring.clip import ClipScorer


class Taste(Protocol):
    """Chooses among attempts as people would."""

    def favourite(self, attempts: Sequence[Attempt], brand: str = "") -> Attempt | None:
        """As `Reviews.favourite`."""


class Reviews:
    """All votes under one data folder; may be used by several threads."""

    def __init__(self, where: Path | Database, *, clip: Callable[[], ClipScorer] = default_scorer) -> None:
        self._votes = Votes(where)
        self._clip = clip
        self._lock = threading.Lock()
        self._learned: dict[str, tuple[tuple[Vote, ...], Preference]] = {}

    def vote(self, record: Record, *, approved: bool, tags: Sequence[str] = (), text: str = "") -> None:
        """Keeps a vote on a picture, in the name of the brand it was made for.

        Raises `ImageError` where the picture cannot be read, `ModelUnavailableError`, `StorageError`.
        """
        try:
            with Image.open(record.path) as opened:
                image = opened.convert("RGB")
        except OSError as error:
            raise ImageError(f"picture {record.id} cannot be read; it may have been deleted") from error
        self._votes.cast(
            record.id,
            approved=approved,
            model=self._clip().name,
            features=self._features([image])[0].tolist(),
            brand=brand_of(record),
            tags=tags,
            text=text,
        )

    def vote_on(self, record: Record) -> Vote | None:
        """The vote on a picture, if there is one."""
        return self._votes.find(record.id, brand_of(record))

    def verdicts(self, picture_ids: Iterable[str]) -> dict[str, bool]:
        """Picture -> whether it was approved, of those that have a vote."""
        return self._votes.verdicts(picture_ids)

    def votes(self, brand: str = "") -> list[Vote]:
        """Votes of a brand that the CLIP in use can learn from, oldest first."""
        return self._votes.of_brand(brand, model=self._clip().name)

    def preference(self, brand: str = "") -> Preference:
        """What the votes of a brand teach; `report.reason` says whether it is in use."""
        votes = tuple(self.votes(brand))
        with self._lock:
            known = self._learned.get(brand)
            if known is None or known[0] != votes:
                rows = [vote.features for vote in votes]
                features = np.array(rows, dtype=np.float64) if rows else np.empty((0, 0))
                known = votes, learn(features, [vote.approved for vote in votes])
                self._learned[brand] = known
            return known[1]

    def describe(self, record: Record, *, tags: Sequence[str], text: str) -> None:
        """Adds to a vote what is wrong with the picture; without a vote it does nothing."""
        self._votes.describe(record.id, brand_of(record), tags=tags, text=text)

    def withdraw(self, record: Record) -> None:
        """Takes a vote back."""
        self._votes.withdraw(record.id, brand_of(record))

    def reset(self, brand: str = "") -> None:
        """Forgets all votes of a brand, and what was learned from them."""
        self._votes.reset(brand)

    def favourite(self, attempts: Sequence[Attempt], brand: str = "") -> Attempt | None:
        """The attempt that people would like most, among those that fail fewest gates; None while it is off."""
        return Learned(self.preference(brand), clip=self._clip).favourite(attempts)

    def _features(self, images: Sequence[Image.Image]) -> Features:
        return _features(self._clip(), images)


class Learned:
    """What the votes of one brand have taught, for whoever has no votes."""

    def __init__(self, preference: Preference, *, clip: Callable[[], ClipScorer] = default_scorer) -> None:
        self._preference = preference
        self._clip = clip

    def favourite(self, attempts: Sequence[Attempt], brand: str = "") -> Attempt | None:
        """As `Reviews.favourite`, whatever the brand."""
        shown = [a for a in attempts if a.image is not None and a.judgement is not None]
        if not self._preference.report.on or not shown:
            return None
        features = _features(self._clip(), [a.image for a in shown if a.image is not None])
        judgements = [a.judgement for a in shown if a.judgement is not None]
        return shown[order(judgements, features, self._preference)[0]]


def _features(clip: ClipScorer, images: Sequence[Image.Image]) -> Features:
    found: Features = clip.embed_images(images).numpy().astype(np.float64)
    return found


def brand_of(record: Record) -> str:
    """The brand slot of the template the picture was made from; "" without one."""
    return dict(record.request.slots).get("brand", "").strip()
