"""The one reader of pictures that come from outside: encoded file -> 8-bit sRGB, upright and opaque, and what had to be
done to it.

Training, scoring, evaluation and comparisons read with this, so that the same file is the same picture everywhere.
Every treatment is stated, none is silent: EXIF rotation is applied, alpha is laid on white (catalogue pictures stand on
white), 16 bits and floating-point numbers are rounded to 8, grey is repeated over three channels, CMYK goes through its
embedded profile, of an animation the first frame is used. Only formats of pictures are tried (`FORMATS`): Pillow knows
others, for which it starts Ghostscript, or unpacks whatever a file holds before its size is known.
Knows nothing of sizes or captions.
"""

import io
import struct
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from sdxl_lora.data import float_tiffs
from sdxl_lora.errors import ImageError

_ORIENTATION = 0x0112  # the EXIF tag
_PNG = b"\x89PNG\r\n\x1a\n"
_UNREAD: dict[str, Callable[[bytes], bool]] = {
    "HEIC": lambda data: (
        data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1")
    ),
    "JPEG XL": lambda data: data[:2] == b"\xff\x0a" or data[4:12] == b"JXL \r\n\x87\n",
    "EPS": lambda data: data[:4] == b"%!PS" or data[:4] == b"\xc5\xd0\xd3\xc6",
    "a drawing (SVG)": lambda data: (
        data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<" and b"<svg" in data[:4_096]
    ),
    "a video": lambda data: data[4:8] == b"ftyp" and data[8:12] in (b"isom", b"mp42", b"qt  "),
}
MAX_PIXELS = 200_000_000  # more is a decompression bomb, not a product photo
MAX_FILE_BYTES: Final = 256 * 2**20  # 50 megapixels of 16 bits, hardly compressed
# Pillow's names; MPO, of phones with two lenses, comes with JPEG
FORMATS: Final = (
    *("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "DIB"),
    *("JPEG2000", "PPM", "TGA", "PSD", "QOI", "SGI", "PCX"),
)


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """What a picture file was before it became RGB."""

    height: int  # px, upright
    width: int  # px, upright
    mode: str  # Pillow's name: RGB, RGBA, L, P, CMYK, I;16 ...
    rotated: bool  # EXIF said: turn it
    transparent: bool  # has an alpha channel or a transparent palette entry
    frames: int  # more than 1: animated, the first frame is used
    notes: tuple[str, ...] = ()  # what was done to it, for people


def content(path: Path, *, most: int = MAX_FILE_BYTES) -> bytes:
    """The bytes of a picture file. Raises `ImageError` where it cannot be opened, or has more than `most` bytes."""
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise ImageError(f"{path} cannot be opened: {error.strerror or error}; check the path") from error
    check_bytes(data, str(path), most)
    return data


def check_bytes(data: bytes, name: str, most: int = MAX_FILE_BYTES) -> None:
    """Raises `ImageError` where an encoded picture has more than `most` bytes."""
    if len(data) > most:
        raise ImageError(f"{name} is larger than {most // 2**20} MB; use a smaller file")


def decode(
    data: bytes, name: str, *, most: int | None = None, alpha: bool = False
) -> tuple[Image.Image, ImageFacts]:
    """The picture as upright opaque RGB, and its facts; with `alpha` a transparent one stays so, as RGBA.

    Raises `ImageError` naming `name` for what is damaged, no picture, or larger than `most` pixels (None =
    `MAX_PIXELS`), before its pixels are decoded.
    """
    most = MAX_PIXELS if most is None else most
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit is the next line's
            with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
                if opened.width * opened.height > most:
                    size = f"{opened.width}x{opened.height} px, larger than {most:,} pixels"
                    raise ImageError(f"{name} is {size}; make it smaller")
                opened.load()
                sixteen_bit = data[:8] == _PNG and len(data) > 24 and data[24] == 16
                return _to_srgb(opened, sixteen_bit, name, alpha=alpha)
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name} is larger than {most:,} pixels; make it smaller") from error
    except UnidentifiedImageError:
        return _unknown_to_pillow(data, name, most, alpha)
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        reason = (str(error).splitlines() or ["it is damaged"])[0]
        raise ImageError(f"{name} cannot be read as a picture ({reason}); replace or remove it") from None


def _unknown_to_pillow(data: bytes, name: str, most: int, alpha: bool) -> tuple[Image.Image, ImageFacts]:
    """Colours of floating-point numbers; of other files, what they are as far as can be told."""
    kind = next((kind for kind, sign in _UNREAD.items() if sign(data)), None)
    if kind is not None:
        raise ImageError(f"{name} is {kind}, which is not read here; convert it to PNG or JPEG")
    if data[:4] not in float_tiffs.MAGIC:
        raise ImageError(f"{name} cannot be read as a picture; replace or remove it")
    try:
        image, note = float_tiffs.read(data, most)
    except ValueError as error:
        raise ImageError(
            f"{name} cannot be read as a picture ({error}); save it as an 8-bit PNG first"
        ) from None
    return _to_srgb(image, False, name, [note], alpha=alpha)


def _to_srgb(
    image: Image.Image, sixteen_bit: bool, name: str, done: Sequence[str] = (), *, alpha: bool = False
) -> tuple[Image.Image, ImageFacts]:
    """`sixteen_bit`: the file says so; Pillow decodes colours of 16 bits to 8 without a word. `done`: notes so far."""
    notes = list(done)
    mode, frames = image.mode, getattr(image, "n_frames", 1)
    if frames > 1:
        notes.append(f"animated: first of {frames} frames")
    rotated = image.getexif().get(_ORIENTATION, 1) != 1
    if rotated:
        notes.append("turned upright (EXIF)")
        image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        image, note = float_tiffs.to_image(np.asarray(image))
        notes.append(note)
    if image.mode == "I" or image.mode.startswith("I;16"):
        image, sixteen_bit = _from_sixteen_bit(image, name), True
    if sixteen_bit:
        notes.append("16-bit: rounded to 8")
    if image.mode in ("1", "L", "LA"):
        notes.append("grey: repeated over three channels")
    if image.mode == "CMYK":
        image, how = _from_cmyk(image)
        notes.append(how)
    transparent = image.has_transparency_data
    if transparent and alpha:
        image = image.convert("RGBA")
    elif transparent:
        notes.append("alpha: laid on white")
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    facts = ImageFacts(
        height=image.height,
        width=image.width,
        mode=mode,
        rotated=rotated,
        transparent=transparent,
        frames=frames,
        notes=tuple(notes),
    )
    wanted = "RGBA" if transparent and alpha else "RGB"
    return image if image.mode == wanted else image.convert(wanted), facts


def _from_sixteen_bit(image: Image.Image, name: str) -> Image.Image:
    values = np.asarray(image).astype(np.int64)  # Pillow would clip instead of scale
    if values.min() < 0 or values.max() > 65_535:
        raise ImageError(f"{name} holds more than 16 bits per pixel; save it as an 8-bit PNG first")
    return Image.fromarray(((values * 255 + 32_767) // 65_535).astype(np.uint8))


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
