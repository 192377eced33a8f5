"""Reads a picture file into sRGB pixels, once, and says what had to be done to it.

Every treatment is stated, none is silent: EXIF rotation is applied, alpha is laid on white, 16-bit is rounded
to 8-bit, grey is repeated over three channels, CMYK goes through its embedded profile, of an animation the
first frame is used. Knows nothing of metrics.
"""

import hashlib
import io
import struct
import warnings
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from sdxl_lora.errors import ImageError

Pixels = NDArray[np.uint8]  # [height, width, 3], sRGB

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
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
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read as a picture ({error}); replace or remove it") from error
    return decode(data, str(path))


def decode(data: bytes, name: str) -> Picture:
    """The same for the content of a file; `name` is for messages."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                image.load()
                return _to_srgb(image, _sixteen_bit(data), name)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = f"{Image.MAX_IMAGE_PIXELS or 0:,}"
        raise ImageError(
            f"{name} is larger than {limit} pixels; make it smaller before evaluating it"
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise ImageError(f"{name} cannot be read as a picture ({error}); replace or remove it") from error


def _sixteen_bit(data: bytes) -> bool:
    """Whether this is a PNG with 16 bits per channel; PIL decodes its colours to 8 without saying so."""
    return data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) > 24 and data[24] == 16


def _to_srgb(image: Image.Image, sixteen_bit: bool, name: str) -> Picture:
    notes = []
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        notes.append(f"animated: first of {frames} frames")
    if image.getexif().get(0x0112, 1) != 1:
        notes.append("turned upright (EXIF)")
        image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ImageError(f"{name} holds floating-point pixels; save it as an 8-bit PNG first")
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65_535:
            raise ImageError(f"{name} holds more than 16 bits per pixel; save it as an 8-bit PNG first")
        image = Image.fromarray(((values * 255 + 32_767) // 65_535).astype(np.uint8))
        sixteen_bit = True
    if sixteen_bit:
        notes.append("16-bit: rounded to 8")
    if image.mode in ("1", "L", "LA"):
        notes.append("grey: repeated over three channels")
    if image.mode == "CMYK":
        image, how = _from_cmyk(image)
        notes.append(how)
    if "A" in image.getbands() or "transparency" in image.info:
        notes.append("alpha: laid on white")
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    if image.mode != "RGB":  # converting to itself would copy
        image = image.convert("RGB")
    return Picture(np.asarray(image), tuple(notes))


def _from_cmyk(image: Image.Image) -> tuple[Image.Image, str]:
    profile = image.info.get("icc_profile")
    if profile:
        try:
            converted = ImageCms.profileToProfile(
                image, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
        except ImageCms.PyCMSError:
            return image.convert("RGB"), "CMYK: converted without its profile, which is damaged"
        if converted is not None:
            return converted, "CMYK: converted with its profile"
    return image.convert("RGB"), "CMYK: converted without a profile"
