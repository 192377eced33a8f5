"""Whether a logo is on a picture, ours or anybody's, and whether it is the logo or something like it.

    1. candidates   places whose edges run as the logo's do (`searching`)
    2. alignment    the perspective in which the drawing fits best, whatever its colours are there (`aligning`)
    3. comparison   the part seen straight against the drawing: structure, colours, proportions

Light and shadow on the cloth do not count: structure is compared window by window without mean and contrast (the third
factor of SSIM, Wang et al. 2004, eq. 10), of the drawing in the colours that its parts have there, so that a recoloured
logo has the right structure and the wrong colours; colours are compared after one common brightness. What is bent is
found by comparing once more after a dense flow (Farnebäck 2003) has undone it. Parts whose own colour could not be seen
on that ground do not count. How alike details have to be is told by the drawing itself: much more than its molten copy
(`rivals`) would be. Under `LEAST` px nobody could say, and what is found is too small to be judged. Letters are not
read here; that is what `scoring.logo_check` adds.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from sdxl_lora.logos import aligning, geometry, inks, rivals, searching
from sdxl_lora.logos.aligning import Aligned, Drawing
from sdxl_lora.logos.compositing import Pixels, to_linear, to_srgb
from sdxl_lora.logos.geometry import Corners
from sdxl_lora.logos.raster import Logo

Verdict = Literal["match", "altered", "too small", "not found"]

LIKE: Final = 0.88  # likeness from which it is the logo
LIKE_HERE: Final = 0.8  # the same of a print of this studio, which stripes under it shade and nothing melts
NEAR: Final = 0.5  # likeness from which it was meant to be
BENT: Final = 0.6  # likeness after bends are undone, from which it was meant to be
WORST: Final = 0.64  # likeness of the worst tenth of the logo, at least
DETAIL_WORST: Final = 0.51  # the same in small windows, that corners and gaps are the drawing's from
MOLTEN: Final = 0.36  # of what the molten drawing lacks in likeness in small windows, at most
ADDED: Final = 0.06  # of the logo's rectangle, that something else may cover between its parts
LEAST: Final = 24.0  # px of the shorter side; details of what is smaller cannot be told
COLOUR: Final = 23.5  # CIEDE2000 of the colour that is most off, at most
ELSE: Final = 36.0  # the same, from which a shape that is hardly near is something else
UNSURE: Final = 0.72  # likeness of a shape that is hardly near
STRETCH: Final = 1.1  # of its proportions, at most; more where a side is a few pixels
_STRETCH_PX: Final = 1.2  # px by which the shorter side may be off
OTHER: Final = 1.8  # of its proportions, from which it is something else
_LEAST_SIDE: Final = 24  # px of the longer side; what is smaller on the picture is not looked for
_TINY: Final = 8  # px of the shorter side; the same
_WINDOW: Final = 0.05  # of the root of the logo's area: sigma of the windows
_SMALL_WINDOW: Final = 0.018  # the same of windows in which rounded corners and filled gaps show
_NOISE: Final = 0.02  # standard deviation, 0..1, that says nothing
_SEEN: Final = 0.04  # the same, from which a part of the drawing can be seen
_UNTOUCHED: Final = 0.01  # the same, up to which a window beside the drawing shows nothing of it
_UNEVEN: Final = 90  # percentile of the contrast of such windows, that the cloth is taken to have everywhere
_FAINT: Final = 0.2  # of the drawing's contrast, at least
_SURE: Final = 0.9  # likeness from which no other candidate is looked at
_RANKS: Final = {"not found": 0, "too small": 1}
_MIRRORED: Final = 0.1  # how much more alike than the drawing its mirror image is, at least


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """What was found of a logo on a picture."""

    verdict: Verdict
    reason: str  # one line
    likeness: float = 0.0  # of structure, 0..1
    bent: float = 0.0  # the same after bends are undone
    worst: float = 0.0  # the same of the worst tenth
    detail_worst: float = 1.0  # the same in small windows
    molten: float = 0.0  # lack of likeness in small windows, as a share of what the molten drawing lacks
    added: float = 0.0  # share of its rectangle that something covers which the drawing does not have
    colour: float = float("nan")  # CIEDE2000 of the colour that is most off
    stretch: float = 1.0  # how much longer than it should be in one direction
    here: bool = False  # whether it was put on here, onto cloth that is known
    corners: Corners | None = None  # px of the picture; None where nothing was found

    @property
    def sharp(self) -> bool:
        """Whether corners and gaps are the drawing's, which a melted one has lost although its shape is near."""
        return self.detail_worst >= DETAIL_WORST and (self.here or self.molten <= MOLTEN)


_NOTHING: Final = Sighting(verdict="not found", reason="nothing like the logo was found on the picture")


def find(pixels: Pixels, logo: Logo, *, near: Corners | None = None, bare: Pixels | None = None) -> Sighting:
    """Looks for the logo on a picture [height, width, 3].

    Args:
        near: where it should be, if that is known; no other place is looked at.
        bare: the picture before the logo was put on, if that is known: on patterned cloth the pattern is told from it.
    """
    if near is not None:
        sides = geometry.lengths(near)
        if sides.max() < _LEAST_SIDE or sides.min() < _TINY:
            reason = f"the place for the logo is {too_small(float(sides.min()))}"
            return replace(_NOTHING, verdict="too small", reason=reason)
        return compare(pixels, logo, near, bare=bare)
    best = _NOTHING
    for place in searching.candidates(pixels, logo):
        seen = compare(pixels, logo, place.corners)
        if place.mirrored and seen.verdict != "match":
            turned = compare(pixels, logo, place.corners, mirrored=True)
            if turned.verdict in ("match", "altered") and turned.likeness > seen.likeness + _MIRRORED:
                seen = replace(turned, verdict="altered", reason="the logo was found, but it is mirrored")
        if _rank(seen) > _rank(best):
            best = seen
        if best.verdict == "match" and best.likeness >= _SURE:
            break
    return best


def _rank(seen: Sighting) -> tuple[int, float]:
    return _RANKS.get(seen.verdict, 2), max(seen.likeness, seen.bent)


def compare(
    pixels: Pixels, logo: Logo, corners: Corners, *, mirrored: bool = False, bare: Pixels | None = None
) -> Sighting:
    """The part of the picture near the corners against the logo's drawing, or that seen in a mirror."""
    sides = geometry.lengths(corners)
    if sides.max() < _LEAST_SIDE or sides.min() < _TINY or not aligning.convex(corners):
        return _NOTHING
    drawing = aligning.drawing_of(logo, corners, mirrored=mirrored)
    if bare is None:
        there = aligning.aligned(pixels, drawing, corners)
    else:
        there = aligning.placed(pixels, drawing, corners, bare)
    likeness, worst = _structure(drawing, there, there.seen)
    detail, detail_worst = _structure(drawing, there, there.seen, window=_SMALL_WINDOW)
    rival = inks.mixed(rivals.molten(drawing), there.inked, there.ground)
    lacking = 1 - _structure(drawing, there, rival, window=_SMALL_WINDOW)[0]
    found = Sighting(
        verdict="match",
        reason="",
        likeness=likeness,
        bent=_structure(drawing, there, _unbent(drawing, there))[0],
        worst=worst,
        detail_worst=detail_worst,
        molten=(1 - detail) / max(lacking, 1e-3),
        added=rivals.added(drawing, there),
        here=bare is not None,
        colour=_colour_error(there),
        stretch=_stretch(there.corners, logo.aspect),
        corners=there.corners,
    )
    return _judged(found)


def _judged(found: Sighting) -> Sighting:
    """With its verdict and the reason for it."""
    assert found.corners is not None
    shorter = float(geometry.lengths(found.corners).min())
    hardly = found.likeness < UNSURE and (found.colour > ELSE or shorter < LEAST)
    if (found.likeness < NEAR and found.bent < BENT) or hardly or found.stretch > OTHER:
        return replace(_NOTHING, likeness=found.likeness, bent=found.bent)
    if shorter < LEAST:
        reason = f"something like the logo is there, {too_small(shorter)}"
        return replace(found, verdict="too small", reason=reason)
    wrong = []
    if found.likeness < (LIKE_HERE if found.here else LIKE) or found.worst < WORST:
        wrong.append("its shape is not the drawing's")
    elif not found.sharp:
        wrong.append("its corners or gaps are not the drawing's")
    if found.added > ADDED:
        wrong.append("something else is on it")
    if found.colour > COLOUR:
        wrong.append(f"a colour is off by {found.colour:.0f} (CIEDE2000)")
    if found.stretch > STRETCH + _STRETCH_PX / shorter:
        wrong.append(f"it is stretched by {found.stretch - 1:.0%}")
    if wrong:
        return replace(found, verdict="altered", reason="the logo was found, but " + ", and ".join(wrong))
    return replace(found, verdict="match", reason=f"the logo is there, {found.likeness:.0%} alike")


def too_small(side: float) -> str:
    """What is said of a logo whose shorter side has so many px."""
    return f"{side:.0f} px small; it is judged from {LEAST:.0f} px on"


# ---------------------------------------------------------------- parts


def _structure(
    drawing: Drawing, there: Aligned, seen: NDArray[np.float32], *, window: float = _WINDOW
) -> tuple[float, float]:
    """(likeness, likeness of the worst tenth), weighted by how much of the drawing can be seen in a window."""
    sigma = max(1.2, window * drawing.unit)

    def low(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)

    def contrast(values: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(np.sqrt(np.maximum(low(values * values) - mean * mean, 0).sum(axis=-1)))

    # against the cloth: what was there before the logo says nothing
    expected, seen = there.fitted - there.ground, seen - there.ground
    mean_e, mean_s = low(expected), low(seen)
    together = (low(expected * seen) - mean_e * mean_s).sum(axis=-1)
    own_e, own_s = contrast(expected, mean_e), contrast(seen, mean_s)
    cover = inks.blurred(drawing.cover, there.inked.blur)[..., None]
    true = inks.blurred(drawing.ink * drawing.cover[..., None], there.inked.blur) - there.ground * cover
    own_d = contrast(true, low(true))
    # as uneven as the cloth is beside the logo it is under it, which says nothing either
    beside = _beside(drawing) & (own_d < _UNTOUCHED)
    uneven = float(np.percentile(own_s[beside], _UNEVEN)) if beside.any() else 0.0
    own_s = np.sqrt(np.maximum(own_s**2 - uneven**2 * low(1 - cover[..., 0]), 0))
    # cloth without a trace of the drawing is no likeness, however quiet it is
    structure = together / (own_e * np.maximum(own_s, own_e * _FAINT) + _NOISE**2)
    structure = np.minimum(structure, 1)
    # what stands beside the drawing where it has nothing counts, too
    weight = np.where(np.maximum(own_d, own_s) > _SEEN, np.maximum(own_d, 0.5 * own_s), 0)
    total = float(weight.sum())
    if total == 0 or not (own_d > _SEEN).any():
        return 0.0, 0.0
    order = np.argsort(structure, axis=None)
    shares = np.cumsum(weight.ravel()[order]) / total
    tenth = order[: int(np.searchsorted(shares, 0.1)) + 1]
    worst = float(np.average(structure.ravel()[tenth], weights=weight.ravel()[tenth] + 1e-9))
    return float((weight * structure).sum() / total), worst


def _beside(drawing: Drawing) -> NDArray[np.bool_]:
    """The margin around the drawing."""
    outside = np.ones(drawing.cover.shape, np.bool_)
    outside[drawing.edge : -drawing.edge, drawing.edge : -drawing.edge] = False
    return outside


def _unbent(drawing: Drawing, there: Aligned) -> NDArray[np.float32]:
    """What is seen, moved by a smooth flow to where the drawing has it."""
    axis = aligning.contrast_of(there.fitted)
    if axis is None:
        return there.seen
    expected, seen = there.fitted @ axis, there.seen @ axis
    low, high = float(expected.min()), float(expected.max())
    scale = 255 / (1.3 * max(high - low, 1e-3))
    pair = [
        np.clip((plane - low + 0.15 * (high - low)) * scale, 0, 255).astype(np.uint8)
        for plane in (expected, seen)
    ]
    window = max(7, round(0.2 * drawing.unit))
    empty = np.zeros((*expected.shape, 2), np.float32)
    flow = cv2.calcOpticalFlowFarneback(pair[0], pair[1], empty, 0.5, 3, window, 3, 5, 1.1, 0)
    flow = cv2.GaussianBlur(flow, (0, 0), max(0.5, 0.03 * drawing.unit))
    rows, columns = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    moved = cv2.remap(
        there.seen,
        columns + flow[..., 0],
        rows + flow[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(moved, np.float32)


def _colour_error(there: Aligned) -> float:
    """CIEDE2000 of the logo's main colour that is most off, after one common brightness."""
    pairs = [(want, have) for want, have, share in there.colours if share >= 0.05]
    if not pairs:
        return float("nan")
    want, have = (
        to_linear(np.round(np.clip(np.array(side), 0, 1) * 255).astype(np.uint8))
        for side in zip(*pairs, strict=True)
    )
    gain = float(np.clip((want * have).sum() / max((want * want).sum(), 1e-6), 0.45, 1.4))
    lit = to_srgb((want * gain).astype(np.float32))[None], to_srgb(have.astype(np.float32))[None]
    return float(deltaE_ciede2000(rgb2lab(lit[0]), rgb2lab(lit[1])).max())


def _stretch(corners: Corners, aspect: float) -> float:
    top, right, bottom, left = geometry.lengths(corners)
    ratio = ((top + bottom) / (left + right)) / aspect
    return float(max(ratio, 1 / ratio))
