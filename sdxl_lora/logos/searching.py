"""Places on a picture that look like a logo, the most likely first: by correlation over sizes, and by SIFT features."""

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from sdxl_lora.logos import geometry
from sdxl_lora.logos.compositing import Pixels
from sdxl_lora.logos.geometry import Corners
from sdxl_lora.logos.raster import Logo

_FINE: Final = 1_024  # px, the longest side at which features are looked for
_LEAST, _MOST = 0.05, 0.7  # of the picture's longer side: sizes of the logo that are looked for
_STEP: Final = 1.2  # between sizes
# (degrees, how much wider and less high than it should be)
_SHAPES: Final = ((0.0, 1.0), (-11.0, 1.0), (11.0, 1.0), (0.0, 1.18), (0.0, 0.85))
_AREA: Final = 26.0  # px: square root of the template's area; the picture is made smaller to fit
_LARGEST_LEVEL: Final = 640  # px
_GROUNDS: Final = 5
_LEAST_GROUND: Final = 0.03  # share of the picture
_PAD: Final = 0.1  # of the template's longer side
_VISIBLE: Final = 0.02  # variance of a template, 0..1; a logo of the ground's colour cannot be seen
_KEPT: Final = 4  # places by colours, and by outlines
_COLOURED: Final = 3  # grounds on which colours are compared
_ALIKE_COLOUR, _ALIKE_OUTLINE = 0.45, 0.35  # correlations from which a place is looked at
_EDGE: Final = 0.08  # change per pixel, 0..1, that is half an edge
_RATIO: Final = 0.8  # Lowe's, of the two nearest features
_INLIERS: Final = 7


def candidates(pixels: Pixels, logo: Logo) -> Iterator[Corners]:
    """At most a handful of places, lazily."""
    scale = min(1.0, _FINE / max(pixels.shape[:2]))
    small = pixels
    if scale < 1:
        small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    grounds = _grounds(small)
    by_features = _features(small, logo, grounds)
    if by_features is not None:
        yield by_features / scale
    for corners in _correlated(small, logo, grounds):
        yield corners / scale


def on_ground(drawn: NDArray[np.uint8], ground: NDArray[np.floating]) -> NDArray[np.float32]:
    """RGBA bytes over one colour (0..1), as 0..1."""
    alpha = drawn[..., 3:].astype(np.float32) / 255
    mixed: NDArray[np.float32] = (drawn[..., :3] / 255 * alpha + ground * (1 - alpha)).astype(np.float32)
    return mixed


def clusters(values: NDArray[np.float32], most: int) -> NDArray[np.int32]:
    """Which of at most `most` groups (k-means) every row belongs to; the same groups every time."""
    count = min(most, len(np.unique(values, axis=0)))
    cv2.setRNGSeed(0)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    _, labels, _ = cv2.kmeans(np.ascontiguousarray(values), count, None, criteria, 2, cv2.KMEANS_PP_CENTERS)
    return labels[:, 0]


def _grounds(pixels: Pixels) -> list[NDArray[np.float32]]:
    """Colours that much of the picture has, 0..1."""
    some = cv2.resize(pixels, (64, 64), interpolation=cv2.INTER_AREA).reshape(-1, 3).astype(np.float32)
    labels = clusters(some, _GROUNDS)
    shares = [(float((labels == label).mean()), label) for label in np.unique(labels)]
    return [
        np.median(some[labels == label], axis=0) / 255
        for share, label in sorted(shares, reverse=True)
        if share >= _LEAST_GROUND
    ]


def _correlated(pixels: Pixels, logo: Logo, grounds: list[NDArray[np.float32]]) -> list[Corners]:
    """The places of the highest correlations: of outlines, over sizes, turns and stretches; of colours, over sizes."""
    longest = max(pixels.shape[:2])
    share = _AREA * max(logo.aspect, 1 / logo.aspect) ** 0.5  # px of the template's longer side
    by_outline: list[tuple[float, Corners]] = []
    by_colour: list[tuple[float, Corners]] = []
    size = _LEAST
    while size <= _MOST:
        level = min(_LARGEST_LEVEL, longest, share / size)  # px, of the picture's longer side
        shrink = level / longest
        small = (
            cv2.resize(pixels, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA).astype(np.float32)
            / 255
        )
        outlines = _outlines(small)
        side = max(8, round(size * level))
        drawn = logo.drawn(max(64, side * 2))
        for turn, stretch in _SHAPES:
            template, inner = _template(drawn, side, turn, stretch)
            edges = _outlines(on_ground(template, grounds[0]))
            by_outline += _peaks(outlines, edges, inner, shrink, _ALIKE_OUTLINE)
        template, inner = _template(drawn, side, 0.0, 1.0)
        for ground in grounds[:_COLOURED]:
            by_colour += _peaks(small, on_ground(template, ground), inner, shrink, _ALIKE_COLOUR)
        size *= _STEP
    return _best(by_colour, []) + _best(by_outline, _best(by_colour, []))


def _best(found: list[tuple[float, Corners]], besides: list[Corners]) -> list[Corners]:
    """The likeliest places that are not each other, and not among those that are known."""
    kept: list[Corners] = []
    for _, corners in sorted(found, key=lambda one: -one[0]):
        if all(_apart(corners, other) for other in (*besides, *kept)):
            kept.append(corners)
        if len(kept) == _KEPT:
            break
    return kept


def _outlines(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much of an edge every pixel is, 0..1: whatever the colours on its two sides are."""
    across = cv2.Sobel(picture, cv2.CV_32F, 1, 0) / 4
    down = cv2.Sobel(picture, cv2.CV_32F, 0, 1) / 4
    steep = np.sqrt((across**2 + down**2).sum(axis=-1))
    return np.asarray(steep / (steep + _EDGE), np.float32)


def _template(
    drawn: NDArray[np.uint8], side: int, turn: float, stretch: float
) -> tuple[NDArray[np.uint8], Corners]:
    """The drawing, turned, `side` px long, on a transparent ground; and its corners there."""
    height, width = drawn.shape[:2]
    shrink = side / max(height, width)
    corners = geometry.rectangle((0, 0), width * shrink * stretch, height * shrink / stretch, turn)
    left, top, right, bottom = geometry.bounds(corners)
    pad = max(2.0, _PAD * side)
    corners = corners - (left - pad, top - pad)
    size = (int(np.ceil(right - left + 2 * pad)), int(np.ceil(bottom - top + 2 * pad)))
    there = geometry.perspective(geometry.own_rectangle(width, height), corners)
    alpha = drawn[..., 3:].astype(np.float32) / 255
    light = np.concatenate([drawn[..., :3] * alpha, drawn[..., 3:].astype(np.float32)], axis=-1)
    soft = cv2.GaussianBlur(light, (0, 0), 0.4 / shrink) if shrink < 0.8 else light
    turned = cv2.warpPerspective(soft, there, size, flags=cv2.INTER_LINEAR)
    cover = np.maximum(turned[..., 3:], 1e-3) / 255
    turned[..., :3] = np.clip(turned[..., :3] / cover, 0, 255)
    return turned.round().astype(np.uint8), corners


def _peaks(
    small: NDArray[np.float32], template: NDArray[np.float32], inner: Corners, shrink: float, least: float
) -> list[tuple[float, Corners]]:
    """(correlation, corners on the unshrunk picture) of up to two places."""
    height, width = template.shape[:2]
    if height > small.shape[0] or width > small.shape[1]:
        return []
    if template.reshape(height * width, -1).var(axis=0).sum() < _VISIBLE**2:
        return []
    map_ = cv2.matchTemplate(small, template, cv2.TM_CCOEFF_NORMED)
    found = []
    for _ in range(2):
        _, value, _, (x, y) = cv2.minMaxLoc(map_)
        if not least <= value <= 1.001:  # more is a flat place, of which the library makes nonsense
            break
        found.append((float(value), (inner + np.array((x, y))) / shrink))
        map_[max(0, y - height // 2) : y + height // 2 + 1, max(0, x - width // 2) : x + width // 2 + 1] = -1
    return found


def _apart(one: Corners, other: Corners) -> bool:
    """Whether two places are different ones: centres far apart, or sizes that differ."""
    size = min(float(geometry.lengths(one).max()), float(geometry.lengths(other).max()))
    far = np.linalg.norm(one.mean(axis=0) - other.mean(axis=0)) > 0.3 * size
    ratio = float(geometry.lengths(one).max() / geometry.lengths(other).max())
    return bool(far or not 0.75 <= ratio <= 1.33)


def _features(pixels: Pixels, logo: Logo, grounds: list[NDArray[np.float32]]) -> Corners | None:
    """Where SIFT features of the drawing and of the picture agree on one perspective."""
    sift = cv2.SIFT.create(nfeatures=3_000, contrastThreshold=0.02)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    points, descriptors = sift.detectAndCompute(grey, None)
    if descriptors is None or len(points) < _INLIERS:
        return None
    drawn = np.pad(logo.drawn(320), ((24, 24), (24, 24), (0, 0)))
    height, width = drawn.shape[:2]
    best, most = None, _INLIERS - 1
    for ground in grounds[:3]:
        reference = cv2.cvtColor(
            (on_ground(drawn, ground) * 255).round().astype(np.uint8), cv2.COLOR_RGB2GRAY
        )
        own, wanted = sift.detectAndCompute(reference, None)
        if wanted is None or len(own) < _INLIERS:
            continue
        pairs = cv2.BFMatcher().knnMatch(wanted, descriptors, k=2)
        good = [pair[0] for pair in pairs if len(pair) == 2 and pair[0].distance < _RATIO * pair[1].distance]
        if len(good) < _INLIERS:
            continue
        source = np.array([own[match.queryIdx].pt for match in good], np.float32)
        target = np.array([points[match.trainIdx].pt for match in good], np.float32)
        cv2.setRNGSeed(0)
        turned, inliers = cv2.estimateAffinePartial2D(source, target, ransacReprojThreshold=4.0)
        if turned is not None and inliers.sum() > most:
            most = int(inliers.sum())
            corners = geometry.own_rectangle(width - 48, height - 48) + 24
            best = corners @ turned[:, :2].T + turned[:, 2]
    return best
