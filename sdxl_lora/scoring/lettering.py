"""Brand text on the garment, read by OCR: read, misread, or not readable; never "absent".

PP-OCRv6 small in `rapidocr` (its models are in its wheel) finds block letters with high precision and small
or stylised ones rarely: on 19 lettered pictures it found 5 at precision 1.0. A picture on which nothing can
be read therefore has no value, and the counts of the three states stand beside the share. Optional: needs
`rapidocr` and `onnxruntime`.
"""

import logging
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rapidfuzz.distance import Indel

from sdxl_lora.errors import ModelUnavailableError

MIN_LETTERS = 4  # shorter findings on plain garments are noise
READ = 0.9  # similarity from which the brand counts as read: one wrong letter in ten
MISREAD = 0.4  # similarity from which a text counts as an attempt at the brand
INSTALL = "pip install rapidocr==3.10.0 onnxruntime"

Pixels = NDArray[np.uint8]  # [height, width, 3], RGB
State = Literal["read", "misread", "not readable"]


@dataclass(frozen=True)
class Words:
    """One line of text on a picture."""

    text: str
    confidence: float  # 0..1
    box: tuple[tuple[float, float], ...]  # four corners, px of the picture


@dataclass(frozen=True)
class Lettering:
    """What became of the brand's name on one picture."""

    state: State
    similarity: float  # of the most similar text: 1 - (insertions + deletions) / both lengths; 0 without one
    text: str
    words: tuple[Words, ...] = ()  # everything that was read on the picture, with where it stands


def available() -> bool:
    """Whether OCR is installed here."""
    return find_spec("rapidocr") is not None and find_spec("onnxruntime") is not None


def read_words(pixels: Pixels) -> list[Words]:
    """All text on a picture [height, width, 3] uint8 RGB. Raises `ModelUnavailableError` without rapidocr."""
    result = _reader()(np.ascontiguousarray(pixels[:, :, ::-1]))  # rapidocr takes BGR arrays
    if result.txts is None:
        return []
    return [
        Words(text, float(score), tuple((float(x), float(y)) for x, y in box))
        for text, score, box in zip(result.txts, result.scores, result.boxes, strict=True)
    ]


def judge(words: Sequence[Words], brand: str) -> Lettering:
    """Compares what was read with the brand that was asked for, letters A-Z only, in any case.

    Lines are tried alone and joined from top to bottom, since "THE NORTH FACE" stands on three of them.
    """
    wanted = letters(brand)
    shortest = min(MIN_LETTERS, max(2, len(wanted)))
    found = [letters(item.text) for item in words]
    texts = [text for text in found if len(text) >= shortest]
    joined = "".join(found)
    if len(found) > 1 and len(joined) >= shortest:
        texts.append(joined)
    # a brand within a longer line ("NIKE AIR") counts as read
    scored = [(1.0 if wanted in text else Indel.normalized_similarity(wanted, text), text) for text in texts]
    similarity, text = max(scored, default=(0.0, ""))
    state: State = "read" if similarity >= READ else "misread" if similarity >= MISREAD else "not readable"
    return Lettering(state, float(similarity), text, tuple(words))


def letters(text: str) -> str:
    """Upper-case A-Z of `text`, accents and full-width forms resolved (NFKD)."""
    return "".join(c for c in unicodedata.normalize("NFKD", text).upper() if "A" <= c <= "Z")


@lru_cache(maxsize=1)
def _reader() -> Any:
    if not available():
        raise ModelUnavailableError(f"OCR is not installed: {INSTALL}")
    from rapidocr import RapidOCR

    logging.getLogger("RapidOCR").setLevel(logging.ERROR)
    return RapidOCR(params={"Global.log_level": "error"})


class BrandTextScorer:
    """OCR behind the `Scorer` protocol: the texts are brand names, the score the similarity of what was read."""

    key = "brand_text"
    name = "brand text (OCR similarity)"

    def score(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        """0.4..1 where something like the brand was read; NaN where nothing was, which says nothing."""
        found = [self.read(image, brand) for image, brand in zip(images, texts, strict=True)]
        return [math.nan if one.state == "not readable" else one.similarity for one in found]

    def read(self, image: Image.Image, brand: str) -> Lettering:
        """What became of `brand` on the picture. Raises `ModelUnavailableError` where OCR is not installed."""
        return judge(read_words(np.asarray(image.convert("RGB"))), brand)
