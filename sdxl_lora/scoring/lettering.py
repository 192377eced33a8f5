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

MIN_LETTERS = 4  # shorter findings on plain garments are noise, and shorter names stand in too many words
READ = 0.9  # similarity from which the brand counts as read: one wrong letter in ten
MISREAD = 0.4  # similarity from which a text counts as an attempt at the brand
_USUAL_SIDE = 736  # px; rapidocr's own
INSTALL = "pip install rapidocr==3.10.0 onnxruntime"

Pixels = NDArray[np.uint8]  # [height, width, 3], RGB
State = Literal["read", "misread", "not readable"]


@dataclass(frozen=True)
class OcrLine:
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
    words: tuple[OcrLine, ...] = ()  # everything that was read on the picture, with where it stands


def available() -> bool:
    """Whether OCR is installed here."""
    return find_spec("rapidocr") is not None and find_spec("onnxruntime") is not None


def read_words(pixels: Pixels, *, at_its_size: bool = False) -> list[OcrLine]:
    """All text on a picture [height, width, 3] uint8 RGB. Raises `ModelUnavailableError` without rapidocr.

    `at_its_size`: not enlarged until its shorter side is `_USUAL_SIDE`, as is usual, which takes a strip very long.
    """
    result = _reader(at_its_size)(np.ascontiguousarray(pixels[:, :, ::-1]))  # rapidocr takes BGR arrays
    if result.txts is None:
        return []
    return [
        OcrLine(text, float(score), tuple((float(x), float(y)) for x, y in box))
        for text, score, box in zip(result.txts, result.scores, result.boxes, strict=True)
    ]


def judge(words: Sequence[OcrLine], brand: str) -> Lettering:
    """Compares what was read with the brand that was asked for: letters and digits of any script, in any case.

    Lines are tried alone and joined from top to bottom, since "THE NORTH FACE" stands on three of them. A name
    without any letter or digit cannot be looked for, which is "not readable". A name within a longer line counts as
    read ("NIKE AIR"), one of fewer than `MIN_LETTERS` only as words of their own ("HM" stands in "FASHMAP"), and such
    a short one is never misread: too many words are nearly it.
    """
    wanted = letters(brand)
    if not wanted:
        return Lettering("not readable", 0.0, "", tuple(words))
    shortest = min(MIN_LETTERS, max(2, len(wanted)))
    lines = [item.text for item in words]
    candidates = [*lines, " ".join(lines)] if len(lines) > 1 else lines
    scored = [
        (1.0 if _stands_in(wanted, line) else Indel.normalized_similarity(wanted, text), text)
        for line in candidates
        if len(text := letters(line)) >= shortest
    ]
    if len(wanted) < MIN_LETTERS:
        scored = [(similarity, text) for similarity, text in scored if similarity == 1.0]
    similarity, text = max(scored, default=(0.0, ""))
    state: State = "read" if similarity >= READ else "misread" if similarity >= MISREAD else "not readable"
    return Lettering(state, float(similarity), text, tuple(words))


def letters(text: str) -> str:
    """Letters and digits of `text` in upper case, accents and full-width forms resolved (NFKD)."""
    return "".join(c for c in unicodedata.normalize("NFKD", text).upper() if c.isalnum())


def _stands_in(wanted: str, line: str) -> bool:
    """Whether the name is in the line: anywhere if it is long enough, else as a run of whole words."""
    if len(wanted) >= MIN_LETTERS:
        return wanted in letters(line)
    words = [word for part in line.split() if (word := letters(part))]
    runs = ("".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, len(words) + 1))
    return wanted in runs


@lru_cache(maxsize=2)
def _reader(at_its_size: bool) -> Any:
    if not available():
        raise ModelUnavailableError(f"OCR is not installed: {INSTALL}")
    from rapidocr import RapidOCR

    logging.getLogger("RapidOCR").setLevel(logging.ERROR)
    params: dict[str, Any] = {"Global.log_level": "error"}
    if at_its_size:
        params |= {"Det.limit_type": "max", "Det.limit_side_len": _USUAL_SIDE}
    return RapidOCR(params=params)


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
