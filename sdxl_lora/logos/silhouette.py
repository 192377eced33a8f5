"""What the outline of a garment tells: where its torso, shoulders, sleeves and legs are. Only the mask is looked at.

The torso is found by the largest circles that fit into the upper half of the outline: sleeves, legs, collars and heads
are thinner than it, so neither they nor the way a garment is laid move it.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from sdxl_lora.errors import LogoError

Mask = NDArray[np.bool_]  # [height, width], True = garment

_SMALLEST: Final = 0.005  # of the picture: less is a stain, not a garment
_UPPER: Final = 0.55  # of the height, in which the torso is looked for
_RIDGE: Final = 0.94  # of the largest circle's radius: circles that count as the torso's
_SHOULDER: Final = 0.75  # of the torso's width: from this row on the outline is shoulders, no collar or head
_BESIDE: Final = 0.56  # torso widths from the axis: what is further out is a sleeve
_SLEEVE_LENGTH: Final = 1.5  # torso widths below the shoulder that are searched for sleeves
_SLEEVE: Final = 0.02  # of the garment: less is a fold, not a sleeve
_UPPER_ARM: Final = (0.2, 0.55)  # of a sleeve's area from above: no shoulder, no cuff
_LEG: Final = 0.2  # of the garment's width, at least: a leg


@dataclass(frozen=True, kw_only=True)
class Limb:
    """A sleeve or a leg."""

    centre: tuple[float, float]  # px, where it is widest
    thickness: float  # px
    angle: float  # degrees from hanging straight down, clockwise as seen


class Silhouette:
    """One garment's outline."""

    def __init__(self, mask: Mask) -> None:
        self.mask = mask  # the garment without stains and holes
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        self.top, self.bottom = int(rows[0]), int(rows[-1]) + 1
        self.left, self.right = int(columns[0]), int(columns[-1]) + 1
        # a frame of background, so that the picture's edge is an edge
        framed = np.pad(mask.astype(np.uint8), 1)
        self.depth = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1]  # px to the outline

    @classmethod
    def of(cls, mask: NDArray[np.generic]) -> Self:
        """From any mask [height, width] whose larger values are garment. Raises `LogoError` where there is none."""
        levels = np.asarray(mask)
        if levels.ndim != 2:
            raise LogoError(f"a garment's mask has height and width, not {levels.ndim} dimensions")
        solid = levels if levels.dtype == np.bool_ else levels > (levels.max() / 2 if levels.size else 0)
        count, labels, facts, _ = cv2.connectedComponentsWithStats(solid.astype(np.uint8), connectivity=8)
        areas = facts[1:count, cv2.CC_STAT_AREA]
        if len(areas) == 0 or areas.max() < _SMALLEST * solid.size:
            raise LogoError("no garment was found on the picture; place the logo by X,Y,WIDTH instead")
        main = (labels == 1 + int(areas.argmax())).astype(np.uint8)
        outlines, _ = cv2.findContours(main, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        legs_apart = cv2.drawContours(np.zeros_like(main), outlines, -1, 1, cv2.FILLED)  # holes filled
        return cls(legs_apart.astype(bool))

    @property
    def height(self) -> int:
        """px."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """px."""
        return self.right - self.left

    @cached_property
    def torso(self) -> tuple[float, float]:
        """(x of its axis, its width), px."""
        upper = self.depth[self.top : self.top + max(1, round(_UPPER * self.height))]
        radius = float(upper.max())
        _, columns = np.nonzero(upper >= _RIDGE * radius)
        return float(np.median(columns)) + 0.5, 2 * radius

    @cached_property
    def shoulder(self) -> float:
        """y from which the outline around the axis is as wide as shoulders, px."""
        axis, width = self.torso
        for row in range(self.top, self.bottom):
            run = self.run(row, axis)
            if run is not None and run[1] - run[0] >= _SHOULDER * width:
                return float(row)
        return float(self.top)

    @cached_property
    def middle(self) -> tuple[float, float, float]:
        """x, y and width of the largest circle that fits in, px: the front of a cap, the side of a shoe."""
        radius = float(self.depth.max())
        rows, columns = np.nonzero(self.depth >= 0.97 * radius)
        y = float(np.median(rows))
        near = columns[np.abs(rows - y) <= max(2.0, 0.1 * radius)]
        return float(np.median(near if len(near) else columns)) + 0.5, y + 0.5, 2 * radius

    def runs(self, row: int) -> list[tuple[int, int]]:
        """[start, end) of the garment's stretches in a row, from the left."""
        line = np.flatnonzero(np.diff(np.pad(self.mask[row].astype(np.int8), 1)))
        return [(int(start), int(end)) for start, end in zip(line[::2], line[1::2], strict=True)]

    def run(self, row: int, x: float) -> tuple[int, int] | None:
        """The stretch of a row at `x`, if the garment is there."""
        return next((run for run in self.runs(row) if run[0] <= x < run[1]), None)

    @cached_property
    def legs(self) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """The two stretches of trousers where they are apart; None where there are no two legs."""
        for share in (0.7, 0.8, 0.9, 0.6):
            runs = self.runs(self.top + round(share * self.height))
            if len(runs) == 2 and min(end - start for start, end in runs) >= _LEG * self.width:
                first, second = runs
                if min(first[1] - first[0], second[1] - second[0]) >= 0.6 * max(
                    first[1] - first[0], second[1] - second[0]
                ):
                    return first, second
        return None

    def sleeve(self, side: int) -> Limb | None:
        """The sleeve on the viewer's right (`side` 1) or left (-1); None where none is beside the torso."""
        axis, width = self.torso
        x = np.arange(self.mask.shape[1]) + 0.5
        rows = slice(round(self.shoulder), min(self.bottom, round(self.shoulder + _SLEEVE_LENGTH * width)))
        beside = self.mask[rows] & ((x - axis) * side > _BESIDE * width)
        count, labels, facts, _ = cv2.connectedComponentsWithStats(beside.astype(np.uint8), connectivity=8)
        if count < 2:
            return None
        largest = 1 + int(facts[1:, cv2.CC_STAT_AREA].argmax())
        if facts[largest, cv2.CC_STAT_AREA] < _SLEEVE * self.mask.sum():
            return None
        part = labels == largest
        ys, xs = np.nonzero(part)
        depth = np.where(part, self.depth[rows], 0)
        upper, lower = (round(float(np.quantile(ys, share))) for share in _UPPER_ARM)
        depth[:upper], depth[lower + 1 :] = 0, 0
        thickest = float(depth.max())
        centre_y, centre_x = np.argwhere(depth >= 0.9 * thickest).mean(axis=0) + 0.5
        spread = np.cov(np.stack([xs, ys]))
        values, vectors = np.linalg.eigh(spread)
        along = vectors[:, -1] * np.sign(vectors[1, -1] or 1.0)  # pointing down
        steep = values[-1] > 1.5 * values[0]  # a short sleeve is as wide as long and says no direction
        angle = float(np.degrees(np.arctan2(-along[0], along[1]))) if steep else 0.0
        centre = (float(centre_x), float(centre_y) + rows.start)
        return Limb(centre=centre, thickness=2 * thickest, angle=angle)
