"""A place that may show a logo, seen straight, and the perspective in which the drawing fits it best.

Three steps, each from where the one before ended (enhanced correlation, Evangelidis & Psarakis 2008): strengths of
edges, softened, by an affine map; the same by a perspective; the drawing in the colours found there by a perspective.
The first two see no colours, so that a logo in wrong colours is aligned as well as a true one.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from sdxl_lora.logos import geometry, inks, searching
from sdxl_lora.logos.compositing import Pixels
from sdxl_lora.logos.geometry import Corners
from sdxl_lora.logos.raster import Logo

_AREA: Final = 110.0  # px: square root of the drawing's area when it is compared
_LONGEST: Final = 420  # px
_MARGIN: Final = 0.16  # of the root of the area: cloth around the logo that is compared with it
_COLOURS: Final = 4
_SOLID: Final = 0.98  # cover from which a pixel has the ink's colour
_STEPS: Final = 40
_EPSILON: Final = 1e-4
_MOVED: Final = 0.35  # of the longer side, at most

_Plane = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """The logo's drawing at the size it is compared at, with a margin; arrays are [height, width ...]."""

    ink: _Plane  # RGB 0..1, not premultiplied
    cover: _Plane  # alpha 0..1
    labels: NDArray[np.int32]  # which of its colours a pixel has; -1 outside it
    parts: _Plane  # [height, width, parts]: how much of each pixel is of each of its colours, 0..1
    edge: int  # px of margin
    edges: _Plane  # strength of edges, 0..1

    @property
    def inner(self) -> Corners:
        """Corners of the drawing without its margin."""
        height, width = self.cover.shape
        return geometry.own_rectangle(width - 2 * self.edge, height - 2 * self.edge) + self.edge

    @property
    def unit(self) -> float:
        """px: root of the area without the margin, the measure of what is near."""
        height, width = self.cover.shape
        return float(np.sqrt((width - 2 * self.edge) * (height - 2 * self.edge)))


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """A place, and what is to be seen there."""

    corners: Corners  # px of the picture
    seen: _Plane  # [height, width, 3] of the drawing with its margin, RGB 0..1
    fitted: _Plane  # the drawing in the colours found there, RGB 0..1
    inked: inks.Inked  # how the picture shows the drawing's parts
    ground: _Plane  # the cloth under it, RGB 0..1
    colours: list[tuple[NDArray[np.float32], NDArray[np.float32], float]]  # (drawn, found, share of the logo)


def drawing_of(logo: Logo, corners: Corners, *, mirrored: bool = False) -> Drawing:
    """The drawing, no finer than the picture shows it."""
    long = max(logo.aspect, 1 / logo.aspect)
    longest = float(geometry.lengths(corners).max())
    drawn = logo.drawn(round(min(_LONGEST, _AREA * long**0.5, max(longest, 16))))
    drawn = np.ascontiguousarray(drawn[:, ::-1]) if mirrored else drawn
    edge = max(3, round(_MARGIN * np.sqrt(drawn.shape[0] * drawn.shape[1])))
    padded = np.pad(drawn, ((edge, edge), (edge, edge), (0, 0)))
    cover = np.asarray(padded[..., 3] / 255, np.float32)
    ink = np.asarray(padded[..., :3] / 255, np.float32)
    there = cover >= min(0.5, 0.9 * float(cover.max()))  # a hairline covers no pixel by half
    labels = np.full(cover.shape, -1, np.int32)
    labels[there] = searching.clusters(np.asarray(ink[there] * 255, np.float32), _COLOURS)
    light = np.concatenate([ink * cover[..., None], cover[..., None]], axis=-1)
    parts = inks.shares(labels, cover)
    return Drawing(ink=ink, cover=cover, labels=labels, parts=parts, edge=edge, edges=_edges(light))


def aligned(pixels: Pixels, drawing: Drawing, corners: Corners) -> Aligned:
    """The place where the drawing fits best, near `corners`."""
    motion = np.eye(3, dtype=np.float32)
    wanted, found = drawing.edges, _edges(_straight(pixels, drawing, corners))
    for kind, soft in ((cv2.MOTION_AFFINE, 9), (cv2.MOTION_HOMOGRAPHY, 5)):
        motion = _ecc(wanted, found, motion, kind, soft)
    coarse = _seen_at(pixels, drawing, _moved(corners, drawing, motion))
    axis = contrast_of(coarse.fitted)
    if axis is None:
        return coarse
    motion = _ecc(
        coarse.fitted @ axis, coarse.seen @ axis, np.eye(3, dtype=np.float32), cv2.MOTION_HOMOGRAPHY, 3
    )
    finer = _moved(coarse.corners, drawing, motion)
    far = np.linalg.norm(finer - corners, axis=1).max() > _MOVED * geometry.lengths(corners).max()
    return coarse if far else _seen_at(pixels, drawing, finer)


def placed(pixels: Pixels, drawing: Drawing, corners: Corners, bare: Pixels) -> Aligned:
    """Exactly at `corners`, where the logo was put onto the picture `bare`: stripes must not pull it away."""
    return _seen_at(pixels, drawing, corners, _straight(bare, drawing, corners))


def _seen_at(pixels: Pixels, drawing: Drawing, corners: Corners, cloth: _Plane | None = None) -> Aligned:
    """What is to be seen at `corners`; `cloth` under it, or the colour around it everywhere."""
    seen = _straight(pixels, drawing, corners)
    if cloth is None:
        outside = drawing.cover < 0.02
        colour = np.median(seen[outside], axis=0) if outside.any() else seen.mean((0, 1))
        cloth = np.asarray(np.broadcast_to(colour, seen.shape), np.float32)
    inked, colours = _inked(drawing, seen, cloth)
    fitted = inks.mixed(drawing.parts, inked, cloth)
    return Aligned(corners=corners, seen=seen, fitted=fitted, inked=inked, ground=cloth, colours=colours)


def _ecc(wanted: _Plane, found: _Plane, start: _Plane, kind: int, soft: int) -> _Plane:
    """The 3 x 3 map from the drawing to what is seen; `start` where nothing correlates."""
    begin = start if kind == cv2.MOTION_HOMOGRAPHY else np.ascontiguousarray(start[:2] / start[2, 2])
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _STEPS, _EPSILON)
    try:
        _, moved = cv2.findTransformECC(
            np.ascontiguousarray(wanted),
            np.ascontiguousarray(found),
            begin.copy(),
            kind,
            criteria,
            None,
            soft,
        )
    except cv2.error:  # nothing there correlates
        return start
    full = moved if kind == cv2.MOTION_HOMOGRAPHY else np.vstack([moved, [0, 0, 1]])
    return np.asarray(full, np.float32) if np.isfinite(full).all() else start


def _moved(corners: Corners, drawing: Drawing, motion: _Plane) -> Corners:
    """The corners after the map of the drawing; as they were where it leads far away."""
    there = geometry.perspective(drawing.inner, corners)
    shifted = cv2.perspectiveTransform(drawing.inner[None], motion.astype(np.float64))
    moved: Corners = cv2.perspectiveTransform(shifted, there)[0]
    far = np.linalg.norm(moved - corners, axis=1).max() > _MOVED * geometry.lengths(corners).max()
    return corners if far or not np.isfinite(moved).all() or not convex(moved) else moved


def _straight(pixels: Pixels, drawing: Drawing, corners: Corners) -> _Plane:
    """What is between the corners and in the margin around them, upright; averaged where the picture is finer."""
    height, width = drawing.cover.shape
    there = geometry.perspective(drawing.inner - 0.5, corners - 0.5)
    around = cv2.perspectiveTransform(geometry.own_rectangle(width, height)[None], there)[0]
    left, top, right, bottom = geometry.bounds(around)
    x, y = max(0, int(left) - 4), max(0, int(top) - 4)
    part = pixels[y : max(y + 1, int(bottom) + 5), x : max(x + 1, int(right) + 5)]
    if part.size == 0:
        return np.zeros((height, width, 3), np.float32)
    scale = float(geometry.lengths(corners).max()) / max(width - 2 * drawing.edge, height - 2 * drawing.edge)
    if scale > 1.3:
        part = cv2.GaussianBlur(part, (0, 0), scale / 2.5)
    shift = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1]], np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = cv2.warpPerspective(
        part, shift @ there, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return seen.astype(np.float32) / 255


def _inked(
    drawing: Drawing, seen: _Plane, ground: _Plane
) -> tuple[inks.Inked, list[tuple[NDArray[np.float32], NDArray[np.float32], float]]]:
    """How its parts are there; and their colours, (drawn, found, share of the logo)."""
    total = max(1, int((drawing.labels >= 0).sum()))
    guess, drawn, share = [], [], []
    for label in range(drawing.parts.shape[-1]):
        mine = drawing.labels == label
        solid = cv2.erode((mine & (drawing.cover >= _SOLID)).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        solid = solid if solid.sum() >= 8 else mine
        guess.append(np.median(seen[solid], axis=0))
        drawn.append(drawing.ink[solid].mean(axis=0))
        share.append(float(mine.sum() / total))
    inked = inks.found(drawing.parts, seen, ground, np.array(guess, np.float32))
    return inked, list(zip(drawn, inked.colours, share, strict=True))


def contrast_of(fitted: _Plane) -> _Plane | None:
    """The direction in RGB in which the picture varies most; None where it does not."""
    away = (fitted - fitted.mean((0, 1))).reshape(-1, 3)
    values, vectors = np.linalg.eigh(away.T @ away / len(away))
    return np.asarray(vectors[:, -1], np.float32) if values[-1] > 1e-5 else None


def _edges(picture: _Plane) -> _Plane:
    """How much of an edge every pixel is, 0..1, whatever the colours on its two sides are."""
    return np.asarray(np.linalg.norm(searching.field_of(picture), axis=-1), np.float32)


def convex(corners: Corners) -> bool:
    """Whether they are a quadrangle in their order, that does not cross itself."""
    edges = np.roll(corners, -1, axis=0) - corners
    following = np.roll(edges, -1, axis=0)
    return bool((edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0] > 0).all())
