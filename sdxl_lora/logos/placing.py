"""Where a logo goes: a named position found on the garment, or a free one; both become four corners.

Left and right are the wearer's, as in the trade: the left chest is on the right of a picture from the front. Sizes of
named positions are relative to the part they are on, so that they fit whatever is worn and however large it is shown.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sdxl_lora.errors import LogoError, UnknownNameError
from sdxl_lora.logos import geometry
from sdxl_lora.logos.geometry import Corners
from sdxl_lora.logos.positions import POSITIONS
from sdxl_lora.logos.silhouette import Silhouette

_ON: Final = 0.97  # of a logo's area that has to lie on the garment at a named position
_BESIDE: Final = 0.1  # of a freely placed logo's area: with less on the garment it lies beside it
_SHRINK: Final = 0.9  # a logo of the usual size is made smaller in such steps until it fits
_SHRINKS: Final = 8
_ELSEWHERE: Final = "choose another position, or place it by X,Y,WIDTH"


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A place on one garment."""

    centre: tuple[float, float]  # px
    room: float  # px, width of the part it is on
    angle: float = 0.0  # degrees, clockwise as seen


def _on_torso(across: float, down: float) -> Callable[[Silhouette], Spot]:
    """`across`, `down`: torso widths from its axis and from the shoulders."""

    def find(garment: Silhouette) -> Spot:
        if garment.legs is not None:
            raise LogoError(f"no chest was found: this looks like trousers; {_ELSEWHERE}")
        axis, width = garment.torso
        return Spot(centre=(axis + across * width, garment.shoulder + down * width), room=width)

    return find


def _on_sleeve(side: int) -> Callable[[Silhouette], Spot]:
    def find(garment: Silhouette) -> Spot:
        limb = garment.sleeve(side)
        if limb is None:
            raise LogoError(f"no sleeve was found beside the torso; {_ELSEWHERE}")
        return Spot(centre=limb.centre, room=limb.thickness, angle=limb.angle)

    return find


def _on_leg(side: int) -> Callable[[Silhouette], Spot]:
    def find(garment: Silhouette) -> Spot:
        if garment.legs is None:
            raise LogoError(f"no two legs were found; {_ELSEWHERE}")
        start, end = garment.legs[1 if side > 0 else 0]
        row = garment.top + round(0.36 * garment.height)
        runs = garment.runs(row)
        axis = (garment.legs[0][1] + garment.legs[1][0]) / 2  # between the legs
        if len(runs) >= 2:
            stretch: tuple[float, float] = runs[-1] if side > 0 else runs[0]
        else:
            stretch = (axis, runs[0][1]) if side > 0 else (runs[0][0], axis)
        room = min(stretch[1] - stretch[0], 1.2 * (end - start))
        return Spot(centre=(sum(stretch) / 2, float(row)), room=room)

    return find


def _at_hem(garment: Silhouette) -> Spot:
    if garment.legs is not None:
        start, end = garment.legs[1]
        return Spot(
            centre=((start + end) / 2, garment.bottom - 0.25 * (end - start)), room=float(end - start)
        )
    axis, width = garment.torso
    x = axis + 0.25 * width
    rows = np.flatnonzero(garment.mask[:, min(garment.mask.shape[1] - 1, round(x))])
    lowest = float(rows[-1]) if len(rows) else float(garment.bottom)
    return Spot(centre=(x, lowest - 0.16 * width), room=width)


def _in_the_middle(garment: Silhouette) -> Spot:
    x, y, width = garment.middle
    return Spot(centre=(x, y), room=width)


_FIND: Final[dict[str, Callable[[Silhouette], Spot]]] = {  # raises `LogoError` where the garment has none
    "chest": _on_torso(0.0, 0.42),
    "left-chest": _on_torso(0.24, 0.36),
    "right-chest": _on_torso(-0.24, 0.36),
    "back": _on_torso(0.0, 0.45),
    "left-sleeve": _on_sleeve(1),
    "right-sleeve": _on_sleeve(-1),
    "left-thigh": _on_leg(1),
    "right-thigh": _on_leg(-1),
    "hem": _at_hem,
    "front": _in_the_middle,
    "side": _in_the_middle,
}


def at(
    name: str, garment: Silhouette, aspect: float, *, width: float | None = None, angle: float = 0.0
) -> Corners:
    """Corners of a logo of `aspect` (width / height) at a named position.

    Args:
        width: as a share of the part it is on; None = the usual one, smaller if the garment has less room there.
        angle: degrees, clockwise as seen, on top of the part's own.

    Raises `UnknownNameError`; `LogoError` where the garment has no such part, or the logo is larger than it.
    """
    if name not in POSITIONS:
        raise UnknownNameError("position of a logo", name, POSITIONS)
    position = POSITIONS[name]
    spot = _FIND[name](garment)
    usual = min(position.width, position.height * aspect)
    share = usual if width is None else width
    for _ in range(_SHRINKS):
        wide = share * spot.room
        corners = geometry.rectangle(spot.centre, wide, wide / aspect, spot.angle + angle)
        if _share_on(garment, corners) >= _ON:
            _check_size(corners)
            return corners
        if width is not None:
            break
        share *= _SHRINK
    raise LogoError(
        f"the logo is larger than the garment's {name.replace('-', ' ')}, {spot.room:.0f} px wide; "
        f"{'make it narrower' if width is not None else _ELSEWHERE}"
    )


def freely(
    centre: tuple[float, float],
    width: float,
    aspect: float,
    shape: tuple[int, int],
    *,
    angle: float = 0.0,
    garment: Silhouette | None = None,
) -> Corners:
    """Corners of a logo around `centre`, `width` px wide, on a picture of `shape` (height, width).

    `garment`: where it is known, a logo that is larger than it, or beside it, is refused. Raises `LogoError`.
    """
    return checked(geometry.rectangle(centre, width, width / aspect, angle), shape, garment=garment)


def between(
    points: Sequence[Sequence[float]], shape: tuple[int, int], *, garment: Silhouette | None = None
) -> Corners:
    """Corners as somebody gave them, px, in the order of `geometry`. Raises `LogoError` as `freely`."""
    return checked(geometry.corners_of(points, "the logo"), shape, garment=garment)


def checked(corners: Corners, shape: tuple[int, int], *, garment: Silhouette | None = None) -> Corners:
    """The corners, if the logo lies in the picture and, where that is known, on the garment. Raises `LogoError`."""
    height, width = shape
    left, top, right, bottom = geometry.bounds(corners)
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        raise LogoError("the logo lies outside the picture; move it in")
    if left < 0 or top < 0 or right > width or bottom > height:
        raise LogoError("the logo sticks out of the picture; make it smaller, or move it in")
    _check_size(corners)
    if garment is not None:
        if right - left > garment.width or bottom - top > garment.height:
            raise LogoError(
                f"the logo, {right - left:.0f}x{bottom - top:.0f} px, is larger than the garment, "
                f"{garment.width}x{garment.height} px; make it smaller"
            )
        if _share_on(garment, corners) < _BESIDE:
            raise LogoError("the logo lies beside the garment; move it onto it")
    return corners


def _check_size(corners: Corners) -> None:
    smallest = float(geometry.lengths(corners).min())
    if smallest < geometry.SMALLEST_SIDE:
        raise LogoError(f"the logo would be {smallest:.0f} px small there; make it larger, or the picture")


def _share_on(garment: Silhouette, corners: Corners) -> float:
    """How much of the logo's rectangle lies on the garment, 0..1; what is outside the picture does not."""
    inside = geometry.covered(corners, garment.mask.shape)
    left, top, right, bottom = geometry.bounds(corners)
    height, width = garment.mask.shape
    if left < 0 or top < 0 or right > width or bottom > height:
        return 0.0
    return float(garment.mask[inside].mean()) if inside.any() else 0.0
