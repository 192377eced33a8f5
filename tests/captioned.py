"""A folder of pictures with captions, as a training reads it."""

from pathlib import Path

import numpy as np
from PIL import Image


def captioned(folder: Path, number: int, caption: str) -> Path:
    """Makes `folder` with so many pictures of noise, 64 px; `caption` has a place for the number."""
    folder.mkdir()
    for i in range(number):
        noise = np.random.default_rng(i).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(caption.format(i))
    return folder
