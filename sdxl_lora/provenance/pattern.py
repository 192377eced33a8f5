"""The pattern of the invisible mark: which waves, with which phases; and a picture as what it is looked for in."""

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from sdxl_lora.records.iptc import SourceType

PERIOD = 128  # px of the picture that is marked
_BAND = (8.0, 22.0)  # periods in PERIOD px: 0.06 to 0.17 per px
_NAMES = {
    SourceType.GENERATED: "sdxl_lora watermark 1: generated",
    SourceType.COMPOSITE: "sdxl_lora watermark 1: composite",
}
KINDS = tuple(_NAMES)  # what a mark can say

Grey = NDArray[np.float32]


@dataclass(frozen=True)
class Pattern:
    """One mark: frequencies in one half of the plane, and their phases.

    Attributes:
        rows, columns: (m,) whole periods in PERIOD px; columns are not negative.
        phases: (m,) radians.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    phases: NDArray[np.float64]

    @property
    def radii(self) -> NDArray[np.float64]:
        """(m,) periods in PERIOD px, whatever the direction."""
        return np.hypot(self.rows, self.columns)


@cache
def pattern(kind: SourceType) -> Pattern:
    """The pattern that says `kind`; the same in every version."""
    most = int(_BAND[1])
    rows, columns = np.meshgrid(np.arange(-most, most + 1), np.arange(most + 1), indexing="ij")
    radii = np.hypot(rows, columns)
    chosen = (radii >= _BAND[0]) & (radii <= _BAND[1]) & ((columns > 0) | (rows > 0))
    count = int(chosen.sum())
    digest = hashlib.shake_256(_NAMES[kind].encode()).digest(4 * count)
    phases = np.frombuffer(digest, "<u4") * (2 * np.pi / 2**32)
    return Pattern(rows[chosen], columns[chosen], phases)


@cache
def tile(kind: SourceType) -> Grey:
    """(PERIOD, PERIOD) of mean 0 and deviation 1. Lower frequencies are stronger, as pictures and JPEG have it."""
    waves = pattern(kind)
    spectrum = np.zeros((PERIOD, PERIOD), complex)
    amplitudes = waves.radii**-0.5 * np.exp(1j * waves.phases)
    spectrum[waves.rows, waves.columns] = amplitudes
    spectrum[-waves.rows, -waves.columns] = amplitudes.conj()
    tile = np.fft.ifft2(spectrum).real
    return (tile / tile.std()).astype(np.float32)


def grey_of(image: Image.Image) -> Grey:
    """(height, width), 0 to 255; what is transparent lies on white."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image.convert("RGBA"))
    return np.asarray(image.convert("L"), np.float32)


def mean(values: Grey, side: int) -> Grey:
    """Mean over squares of `side` px around each pixel, mirrored at the edges; twice, so that it falls off smoothly."""
    once = ndimage.uniform_filter(values, side, mode="reflect")
    return np.maximum(ndimage.uniform_filter(once, side, mode="reflect"), 0)
