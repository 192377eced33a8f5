"""Small pictures for these tests: garments before a plain backdrop, and folders of them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def garment(
    colour: str | tuple[int, int, int] = "navy", side: int = 64, backdrop: str = "#f3f3f3"
) -> Image.Image:
    """A square of cloth in the middle of a plain backdrop."""
    image = Image.new("RGB", (side, side), backdrop)
    ImageDraw.Draw(image).rectangle([side // 4, side // 4, side * 3 // 4, side * 3 // 4], fill=colour)
    return image


def noisy(seed: int, side: int = 48) -> Image.Image:
    """A picture no other seed gives."""
    values = np.random.RandomState(seed).randint(0, 256, (side, side, 3))
    return Image.fromarray(values.astype(np.uint8))


def save_all(folder: Path, images: Iterable[tuple[str, Image.Image]]) -> Path:
    """Saves pictures under their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in images:
        image.save(folder / name)
    return folder


def noisy_folders(folder: Path, count: int) -> tuple[Path, Path]:
    """(generated, reference), `count` pictures each, all different."""
    generated = save_all(folder / "generated", ((f"img_{i:02}.png", noisy(i)) for i in range(count)))
    reference = save_all(folder / "reference", ((f"img_{i:02}.png", noisy(1000 + i)) for i in range(count)))
    return generated, reference
