"""Pictures of floating-point numbers: TIFFs of photo and rendering programs, grey or in colour, as 8 bits.

The format says nothing of the numbers' range. It is told from the largest one: 0..1, 0..255 or 0..65535; what lies
between these, light beyond white for example, is refused, because guessing would make a picture black or burnt out.
"""

import io

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

MAGIC = (b"II*\x00", b"MM\x00*")
_RANGES = (
    (1.0, 1.0),
    (8.0, None),
    (255.0, 255.0),
    (256.0, None),
    (65_535.0, 65_535.0),
)  # largest up to -> white
_ORIENTATION = 0x0112  # of TIFF and EXIF
_SEPARATE = "SYX"  # every channel by itself


def read(data: bytes, most: int) -> tuple[Image.Image, str]:
    """(8-bit picture, what was done) of a floating-point TIFF of at most `most` pixels.

    Raises `ValueError` with the reason where it is none, or cannot be told.
    """
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            if page.dtype is None or page.dtype.kind != "f":
                raise ValueError("its kind of numbers is not read here")
            if page.imagewidth * page.imagelength > most:
                raise ValueError(f"it is larger than {most:,} pixels")
            values = page.asarray()
            values = np.moveaxis(values, 0, -1) if page.axes == _SEPARATE else values
            tag = page.tags.get(_ORIENTATION)
            orientation = 1 if tag is None else int(tag.value)
    except (tifffile.TiffFileError, IndexError, KeyError, TypeError) as error:
        raise ValueError(str(error) or "it is damaged") from None
    image, note = to_image(values)
    image.getexif()[_ORIENTATION] = orientation
    return image, note


def to_image(values: NDArray[np.floating]) -> tuple[Image.Image, str]:
    """(8-bit picture, what was done) of height x width (x 3, or 4 with alpha) numbers. Raises `ValueError`."""
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (1, 3, 4)):
        raise ValueError(f"numbers of shape {values.shape} are no picture")
    if not np.isfinite(values).all():
        raise ValueError("it holds NaN or infinite numbers")
    low, high = float(values.min()), float(values.max())
    white = next((white for limit, white in _RANGES if high <= limit), None)
    if low < 0 or white is None:
        raise ValueError(f"floating-point pixels from {low:.4g} to {high:.4g}, of which white is not known")
    eight = np.rint(values.astype(np.float64) * (255 / white)).astype(np.uint8)
    return Image.fromarray(
        eight.squeeze(-1) if eight.shape[2:] == (1,) else eight
    ), f"floating point: 0..{white:g} to 8 bits"
