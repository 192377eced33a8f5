"""Picture files as sRGB pixels, read once (`data.images`), with what had to be done to them; and the baselines that
are made of them. Knows nothing of metrics.
"""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdxl_lora.data import images
from sdxl_lora.errors import ImageError

Pixels = NDArray[np.uint8]  # [height, width, 3], sRGB

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
MAX_FILE_BYTES = 2**30  # 200 megapixels, hardly compressed
CARD_VALUE = 243  # the backdrop of the original project's catalogue photos
BASELINE_SHIFT = 8 / 256  # of the side: 8 px of the 256 px the original's numbers were taken at


@dataclass(frozen=True)
class Picture:
    """One decoded picture; `resized` remembers its results, so each size is made once."""

    pixels: Pixels
    notes: tuple[str, ...] = ()
    _sizes: dict[int, Pixels] = field(default_factory=dict, repr=False, compare=False)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def resized(self, side: int) -> Pixels:
        """The picture squashed to `side` x `side` px with PIL's bicubic filter (antialiased), uint8."""
        if self.pixels.shape[:2] == (side, side):
            return self.pixels
        if side not in self._sizes:
            small = Image.fromarray(self.pixels).resize((side, side), Image.Resampling.BICUBIC)
            self._sizes[side] = np.asarray(small)
        return self._sizes[side]


class Source(Protocol):
    """Something that can be decoded to a picture; equal identities mean equal pixels."""

    @property
    def identity(self) -> str: ...

    def decode(self) -> Picture: ...


@dataclass(frozen=True)
class FileSource:
    """A picture file, known by the SHA-256 of its bytes."""

    path: Path

    @cached_property
    def identity(self) -> str:
        try:
            status = self.path.stat()
            return _sha256(self.path, status.st_mtime_ns, status.st_size)
        except OSError as error:
            raise ImageError(
                f"{self.path} cannot be read ({error.strerror}); check the file and its rights"
            ) from error

    def decode(self) -> Picture:
        return read_picture(self.path)


@dataclass(frozen=True)
class BlankCard:
    """A baseline: an empty grey-white card, what a picture scores that shows nothing at all."""

    side: int = 256  # px

    @property
    def identity(self) -> str:
        return f"card-{CARD_VALUE}-{self.side}"

    def decode(self) -> Picture:
        return Picture(np.full((self.side, self.side, 3), CARD_VALUE, np.uint8))


@dataclass(frozen=True)
class Moved:
    """A baseline: the same picture moved right by 8 px of 256, its left edge repeated. No eye minds the
    difference.
    """

    original: FileSource

    @property
    def identity(self) -> str:
        return f"moved-{self.original.identity}"

    def decode(self) -> Picture:
        return self.applied_to(self.original.decode())

    @staticmethod
    def applied_to(picture: Picture) -> Picture:
        pixels = picture.pixels
        step = max(1, round(BASELINE_SHIFT * pixels.shape[1]))
        edge = np.repeat(pixels[:, :1], step, axis=1)
        return Picture(np.concatenate([edge, pixels], axis=1)[:, : pixels.shape[1]])


@lru_cache(maxsize=20_000)
def _sha256(path: Path, _modified: int, _size: int) -> str:
    """Of a file's bytes; in one process computed once per date (ns) and size, as references come again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_picture(path: Path) -> Picture:
    """Decodes `path` to 8-bit sRGB. Raises `ImageError` if missing, damaged, huge or no picture."""
    return decode(images.content(path, most=MAX_FILE_BYTES), str(path))


def decode(data: bytes, name: str) -> Picture:
    """The same for the content of a file; `name` is for messages."""
    image, facts = images.decode(data, name)
    return Picture(np.asarray(image), facts.notes)
