"""How much the UNet's loss counts each place of a picture.

An emblem covers 1 to 5 % of a picture and would otherwise be learned last, so the places around one count more. The
whole box around the emblem does: when only the cells under the ink counted, ink beside them was nearly free, and every
shape came out as a blob (docs/log.md). What tells a shirt from a jacket, its collar, buttons, zip and seams, is as
small, and counts more for the same reason. So are the hook of a hanger, a mannequin's pole and a wearer's hands, which
faded into the backdrop; and camouflage, whose tones are close to each other, came out as plain cloth.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sdxl_lora.mini.renderer import cloth_mask, detail_mask, emblem_mask, stand_mask
from sdxl_lora.mini.scene import POSITIONS, Scene

EMBLEM_WEIGHT = 12.0
BARE_WEIGHT = 6.0  # without it a second emblem was nearly free, and jackets had one on chest and sleeve
DETAIL_WEIGHT = 8.0
STAND_WEIGHT = 5.0
CAMOUFLAGE_WEIGHT = 4.0
EMBLEM_MARGIN = 1  # cells around the emblem's box that count as much


def loss_weights(scene: Scene, side: int) -> NDArray[np.float16]:
    """(side, side) weights of a scene's latents: `EMBLEM_WEIGHT` in the box around the emblem, `BARE_WEIGHT` in the
    boxes where this garment might carry it and does not, up to `DETAIL_WEIGHT` on what makes the garment what it is, up
    to `STAND_WEIGHT` on what holds or wears it, `CAMOUFLAGE_WEIGHT` on camouflage, 1 elsewhere."""
    weights = 1 + (DETAIL_WEIGHT - 1) * detail_mask(scene, side)
    weights = np.maximum(weights, 1 + (STAND_WEIGHT - 1) * stand_mask(scene, side))
    if scene.pattern == "camouflage":
        weights = np.maximum(weights, 1 + (CAMOUFLAGE_WEIGHT - 1) * cloth_mask(scene, side))
    weights = weights.astype(np.float16)
    if scene.emblem is not None:
        for position in POSITIONS[scene.garment]:
            if position != scene.emblem_position:
                box = _box(replace(scene, emblem_position=position), side)
                weights[box] = np.maximum(weights[box], BARE_WEIGHT)
        weights[_box(scene, side)] = EMBLEM_WEIGHT
    return weights


def _box(scene: Scene, side: int) -> tuple[slice, slice]:
    """(rows, columns) of the emblem with its margin."""
    rows, columns = np.nonzero(emblem_mask(scene, side) > 0.02)
    top, left = max(0, rows.min() - EMBLEM_MARGIN), max(0, columns.min() - EMBLEM_MARGIN)
    return slice(top, rows.max() + EMBLEM_MARGIN + 1), slice(left, columns.max() + EMBLEM_MARGIN + 1)
