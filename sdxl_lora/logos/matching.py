"""Whether a logo is on a picture, ours or anybody's, and whether it is the logo or something like it.

    1. candidates   places that look like the logo: a search over sizes and small turns by normalised cross-correlation,
                    on the grounds that the picture offers (`searching`), and SIFT features with a homography
    2. refinement   the perspective that fits best (enhanced correlation, Evangelidis & Psarakis 2008)
    3. comparison   the un-warped part against the drawing: structure, colours, proportions

Light and shadow on the cloth do not count: structure is compared window by window without mean and contrast (the third
factor of SSIM, Wang et al. 2004, eq. 10), colours after one common brightness. Letters are not read here; that is what
`scoring.logo_check` adds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from sdxl_lora.logos import geometry, searching
from sdxl_lora.logos.compositing import Pixels, to_linear, to_srgb
from sdxl_lora.logos.geometry import Corners
from sdxl_lora.logos.raster import Frame, Logo, Rgba

Verdict = Literal["match", "altered", "not found"]

LIKE: Final = 0.82  # likeness from which it is the logo
NEAR: Final = 0.4  # likeness from which it was meant to be
WORST: Final = 0.4  # likeness of the worst tenth of the logo, at least
COLOUR: Final = 16.0  # CIEDE2000 of the colour that is most off, at most
ELSE: Final = 22.0  # the same, from which a shape that is hardly near is something else
UNSURE: Final = 0.55  # likeness of a shape that is hardly near
STRETCH: Final = 1.15  # of its proportions, at most
OTHER: Final = 1.6  # of its proportions, from which it is something else
_SIDE: Final = 192  # px, of the logo's longer side when it is compared
_LEAST_SIDE: Final = 24  # px; what is smaller on the picture cannot be told
_MARGIN: Final = 0.08  # of the longer side: cloth around the logo that is compared with it
_WINDOW: Final = 0.035  # of the longer side: sigma of the windows
_NOISE: Final = 0.02  # standard deviation, 0..1, that says nothing
_FAINT: Final = 0.2  # of the drawing's contrast, at least
_COLOURS: Final = 4
_SURE: Final = 0.93  # likeness from which no other candidate is looked at


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """What was found of a logo on a picture."""

    verdict: Verdict
    reason: str  # one line
    likeness: float = 0.0  # of structure, 0..1
    worst: float = 0.0  # the same of the worst tenth
    colour: float = float("nan")  # CIEDE2000 of the colour that is most off
    stretch: float = 1.0  # how much longer than it should be in one direction
    corners: Corners | None = None  # px of the picture; None where nothing was found


_NOTHING: Final = Sighting(verdict="not found", reason="nothing like the logo was found on the picture")


def find(pixels: Pixels, logo: Logo, *, near: Corners | None = None) -> Sighting:
    """Looks for the logo on a picture [height, width, 3].

    Args:
        near: where it should be, if that is known; no other place is looked at.
    """
    if near is not None:
        return _best_of(pixels, logo, iter([near]))
    found = _best_of(pixels, logo, searching.candidates(pixels, logo))
    if found.verdict != "not found":
        return found
    mirrored = _Mirrored(
        **{f.name: getattr(logo, f.name) for f in fields(logo)} | {"sha256": logo.sha256 + " mirrored"}
    )
    turned = _best_of(pixels, mirrored, searching.candidates(pixels, mirrored))
    if turned.verdict == "not found":
        return found
    return replace(turned, verdict="altered", reason="the logo was found, but it is mirrored")


@dataclass(frozen=True, kw_only=True)
class _Mirrored(Logo):
    """The logo seen in a mirror."""

    def _drawn(self, longest: int) -> tuple[Rgba, Frame]:
        pixels, (left, top, right, bottom) = super()._drawn(longest)
        width = pixels.shape[1]
        return pixels[:, ::-1], (width - right, top, width - left, bottom)


def _best_of(pixels: Pixels, logo: Logo, places: Iterator[Corners]) -> Sighting:
    best = _NOTHING
    for corners in places:
        seen = compare(pixels, logo, refined(pixels, logo, corners))
        if _rank(seen) > _rank(best):
            best = seen
        if best.verdict == "match" and best.likeness >= _SURE:
            break
    return best


def _rank(seen: Sighting) -> tuple[int, float]:
    return ("not found", "altered", "match").index(seen.verdict), seen.likeness


def refined(pixels: Pixels, logo: Logo, corners: Corners) -> Corners:
    """The corners moved to where the logo fits best; as they were where nothing fits."""
    drawn, _ = _reference(logo, corners)
    outer = _outer(drawn.shape[:2])
    ground = _ground(pixels, corners)
    expected = searching.on_ground(_padded(drawn), ground)
    axis = _contrast(expected, ground)
    guess = geometry.perspective(outer, _grown(corners, drawn.shape[:2])).astype(np.float32)
    size = max(1.0, float(geometry.lengths(corners).max()) / _SIDE)
    seen = pixels.astype(np.float32) / 255 @ axis
    if size > 1.5:  # ECC samples single pixels
        seen = cv2.GaussianBlur(seen, (0, 0), size / 2)
    found = guess
    for motion in (cv2.MOTION_AFFINE, cv2.MOTION_HOMOGRAPHY):
        start = found if motion == cv2.MOTION_HOMOGRAPHY else (found / found[2, 2])[:2]
        try:
            _, moved = cv2.findTransformECC(
                (expected @ axis).astype(np.float32),
                seen.astype(np.float32),
                np.ascontiguousarray(start, np.float32),
                motion,
                (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 40, 1e-4),
                None,
                5,
            )
        except cv2.error:  # nothing there correlates
            break
        found = moved if motion == cv2.MOTION_HOMOGRAPHY else np.vstack([moved, [0, 0, 1]]).astype(np.float32)
    height, width = drawn.shape[:2]
    moved_corners = cv2.perspectiveTransform(_inner(height, width)[None].astype(np.float32), found)[0].astype(
        float
    )
    before = float(np.linalg.norm(moved_corners - corners, axis=1).max())
    return moved_corners if before <= 0.35 * float(geometry.lengths(corners).max()) else corners


def compare(pixels: Pixels, logo: Logo, corners: Corners) -> Sighting:
    """The part of the picture between the corners against the logo's drawing."""
    sides = geometry.lengths(corners)
    if sides.max() < _LEAST_SIDE or not _convex(corners):
        return _NOTHING
    drawn, scale = _reference(logo, corners)
    seen = _unwarped(pixels, corners, drawn.shape[:2], scale)
    padded = _padded(drawn)
    ground = (
        np.median(seen[padded[..., 3] == 0].reshape(-1, 3), axis=0)
        if (padded[..., 3] == 0).any()
        else seen.mean((0, 1))
    )
    expected = searching.on_ground(padded, ground)
    likeness, worst = _structure(expected, seen, max(drawn.shape[:2]))
    colour = _colour_error(padded, seen)
    stretch = _stretch(corners, logo.aspect)
    found = Sighting(
        verdict="match",
        reason="",
        likeness=likeness,
        worst=worst,
        colour=colour,
        stretch=stretch,
        corners=corners,
    )
    return _judged(found)


def _judged(found: Sighting) -> Sighting:
    """With its verdict and the reason for it."""
    blurred = found.likeness < UNSURE and found.colour > ELSE
    if found.likeness < NEAR or blurred or found.stretch > OTHER:
        return replace(_NOTHING, likeness=found.likeness)
    wrong = []
    if found.likeness < LIKE or found.worst < WORST:
        wrong.append("its shape is not the drawing's")
    if found.colour > COLOUR:
        wrong.append(f"a colour is off by {found.colour:.0f} (CIEDE2000)")
    if found.stretch > STRETCH:
        wrong.append(f"it is stretched by {found.stretch - 1:.0%}")
    if wrong:
        return replace(found, verdict="altered", reason="the logo was found, but " + ", and ".join(wrong))
    return replace(found, verdict="match", reason=f"the logo is there, {found.likeness:.0%} alike")


# ---------------------------------------------------------------- parts


def _reference(logo: Logo, corners: Corners) -> tuple[NDArray[np.uint8], float]:
    """The drawing at the size it is compared at, and px of the picture per px of it."""
    longest = float(geometry.lengths(corners).max())
    side = int(np.clip(longest, _LEAST_SIDE, _SIDE))
    drawn = logo.drawn(side)
    return drawn, longest / max(drawn.shape[:2])


def _edge(height: int, width: int) -> int:
    return max(2, round(_MARGIN * max(height, width)))


def _padded(drawn: NDArray[np.uint8]) -> NDArray[np.uint8]:
    edge = _edge(*drawn.shape[:2])
    return np.pad(drawn, ((edge, edge), (edge, edge), (0, 0)))


def _inner(height: int, width: int) -> Corners:
    """Corners of the drawing within its padded picture."""
    return geometry.own_rectangle(width, height) + _edge(height, width)


def _outer(shape: tuple[int, int]) -> Corners:
    edge = _edge(*shape)
    return geometry.own_rectangle(shape[1] + 2 * edge, shape[0] + 2 * edge)


def _grown(corners: Corners, shape: tuple[int, int]) -> Corners:
    """The corners of the padded drawing on the picture."""
    there = geometry.perspective(_inner(*shape), corners)
    grown: Corners = cv2.perspectiveTransform(_outer(shape)[None].astype(np.float64), there)[0]
    return grown


def _unwarped(pixels: Pixels, corners: Corners, shape: tuple[int, int], scale: float) -> NDArray[np.float32]:
    """[height, width, 3] of the padded drawing, 0..1 sRGB; averaged where the picture is finer."""
    smooth = cv2.GaussianBlur(pixels, (0, 0), scale / 2.5) if scale > 1.3 else pixels
    edge = _edge(*shape)
    back = geometry.perspective(_outer(shape), _grown(corners, shape))
    size = (shape[1] + 2 * edge, shape[0] + 2 * edge)
    seen = cv2.warpPerspective(
        smooth, back, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    return seen.astype(np.float32) / 255


def _ground(pixels: Pixels, corners: Corners) -> NDArray[np.float32]:
    """The colour around the logo: median of a ring, 0..1."""
    centre = corners.mean(axis=0)
    height, width = pixels.shape[:2]
    ring = centre + (corners - centre) * 1.15
    points = np.concatenate([np.linspace(ring[i], ring[(i + 1) % 4], 40) for i in range(4)])
    inside = (points >= 0).all(axis=1) & (points[:, 0] < width - 1) & (points[:, 1] < height - 1)
    at = points[inside].astype(int)
    if len(at) == 0:
        return np.full(3, 0.5, np.float32)
    return (np.median(pixels[at[:, 1], at[:, 0]], axis=0) / 255).astype(np.float32)


def _contrast(expected: NDArray[np.float32], ground: NDArray[np.float32]) -> NDArray[np.float32]:
    """The direction in RGB in which the drawing differs most from its ground."""
    away = (expected - ground).reshape(-1, 3)
    _, vectors = np.linalg.eigh(away.T @ away)
    return np.asarray(vectors[:, -1], np.float32)


def _structure(expected: NDArray[np.float32], seen: NDArray[np.float32], side: int) -> tuple[float, float]:
    """(likeness, likeness of the worst tenth), weighted by how much of the drawing is in a window."""
    sigma = max(1.5, _WINDOW * side)

    def low(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)

    mean_e, mean_s = low(expected), low(seen)
    together = (low(expected * seen) - mean_e * mean_s).sum(axis=-1)
    own_e = np.maximum(low(expected * expected) - mean_e * mean_e, 0).sum(axis=-1)
    own_s = np.maximum(low(seen * seen) - mean_s * mean_s, 0).sum(axis=-1)
    # cloth without a trace of the drawing is no likeness, however quiet it is
    contrast = np.sqrt(own_e * np.maximum(own_s, own_e * _FAINT**2))
    structure = together / (contrast + _NOISE**2)
    # what stands beside the drawing where it has nothing counts, too
    weight = np.maximum(np.sqrt(own_e), 0.5 * np.sqrt(own_s))
    weight = np.where(weight > 2 * _NOISE, weight, 0)
    if weight.sum() == 0:
        return 0.0, 0.0
    likeness = float((weight * structure).sum() / weight.sum())
    order = np.argsort(structure, axis=None)
    shares = np.cumsum(weight.ravel()[order]) / weight.sum()
    tenth = order[: int(np.searchsorted(shares, 0.1)) + 1]
    worst = float(np.average(structure.ravel()[tenth], weights=weight.ravel()[tenth] + 1e-9))
    return likeness, worst


def _colour_error(drawn: NDArray[np.uint8], seen: NDArray[np.float32]) -> float:
    """CIEDE2000 of the logo's main colour that is most off, after one common brightness."""
    solid = cv2.erode((drawn[..., 3] >= 250).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    if solid.sum() < 12:
        solid = drawn[..., 3] >= 200
    if solid.sum() < 12:
        return float("nan")
    wanted, found = drawn[solid][:, :3], np.round(seen[solid] * 255).astype(np.uint8)
    labels = searching.clusters(wanted.astype(np.float32), _COLOURS)
    pairs = []
    for label in np.unique(labels):
        mine = labels == label
        if mine.mean() >= 0.05:
            pairs.append((to_linear(wanted[mine]).mean(axis=0), np.median(to_linear(found[mine]), axis=0)))
    want, have = np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])
    gain = float(np.clip((want * have).sum() / max((want * want).sum(), 1e-6), 0.45, 1.4))
    lit = to_srgb((want * gain).astype(np.float32))[None], to_srgb(have.astype(np.float32))[None]
    return float(deltaE_ciede2000(rgb2lab(lit[0]), rgb2lab(lit[1])).max())


def _stretch(corners: Corners, aspect: float) -> float:
    top, right, bottom, left = geometry.lengths(corners)
    ratio = ((top + bottom) / (left + right)) / aspect
    return float(max(ratio, 1 / ratio))


def _convex(corners: Corners) -> bool:
    edges = np.roll(corners, -1, axis=0) - corners
    following = np.roll(edges, -1, axis=0)
    return bool((edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0] > 0).all())
