"""Photos that tests of editing share: a garment before a background, with its true shape."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

NAVY, WALL = (31, 42, 68), (203, 196, 186)


def garment(
    size: int = 320, colour: tuple[int, int, int] = NAVY, wall: tuple[int, int, int] = WALL
) -> tuple[Image.Image, NDArray[np.bool_]]:
    """A T-shirt of one colour with weave and folds before a wall with a little grain, and where it is."""
    rng = np.random.default_rng(0)
    scale = 4
    mask = Image.new("L", (size * scale, size * scale))
    shape = [(0.36, 0.2), (0.64, 0.2), (0.86, 0.36), (0.78, 0.5), (0.68, 0.44), (0.68, 0.82), (0.32, 0.82)]
    shape += [(0.32, 0.44), (0.22, 0.5), (0.14, 0.36)]
    ImageDraw.Draw(mask).polygon([(x * size * scale, y * size * scale) for x, y in shape], fill=255)
    alpha = np.asarray(mask.resize((size, size), Image.Resampling.BOX), np.float32)[..., None] / 255
    across = np.linspace(0, 6 * np.pi, size)
    folds = 1 + 0.18 * np.sin(across[None, :, None] + across[:, None, None] / 4)
    grain = Image.fromarray(rng.normal(128, 24, (size, size)).clip(0, 255).astype(np.uint8))
    texture = np.asarray(grain.filter(ImageFilter.GaussianBlur(1)), np.float32)[..., None] / 128
    weave = 1 + 0.04 * rng.standard_normal((size, size, 1))
    cloth = np.array(colour, np.float32) * folds * weave
    pixels = cloth * alpha + np.array(wall, np.float32) * texture * (1 - alpha)
    return Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8)), alpha[..., 0] > 0.5
