"""Looks for the invisible mark in a picture of unknown scale and crop.

Only phases are compared. At a given scale and shift the likeness is a sum of m cosines of angles between the picture's
phases and the pattern's; divided by its deviation, sqrt(m / 2), it is called z. Whatever the picture is, without the
mark these angles are independent and uniform, because the pattern's phases are: for any z, P(sum > z sqrt(m / 2)) is at
most exp(-z^2 / 2) (Hoeffding, J. Am. Stat. Assoc. 58, 1963, with the moment function of a cosine, I0(t) <= exp(t^2/4)).
The threshold holds for all scales and shifts that are tried, together.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft

from sdxl_lora.provenance.pattern import KINDS, PERIOD, Grey, Pattern, grey_of, mean, pattern
from sdxl_lora.records.iptc import SourceType

THRESHOLD = 7.3  # of z; fewer than 1 in 1,000 pictures without a mark by the bound above, see `chance`
SCALES = (0.3, 2.1)  # size of a picture to that of the marked one
_SIDE = 1536  # px; of larger pictures the middle is looked at, then all of it in this size
_NYQUIST = 0.48  # periods per px; what is finer is not in a picture
_BATCH = 64  # scales at a time
_TAPER = 0.08  # of a side, at each end
_QUIET = 4.0  # grey levels of contrast that count as none

Spectrum = NDArray[np.complex64]


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """How much a picture looks as if it carried a mark."""

    kind: SourceType  # which mark is likelier
    z: float  # deviations above what is usual without one
    scale: float  # the picture's size to that of the marked one

    @property
    def found(self) -> bool:
        """Whether it is there."""
        return self.z >= THRESHOLD


def look(image: Image.Image) -> Likeness:
    """The likelier mark, at the scale and shift where it fits best. About a second for a megapixel without one."""
    found: list[Likeness] = []
    for part, shrunk in _parts(grey_of(image)):
        found.append(_best(part, shrunk))
        if found[-1].found:
            break
    return max(found, key=lambda one: one.z)


def _parts(grey: Grey) -> Iterator[tuple[Grey, float]]:
    """What of the picture is looked at, and by how much it was shrunk for that."""
    height, width = grey.shape
    if max(height, width) <= _SIDE:
        yield grey, 1.0
        return
    top, left = max(0, (height - _SIDE) // 2), max(0, (width - _SIDE) // 2)
    yield grey[top : top + _SIDE, left : left + _SIDE], 1.0
    shrunk = _SIDE / max(height, width)
    size = (max(1, round(width * shrunk)), max(1, round(height * shrunk)))
    small = Image.fromarray(grey).resize(size, Image.Resampling.BOX)
    yield np.asarray(small, np.float32), shrunk


def _best(grey: Grey, shrunk: float) -> Likeness:
    flat = _flattened(grey)
    unscaled = max((_closely(flat, kind, [1.0], shrunk) for kind in KINDS), key=lambda one: one.z)
    if unscaled.found:  # as most are
        return unscaled
    side = max(*grey.shape, 64)
    scales = np.exp(np.arange(np.log(SCALES[0]), np.log(SCALES[1]), 2 / side))
    spectrum, size = _spectrum(flat)
    found = []
    for kind in KINDS:
        middle = scales[int(np.argmax(_scan(spectrum, size, scales, pattern(kind))))]
        found.append(_closely(flat, kind, middle * np.exp(np.linspace(-1.5, 1.5, 7) / side), shrunk))
    return max(found, key=lambda one: one.z)


def _closely(flat: Grey, kind: SourceType, scales: Iterable[float], shrunk: float) -> Likeness:
    """The best of a few scales, exactly."""
    waves = pattern(kind)
    z, scale = max((float(_surface(_at(flat, waves, scale), waves, scale).max()), scale) for scale in scales)
    return Likeness(kind=kind, z=z, scale=float(scale) / shrunk)


def likeness(grey: Grey, waves: Pattern, scale: float) -> NDArray[np.float64]:
    """z of the pattern at one scale, for every shift: (PERIOD, PERIOD), down and to the right in px of scale 1."""
    return _surface(_at(_flattened(grey), waves, scale), waves, scale)


def chance(scales: int, shifts: int = PERIOD**2) -> float:
    """Bound of the share of unmarked pictures that are taken for marked, with so many scales tried for two marks."""
    return float(len(KINDS) * scales * shifts * np.exp(-(THRESHOLD**2) / 2))


def _flattened(grey: Grey) -> Grey:
    """Detail without brightness, as strong in quiet as in loud places, fading to the edges."""
    detail = grey - mean(grey, 5)
    contrast = np.sqrt(mean(np.square(detail), 11))
    height, width = grey.shape
    flat = detail / (contrast + _QUIET) * _window(height)[:, None] * _window(width)
    return flat.astype(np.float32)


def _window(length: int) -> Grey:
    rise = max(int(length * _TAPER), 1)
    window = np.ones(length, np.float32)
    half = 0.5 - 0.5 * np.cos(np.pi * (np.arange(rise) + 0.5) / rise)
    window[:rise], window[length - rise :] = half, half[::-1]
    return window


def _at(flat: Grey, waves: Pattern, scale: float) -> NDArray[np.complex128]:
    """(m,) Fourier sums of the picture at the pattern's frequencies, at one scale."""
    height, width = flat.shape
    turn = -2j * np.pi / (PERIOD * scale)
    rows, columns = np.arange(waves.rows.min(), waves.rows.max() + 1), np.arange(waves.columns.max() + 1)
    left = np.exp(turn * np.outer(rows, np.arange(height))).astype(np.complex64)
    right = np.exp(turn * np.outer(np.arange(width), columns)).astype(np.complex64)
    sums = (left.real @ flat + 1j * (left.imag @ flat)) @ right
    found: NDArray[np.complex128] = sums[waves.rows - rows[0], waves.columns].astype(np.complex128)
    return found


def _surface(
    sums: NDArray[np.complex128], waves: Pattern, scale: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """z for every shift; `sums` (..., m) of scales (...) give (..., PERIOD, PERIOD)."""
    scales = np.asarray(scale)[..., None]
    seen = waves.radii / (PERIOD * scales) < _NYQUIST
    turned = sums / np.maximum(np.abs(sums), 1e-12) * np.exp(-1j * waves.phases) * seen
    half = np.zeros((*turned.shape[:-1], PERIOD, PERIOD // 2 + 1), np.complex64)
    half[..., waves.rows, waves.columns] = turned
    on_axis = waves.columns == 0
    half[..., -waves.rows[on_axis], 0] = turned[..., on_axis].conj()
    cosines = fft.irfft2(half, (PERIOD, PERIOD)) * (PERIOD**2 / 2)
    count = np.maximum(seen.sum(axis=-1), 1)
    found: NDArray[np.float64] = cosines / np.sqrt(count / 2)[..., None, None]
    return found


def _spectrum(flat: Grey) -> tuple[Spectrum, int]:
    """Fourier transform of the picture in a square of at least twice its size, its middle at the origin."""
    height, width = flat.shape
    size = fft.next_fast_len(2 * max(height, width), real=True)
    padded = np.zeros((size, size), np.float32)
    padded[:height, :width] = flat
    padded = np.roll(padded, (-(height // 2), -(width // 2)), axis=(0, 1))
    return fft.rfft2(padded), size


def _scan(spectrum: Spectrum, size: int, scales: NDArray[np.float64], waves: Pattern) -> NDArray[np.float64]:
    """Greatest z over all shifts, for each scale."""
    found = []
    for start in range(0, len(scales), _BATCH):
        some = scales[start : start + _BATCH]
        stretch = size / (PERIOD * some[:, None])
        sums = _between(spectrum, waves.rows * stretch, waves.columns * stretch)
        found.append(_surface(sums, waves, some).max(axis=(-2, -1)))
    return np.concatenate(found)


def _between(
    spectrum: Spectrum, rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """The spectrum at places between its bins, linearly."""
    height, width = spectrum.shape
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    left = np.clip(left, 0, width - 2)
    down, right = rows - top, columns - left
    top, below = top % height, (top + 1) % height
    upper = spectrum[top, left] * (1 - right) + spectrum[top, left + 1] * right
    lower = spectrum[below, left] * (1 - right) + spectrum[below, left + 1] * right
    return upper * (1 - down) + lower * down
