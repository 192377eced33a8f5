"""Draws scenes as catalogue photographs: the pictures the bundled model is trained on, besides real photos.

`render(scene)` is all most callers need. A garment is a function in `garments/` that returns pieces of cloth
in the unit square; `shading` gives them volume and folds, `patterns` and `emblems` decorate them;
`presentation` and `figure` add what holds or wears them, `settings` what is behind; `scene_renderer` puts it
all together.

To add a garment: one function and one line in `garments/__init__.py`, its word in `mini.scene.GARMENTS` and
its emblem positions in `mini.scene.POSITIONS`. To add an emblem, a pattern or a setting: one function in the
table of `emblems`, `patterns` or `settings`, and its word in `mini.scene`. Its words in sentences belong to
`mini.captions`.

What is drawn may only change together with the model: it is judged by, and trained on, the same pictures.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sdxl_lora.mini.renderer.scene_renderer import (
    cloth_mask,
    coverage,
    detail_mask,
    emblem_mask,
    render,
    stand_mask,
)

__all__ = ["cloth_mask", "contact_sheet", "coverage", "detail_mask", "emblem_mask", "render", "stand_mask"]


def contact_sheet(images: Sequence[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    """Lay equally large (H, W, 3) pictures out in rows of `columns`; missing ones stay white."""
    height, width = images[0].shape[:2]
    rows = -(-len(images) // columns)
    sheet = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * height, i % columns * width
        sheet[top : top + height, left : left + width] = image
    return sheet
