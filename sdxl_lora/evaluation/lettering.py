"""Brand text as the evaluation counts it; the reading itself is `scoring.lettering`.

Kept here: how what was read is stored in the cache of measurements.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from sdxl_lora.scoring.lettering import (
    INSTALL,
    MIN_LETTERS,
    MISREAD,
    READ,
    Lettering,
    State,
    Words,
    available,
    judge,
    letters,
    read_words,
)

__all__ = [
    "INSTALL",
    "MIN_LETTERS",
    "MISREAD",
    "READ",
    "Lettering",
    "State",
    "Words",
    "available",
    "decode",
    "encode",
    "judge",
    "letters",
    "read_words",
]


def encode(words: Sequence[Words]) -> NDArray[np.uint8]:
    """For the cache: JSON as bytes."""
    return np.frombuffer(json.dumps([asdict(item) for item in words]).encode(), dtype=np.uint8)


def decode(data: NDArray[np.uint8]) -> list[Words]:
    """Inverse of `encode`."""
    return [
        Words(item["text"], item["confidence"], tuple((x, y) for x, y in item["box"]))
        for item in json.loads(data.tobytes())
    ]
