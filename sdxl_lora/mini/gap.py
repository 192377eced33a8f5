"""How far generated pictures are from what they imitate: renders of the same scenes, beside what the judge reads.

Three looks: sharpness (energy of the Laplacian, on garment edges and on plain background) and, of what is wider than a
Laplacian, mottle; a critic that learns to tell the two kinds apart (`mini.critic`); and distances between both sets in
the judge's features. Scenes leave open
what their seed decides, so a picture of the same prompt has its edges elsewhere: nothing is compared pixel by pixel.
Beside sharpness and distances stand those of a second set of renders, of the same scenes with other seeds: no model
can be expected to come closer. Beside the critic's accuracy stands chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from sdxl_lora.evaluation.distribution import frechet_distance, kid
from sdxl_lora.evaluation.statistics import mean_ci95
from sdxl_lora.mini.critic import critic_sheet, cross_examine
from sdxl_lora.mini.dataset import to_pixels
from sdxl_lora.mini.judge import Judge
from sdxl_lora.mini.renderer import coverage, render
from sdxl_lora.mini.scene import Scene

Pictures = NDArray[np.uint8]  # (N, H, W, 3) sRGB
Maps = NDArray[np.float32]  # (N, H, W)
Masks = NDArray[np.bool_]  # (N, H, W)
Row = dict[str, float | str | list[float]]  # a row of the table, see `mini.verdict`

EDGE_SHARE = 0.1  # of the pixels on and around the garment: those with the largest gradient count as edges
CELLS = 32  # a side, of the grid on which background is looked for
PLAIN_GRADIENT = 2.0  # sRGB steps per px; a cell of a render with less, on average, is plain
FEWEST_CELLS = 8  # plain ones a picture must have, to count
MOTTLE = (
    1 / 128,
    1 / 16,
)  # of a side: deviations of the two blurs whose difference is mottle; 2 and 16 px of 256
LEAST_MOTTLE = 0.05  # sRGB steps that nobody sees; keeps ratios of white backgrounds finite
RESAMPLES = 2_000  # of the bootstrap
SEED = 16
# Row of the table -> bar, and whether it is the least or the most that is allowed.
BARS = {
    "sharpness on edges": (0.85, "least"),
    "sharpness on background": (1.3, "most"),
    "told apart by a critic": (0.75, "most"),
}


@dataclass(frozen=True)
class Regions:
    """Where to look in pictures of each scene, wherever their seeds put the garment: rough on purpose."""

    near: Masks  # on and around the garment
    far: Masks  # background for certain

    @classmethod
    def of(cls, scenes: Sequence[Scene], size: int) -> "Regions":
        """From the renderer's own coverage, widened by a sixteenth and a tenth of the picture."""
        covered = np.stack([coverage(scene, size) > 0.5 for scene in scenes])
        return cls(_widened(covered, size // 16), ~_widened(covered, size // 10))


@dataclass(frozen=True)
class Ratio:
    """A ratio of two sums over pictures, with the 95 % interval of 2,000 resamples of the pictures."""

    value: float
    ci95: tuple[float, float] | None  # None: of one picture
    pictures: int


def measure_gap(
    judge: Judge, generated: Pictures, renders: Pictures, scenes: Sequence[Scene], folder: Path
) -> dict[str, Row]:
    """The table's rows; writes `critic.jpg` into `folder`: pictures, and where the critic looks."""
    size = generated.shape[1]
    again = np.stack([render(replace(scene, seed=scene.seed ^ SEED), size) for scene in scenes])
    regions = Regions.of(scenes, size)
    return {
        **_sharpness_rows(generated, renders, again, regions),
        **_critic_rows(generated, renders, regions, folder),
        **_distance_rows(judge, generated, renders, again),
    }


# -- sharpness


def edge_sharpness(pictures: Pictures, renders: Pictures, regions: Regions) -> Ratio:
    """Energy of the Laplacian on edges, over that of renders: below 1 edges are softer, above 1 harder or ragged.

    Edges are each picture's own: of the pixels around its garment the tenth with the largest gradient (of the picture
    blurred a little, so that a soft edge is found as well as a sharp one) and their neighbours.
    """
    ours, theirs = (
        np.array([p[m].mean() for p, m in zip(laplacian_energy(x), edges(x, regions.near), strict=True)])
        for x in (pictures, renders)
    )
    return _ratio(ours, theirs)


def background_sharpness(pictures: Pictures, renders: Pictures, regions: Regions) -> Ratio:
    """The same on plain background: above 1 it is mottled or noisy. NaN if no render has any.

    Of each picture the median cell counts, so that a garment larger than its render's spoils nothing.
    """
    size, plain = pictures.shape[1], _plain_cells(renders, regions)
    counted = plain.sum((1, 2)) >= FEWEST_CELLS
    if not counted.any():
        return Ratio(float("nan"), None, 0)
    ours, theirs = (
        np.array(
            [
                np.median(energy[cells])
                for energy, cells in zip(
                    _in_cells(laplacian_energy(x[counted]), size), plain[counted], strict=True
                )
            ]
        )
        for x in (pictures, renders)
    )
    return _ratio(ours, theirs)


def laplacian_energy(pictures: Pictures) -> Maps:
    """(N, H, W) squared Laplacian of the mean of the channels, in squared sRGB steps."""
    grey = pictures.astype(np.float32).mean(3)
    return np.stack(
        [np.square(cv2.Laplacian(g, cv2.CV_32F, borderType=cv2.BORDER_REFLECT_101)) for g in grey]
    )


def edges(pictures: Pictures, near: Masks) -> Masks:
    """(N, H, W) the pixels of `near` whose gradient is among the largest `EDGE_SHARE`, and their neighbours."""
    found = []
    for picture, mask in zip(pictures, near, strict=True):
        slope = _gradient(cv2.GaussianBlur(picture.astype(np.float32).mean(2), (0, 0), len(picture) / 170))
        found.append(mask & (slope >= np.quantile(slope[mask], 1 - EDGE_SHARE)))
    return _widened(np.stack(found), 1)


def _plain_cells(renders: Pictures, regions: Regions) -> Masks:
    """(N, CELLS, CELLS) cells that are background and have hardly a gradient."""
    size = renders.shape[1]
    slope = np.stack([_gradient(picture.astype(np.float32).mean(2)) for picture in renders])
    away = _in_cells(regions.far.astype(np.float32), size) > 0.999
    return np.asarray(away & (_in_cells(slope, size) < PLAIN_GRADIENT), np.bool_)


def _gradient(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.hypot(
        cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=1 / 8)
    )


def _in_cells(maps: Maps, size: int) -> Maps:
    """(N, H, W) -> (N, CELLS, CELLS) means."""
    side = size // CELLS
    return maps[:, : side * CELLS, : side * CELLS].reshape(-1, CELLS, side, CELLS, side).mean((2, 4))


def _widened(masks: Masks, pixels: int) -> Masks:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return np.stack([cv2.dilate(mask.astype(np.uint8), disc) for mask in masks]).astype(bool)


def _ratio(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> Ratio:
    if theirs.sum() == 0:
        return Ratio(float("nan"), None, len(ours))
    value = float(ours.sum() / theirs.sum())
    if len(ours) < 2:
        return Ratio(value, None, len(ours))
    chosen = np.random.default_rng(SEED).integers(0, len(ours), (RESAMPLES, len(ours)))
    sums = theirs[chosen].sum(1)
    low, high = np.quantile(ours[chosen].sum(1)[sums > 0] / sums[sums > 0], (0.025, 0.975))
    return Ratio(value, (float(low), float(high)), len(ours))


def background_mottle(pictures: Pictures, renders: Pictures, regions: Regions) -> Ratio:
    """How uneven plain background is, over that of renders: above 1 it is clouded. NaN if no render has any.

    Of each picture what counts is how far a slight blur is from a wide one, in the median cell; of all pictures the
    geometric mean of their ratios, or those with a wooden floor would decide. A gradient is no mottle, and neither is
    the grain of 8-bit values, which the Laplacian sees above all (docs/log.md).
    """
    plain = _plain_cells(renders, regions)
    counted = plain.sum((1, 2)) >= FEWEST_CELLS
    if not counted.any():
        return Ratio(float("nan"), None, 0)
    ours, theirs = (
        np.array([_unevenness(*one) for one in zip(x[counted], plain[counted], strict=True)])
        for x in (pictures, renders)
    )
    logs = np.log((ours + LEAST_MOTTLE) / (theirs + LEAST_MOTTLE))
    ci95 = mean_ci95(logs).ci95
    ends = None if ci95 is None else (float(np.exp(ci95[0])), float(np.exp(ci95[1])))
    return Ratio(float(np.exp(logs.mean())), ends, len(logs))


def _unevenness(picture: NDArray[np.uint8], cells: NDArray[np.bool_]) -> float:
    """Distance in sRGB steps of a slight blur from a wide one, mean of a cell, in the median of `cells`."""
    grey, size = picture.astype(np.float32).mean(2), len(picture)
    fine, wide = (cv2.GaussianBlur(grey, (0, 0), share * size) for share in MOTTLE)
    return float(np.median(_in_cells(np.abs(fine - wide)[None], size)[0][cells]))


# -- rows


def _sharpness_rows(
    generated: Pictures, renders: Pictures, again: Pictures, regions: Regions
) -> dict[str, Row]:
    rows = {}
    for row, measure in (
        ("sharpness on edges", edge_sharpness),
        ("sharpness on background", background_sharpness),
        ("mottle on background", background_mottle),
    ):
        ratio = measure(generated, renders, regions)
        ceiling = measure(again, renders, regions).value
        rows[row] = _row(row, ratio.value, ceiling, ratio.ci95, ratio.pictures, unit="ratio")
    return rows


def _critic_rows(generated: Pictures, renders: Pictures, regions: Regions, folder: Path) -> dict[str, Row]:
    examined = cross_examine(generated, renders)
    name = "told apart by a critic"
    rows = {name: _row(name, examined.accuracy, 0.5, examined.ci95, examined.judged)}
    where = edges(generated, regions.near)
    for place, mask in (
        ("edges", where),
        ("garment", regions.near & ~where),
        ("background", regions.far),
    ):
        seen = (
            float(examined.saliency[mask].mean() / examined.saliency.mean()) if mask.any() else float("nan")
        )
        rows[f"critic's gradient on {place}, of its mean"] = {
            "generated": round(seen, 3),
            "pictures": len(generated),
            "unit": "ratio",
        }
    critic_sheet(generated, examined, folder / "critic.jpg")
    return rows


@torch.no_grad()
def _distance_rows(judge: Judge, generated: Pictures, renders: Pictures, again: Pictures) -> dict[str, Row]:
    ours, theirs, others = (
        np.concatenate(
            [judge.look(to_pixels(x[i : i + 25]))[0].double().numpy() for i in range(0, len(x), 25)]
        )
        for x in (generated, renders, again)
    )
    near, floor = kid(ours, theirs), kid(others, theirs)
    count = len(generated)
    return {
        "Frechet distance, judge's features": _row(
            "", frechet_distance(ours, theirs), frechet_distance(others, theirs), None, count, unit="number"
        ),
        "KID, judge's features": _row("", near.value, floor.value, near.ci95, count, unit="number"),
    }


def _row(
    name: str,
    generated: float,
    renders: float,
    ci95: tuple[float, float] | None,
    pictures: int,
    unit: str = "share",
) -> Row:
    bar, side = BARS.get(name, (None, ""))
    return {
        "generated": round(generated, 4),
        "renders": round(renders, 4),
        "pictures": pictures,
        "unit": unit,
        **({"ci95": [round(end, 4) for end in ci95]} if ci95 else {}),
        **({"bar": bar, "bar_is": side} if bar is not None else {}),
    }
