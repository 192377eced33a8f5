"""The chain after decoding: steps that a picture's request switches on, in the order of their stages.

The order is fixed here, whoever adds a step: what changes pixels comes first, then the score, of the picture that
people will look at; an invisible watermark changes pixels after it was scored; what is written into the file comes
next, a signature over all of that, and the store last.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdxl_lora.records import Record
from sdxl_lora.records.iptc import SourceType
from sdxl_lora.records.places import Place
from sdxl_lora.request import GenerationRequest
from sdxl_lora.scoring.card import ScoreCard


class Stage(IntEnum):
    """Where in the chain a step works."""

    UPSCALE = 1
    DETAIL = 2  # that the model draws
    RECOLOUR = 3
    COMPOSITE = 4  # a logo
    BACKGROUND = 5
    SCORE = 6
    WATERMARK = 7  # invisible
    EMBED = 8
    SIGN = 9
    STORE = 10


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One picture on its way through the chain."""

    image: Image.Image
    request: GenerationRequest  # of this one picture, with its own seed
    seconds: float = 0.0  # wall clock, of drawing it
    session: str = ""
    cancel: threading.Event | None = None  # ends what takes long
    place: Place | None = None  # in a job; None: it belongs to none
    card: ScoreCard | None = None  # None: not judged yet; a search has judged its own
    unscored: str | None = None  # one line: why there is no score
    source_type: SourceType = SourceType.GENERATED  # what the file says it is
    untouched: NDArray[np.bool_] | None = None  # (height, width), pixels that no mark may change
    notice: str | None = None  # one line: what else could not be done
    bare: Image.Image | None = None  # before logos were put on: the product is found there
    sewn: NDArray[np.float32] | None = None  # (height, width), 0..1: embroidery that a model may draw over
    watermarked: bool = False
    data: bytes | None = None  # the file, once it was written
    created_at: datetime | None = None  # UTC, that the file says
    record: Record | None = None  # once it is kept


def noted(piece: Piece, line: str) -> Piece:
    """The piece with one more thing to tell; "" = nothing."""
    return replace(piece, notice="; ".join(filter(None, [piece.notice, line])) or None)


class Step(Protocol):
    """One thing that is done to a picture."""

    @property
    def stage(self) -> Stage:
        """Where in the chain it works."""

    def wanted(self, piece: Piece) -> bool:
        """Whether this picture's request asks for it."""

    def __call__(self, piece: Piece) -> Piece:
        """The picture with it done. Raises `StudioError`."""


class Chain:
    """Steps in the order of their stages, whatever the order they are given in; of one stage, in that order."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self.steps = tuple(sorted(steps, key=lambda step: step.stage))

    def __call__(self, piece: Piece) -> Piece:
        """The picture after every step that it wants."""
        for step in self.steps:
            if step.wanted(piece):
                piece = step(piece)
        return piece
