"""A logo file, SVG or PNG with alpha -> its visible part as RGBA pixels of any size.

The empty margin around a mark is cut off: a width is the width of what is seen. An SVG is checked (`svg_safety`) and
then drawn by resvg in a child process with limited memory and time, as no check of the text can bound what filters or
nested copies cost. Drawings are remembered by content and size.
"""

import hashlib
import io
import struct
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdxl_lora.errors import LogoError
from sdxl_lora.logos import drawing, svg_safety
from sdxl_lora.lru_cache import LruCache

Rgba = NDArray[np.uint8]  # [height, width, 4], sRGB, straight alpha
Kind = Literal["svg", "png"]

MAX_SIDE: Final = 4_096  # px, of a drawing's longer side
MAX_PNG_BYTES: Final = 20_000_000
MAX_PNG_PIXELS: Final = 50_000_000
SECONDS: Final = 10.0  # wall clock; a logo takes some hundredths
_CPU_SECONDS: Final = 5
_MEMORY: Final = 1_000_000_000  # bytes of address space; 4,096 px squared take 64 MB a layer
_REFERENCE: Final = 1_024  # px, at which the visible part is found
_SEEN: Final = 8  # of 255: alpha from which a pixel counts as part of the mark
_LARGEST_ASPECT: Final = 40.0
_SMALLEST_PNG: Final = 16  # px
_BEFORE_XML: Final = b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"  # byte order marks, spaces
_PNG: Final = b"\x89PNG\r\n\x1a\n"

Frame = tuple[float, float, float, float]  # left, top, right, bottom, px
Box = tuple[float, float, float, float]  # left, top, right, bottom as shares of the whole drawing


@dataclass(frozen=True, kw_only=True)
class Logo:
    """A logo that was read and can be drawn. Made by `read` and `open`."""

    data: bytes  # the file, unchanged
    sha256: str  # of the file
    kind: Kind
    name: str  # for messages
    aspect: float  # width / height of the visible part
    box: Box  # the visible part
    share: float  # of the whole drawing's longer side that the visible part's longer side takes

    @classmethod
    def read(cls, data: bytes, name: str) -> Self:
        """Raises `LogoError`, in one line, for what is no safe SVG and no PNG with alpha, or shows nothing."""
        kind: Kind
        if data[:8] == _PNG:
            kind, whole = "png", _opened(data, name)
        elif data.lstrip(_BEFORE_XML)[:1] == b"<":
            kind, whole = "svg", _draw(svg_safety.checked(data, name), name, _REFERENCE)
        else:
            raise LogoError(f"{name} is neither an SVG nor a PNG; a logo is one of the two")
        left, top, right, bottom = _visible(whole, name)
        height, width = whole.shape[:2]
        if kind == "png" and min(right - left, bottom - top) < _SMALLEST_PNG:
            raise LogoError(
                f"{name} shows only {right - left}x{bottom - top} px; give a larger PNG, or an SVG"
            )
        aspect = (right - left) / (bottom - top)
        if not 1 / _LARGEST_ASPECT <= aspect <= _LARGEST_ASPECT:
            raise LogoError(
                f"{name} is over {_LARGEST_ASPECT:.0f} times as long as it is wide; set it in several lines"
            )
        return cls(
            data=data,
            sha256=hashlib.sha256(data).hexdigest(),
            kind=kind,
            name=name,
            aspect=aspect,
            box=(left / width, top / height, right / width, bottom / height),
            share=max(right - left, bottom - top) / max(width, height),
        )

    @classmethod
    def open(cls, path: Path) -> Self:
        """`read` the file at `path`."""
        try:
            with path.open("rb") as file:
                data = file.read(MAX_PNG_BYTES + 1)
        except OSError as error:
            raise LogoError(f"cannot read the logo {path}: {error.strerror}") from None
        return cls.read(data, path.name)

    def drawn(self, longest: int) -> Rgba:
        """The visible part, about `longest` px on its longer side: an SVG drawn at that size, a PNG resampled.

        At most as large as a whole drawing of `MAX_SIDE`; what is returned is shared and must not be changed.
        """
        return self.framed(longest)[0]

    def framed(self, longest: int) -> tuple[Rgba, Frame]:
        """`drawn`, and where in it the visible part lies to fractions of a pixel: left, top, right, bottom in px."""
        key = (self.sha256, longest)
        found = _drawings.find(key)
        if found is None:
            pixels, frame = self._drawn(longest)
            pixels = np.ascontiguousarray(pixels)
            pixels.setflags(write=False)
            found = _drawings.keep(key, (pixels, frame))
        return found

    def _drawn(self, longest: int) -> tuple[Rgba, Frame]:
        side = min(MAX_SIDE, max(1, round(longest / self.share)))
        if self.kind == "png":
            whole = _opened(self.data, self.name)
        else:
            whole = _draw(svg_safety.checked(self.data, self.name), self.name, side)
        height, width = whole.shape[:2]
        left, right = (share * width for share in self.box[::2])
        top, bottom = (share * height for share in self.box[1::2])
        x, y = round(left), round(top)
        seen = whole[y : max(round(bottom), y + 1), x : max(round(right), x + 1)]
        if self.kind == "png":  # its box is whole pixels
            small = _resized(seen, longest)
            return small, (0.0, 0.0, float(small.shape[1]), float(small.shape[0]))
        return seen, (left - x, top - y, right - x, bottom - y)


_drawings: LruCache[tuple[str, int], tuple[Rgba, Frame]] = LruCache(16)


def _opened(data: bytes, name: str) -> Rgba:
    """A PNG as RGBA. Raises `LogoError` where it has no transparency."""
    if len(data) > MAX_PNG_BYTES:
        raise LogoError(f"{name} is larger than {MAX_PNG_BYTES:,} bytes; make it smaller, or give the SVG")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit is the next line's
            with Image.open(io.BytesIO(data), formats=("PNG",)) as opened:
                if opened.width * opened.height > MAX_PNG_PIXELS:
                    raise LogoError(f"{name} is {opened.width}x{opened.height} px; make it smaller")
                if not opened.has_transparency_data:
                    raise LogoError(
                        f"{name} has no transparent ground, and would be a box; give a PNG with alpha"
                    )
                return np.asarray(opened.convert("RGBA"))
    except Image.DecompressionBombError:
        raise LogoError(f"{name} has too many pixels; make it smaller") from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        reason = (str(error).splitlines() or ["it is damaged"])[0]
        raise LogoError(f"{name} cannot be read as a picture ({reason}); save it again") from None


def _draw(text: str, name: str, side: int) -> Rgba:
    """A checked SVG, its longer side `side` px. Raises `LogoError` where that takes too long or too much."""
    command = [sys.executable, "-P", drawing.__file__, str(side), str(_MEMORY), str(_CPU_SECONDS)]
    with tempfile.TemporaryDirectory(prefix="logo-") as empty:  # nothing lies beside the drawing
        try:
            done = subprocess.run(
                command, input=text.encode(), cwd=empty, capture_output=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise LogoError(f"{name} takes over {SECONDS:.0f} s to draw; simplify it") from None
    if done.returncode == drawing.CANNOT:
        reason = done.stderr.decode(errors="replace").strip() or "it is damaged"
        raise LogoError(f"{name} cannot be drawn ({reason}); save it as a plain SVG")
    if done.returncode:  # killed by its limits
        raise LogoError(f"{name} takes too much memory or time to draw; simplify it")
    with Image.open(io.BytesIO(done.stdout), formats=("PNG",)) as opened:
        return np.asarray(opened.convert("RGBA"))


def _visible(whole: Rgba, name: str) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is seen, px."""
    seen = whole[..., 3] >= _SEEN
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if len(rows) == 0:
        raise LogoError(f"{name} shows nothing: it is transparent all over")
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _resized(pixels: Rgba, longest: int) -> Rgba:
    """Premultiplied while it is resampled, or the colour of what is transparent would bleed into the edges."""
    height, width = pixels.shape[:2]
    scale = longest / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = Image.fromarray(pixels).convert("RGBa").resize(size, Image.Resampling.LANCZOS)
    return np.asarray(small.convert("RGBA"))
