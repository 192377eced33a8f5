"""Places on a picture that look like a logo, the most likely first: by directions of edges, over sizes and turns.

Edges say more than colours: a logo in wrong colours, on any cloth, has the same ones. Every pixel has a vector

    m / (m + E) * (cos 2a, sin 2a)      a: direction across the edge, m: its strength over all colours

(the double angle of the structure tensor, Bigün & Granlund 1987: light on dark and dark on light are the same edge).
The drawing's field slides over the picture's, at sizes, small turns and stretches; a place scores the correlation of
the two over the root of both energies, where the picture's has at least a share of the drawing's, so that bare cloth,
whose noise could look like anything, scores nothing.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from sdxl_lora.logos import geometry
from sdxl_lora.logos.compositing import Pixels
from sdxl_lora.logos.geometry import Corners
from sdxl_lora.logos.raster import Logo

_LEAST, _MOST = 0.05, 0.75  # of the picture's longer side: sizes of the logo that are looked for
_STEP, _FINE_STEP = 1.17, 1.1  # between sizes; the second of long logos, whose ends are far from their middle
_LONG: Final = 2.2  # aspect from which a logo is long
_SEAMS: Final = 0.6  # of a long logo's edges along it, that do not count: seams and hems have them, too
# (degrees, how much wider and less high than it should be, mirrored)
_SHAPES: Final = (
    (0.0, 1.0, False),
    (-10.0, 1.0, False),
    (10.0, 1.0, False),
    (0.0, 1.18, False),
    (0.0, 0.85, False),
    (0.0, 1.0, True),
)
_AREA: Final = 30.0  # px: square root of the template's area; the picture is made smaller to fit
_LARGEST_LEVEL: Final = 640  # px
_PAD: Final = 0.08  # of the template's longer side
_EDGE: Final = 0.03  # change per pixel, 0..1, that is half an edge
_SOFT: Final = 0.8  # px: sigma that forgives waves
_QUIET: Final = 0.35  # of the drawing's energy, that a place is reckoned to have at least
_KEPT: Final = 6  # places
_ALIKE: Final = 0.2  # from which a place is looked at

_Field = NDArray[np.float32]  # [height, width, 2]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A place that looks like a logo."""

    alike: float  # correlation of edges, -1..1
    corners: Corners  # px of the picture
    mirrored: bool = False


def candidates(pixels: Pixels, logo: Logo) -> list[Candidate]:
    """At most a handful of places, the likeliest first."""
    longest = max(pixels.shape[:2])
    long = max(logo.aspect, 1 / logo.aspect)
    share = _AREA * long**0.5  # px of the template's longer side
    levels: dict[int, tuple[_Field, NDArray[np.float32]]] = {}  # edges, and their energy
    found: list[Candidate] = []
    size = _LEAST
    while size <= _MOST:
        level = round(min(_LARGEST_LEVEL, longest, share / size))  # px, of the picture's longer side
        if level not in levels:
            field = field_of(_shrunk(pixels, level))
            levels[level] = field, np.square(field).sum(-1)
        side = max(8, round(size * level))
        drawn = logo.drawn(max(64, side * 2))
        for turn, stretch, mirrored in _SHAPES:
            template, inner = _template(drawn[:, ::-1] if mirrored else drawn, side, turn, stretch)
            if long >= _LONG:
                template = _without_seams(template, turn + (90 if logo.aspect < 1 else 0))
            found += _peaks(*levels[level], template, inner, level / longest, mirrored)
        size *= _FINE_STEP if long >= _LONG else _STEP
    return _best(found)


def field_of(picture: NDArray[np.float32]) -> _Field:
    """The edges of a picture [height, width, channels], 0..1."""
    across = cv2.Sobel(picture, cv2.CV_32F, 1, 0) / 4
    down = cv2.Sobel(picture, cv2.CV_32F, 0, 1) / 4
    if picture.ndim == 2:
        across, down = across[..., None], down[..., None]
    double = np.stack([(across**2 - down**2).sum(-1), 2 * (across * down).sum(-1)], axis=-1)
    strength = np.sqrt(np.linalg.norm(double, axis=-1, keepdims=True))  # m
    field = double / np.maximum(strength * (strength + _EDGE), 1e-9)
    return np.asarray(cv2.GaussianBlur(field, (0, 0), _SOFT), np.float32)


def clusters(values: NDArray[np.float32], most: int) -> NDArray[np.int32]:
    """Which of at most `most` groups (k-means) every row belongs to; the same groups every time."""
    count = min(most, len(np.unique(values, axis=0)))
    cv2.setRNGSeed(0)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    _, labels, _ = cv2.kmeans(np.ascontiguousarray(values), count, None, criteria, 2, cv2.KMEANS_PP_CENTERS)
    return labels[:, 0]


def _shrunk(pixels: Pixels, level: int) -> NDArray[np.float32]:
    scale = level / max(pixels.shape[:2])
    small = (
        pixels if scale >= 1 else cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    )
    return np.asarray(small / 255, np.float32)


def _best(found: list[Candidate]) -> list[Candidate]:
    """The likeliest places that are not each other."""
    kept: list[Candidate] = []
    for one in sorted(found, key=lambda one: -one.alike):
        if all(_apart(one.corners, other.corners) for other in kept):
            kept.append(one)
        if len(kept) == _KEPT:
            break
    return kept


def _without_seams(template: _Field, along: float) -> _Field:
    """The template with less of its edges that run in that direction, degrees."""
    double = np.radians(2 * (along + 90))
    seam = np.array((np.cos(double), np.sin(double)), np.float32)
    return np.asarray(template - _SEAMS * np.maximum(template @ seam, 0)[..., None] * seam, np.float32)


def _template(drawn: NDArray[np.uint8], side: int, turn: float, stretch: float) -> tuple[_Field, Corners]:
    """The edges of the drawing, turned, `side` px long; and its corners there."""
    height, width = drawn.shape[:2]
    shrink = side / max(height, width)
    corners = geometry.rectangle((0, 0), width * shrink * stretch, height * shrink / stretch, turn)
    left, top, right, bottom = geometry.bounds(corners)
    pad = max(2.0, _PAD * side)
    corners = corners - (left - pad, top - pad)
    size = (int(np.ceil(right - left + 2 * pad)), int(np.ceil(bottom - top + 2 * pad)))
    there = geometry.perspective(geometry.own_rectangle(width, height), corners)
    # premultiplied, on four grounds at once: an edge is where any of colours and cover changes
    light = np.concatenate([drawn[..., :3] / 255 * (drawn[..., 3:] / 255), drawn[..., 3:] / 255], axis=-1)
    soft = cv2.GaussianBlur(light.astype(np.float32), (0, 0), 0.4 / shrink) if shrink < 0.8 else light
    turned = cv2.warpPerspective(soft.astype(np.float32), there, size, flags=cv2.INTER_LINEAR)
    return field_of(turned), corners


def _peaks(
    field: _Field,
    strength: NDArray[np.float32],
    template: _Field,
    inner: Corners,
    shrink: float,
    mirrored: bool,
) -> list[Candidate]:
    """Up to two places, on the unshrunk picture."""
    height, width = template.shape[:2]
    if height > field.shape[0] or width > field.shape[1]:
        return []
    own = float((template**2).sum())
    if own < 1e-3:
        return []
    together = cv2.matchTemplate(field, template, cv2.TM_CCORR)
    energy = cv2.boxFilter(strength, cv2.CV_32F, (width, height), normalize=False, anchor=(0, 0))
    energy = energy[: together.shape[0], : together.shape[1]]
    map_ = together / np.sqrt(own * np.maximum(energy, _QUIET * own))
    found = []
    for _ in range(2):
        _, value, _, (x, y) = cv2.minMaxLoc(map_)
        if value < _ALIKE:
            break
        found.append(
            Candidate(alike=float(value), corners=(inner + np.array((x, y))) / shrink, mirrored=mirrored)
        )
        map_[max(0, y - height // 2) : y + height // 2 + 1, max(0, x - width // 2) : x + width // 2 + 1] = -1
    return found


def _apart(one: Corners, other: Corners) -> bool:
    """Whether two places are different ones: centres far apart, or sizes that differ."""
    size = min(float(geometry.lengths(one).max()), float(geometry.lengths(other).max()))
    far = np.linalg.norm(one.mean(axis=0) - other.mean(axis=0)) > 0.3 * size
    ratio = float(geometry.lengths(one).max() / geometry.lengths(other).max())
    return bool(far or not 0.75 <= ratio <= 1.33)
