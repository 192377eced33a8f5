"""Two pictures looked at together: a wipe between them, a map of their difference, boxes around the text
read.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage.color import rgb2lab

from sdxl_lora.evaluation.pictures import Picture

SIDE = 512  # px pictures are compared at
FULL_SCALE = 50.0  # CIELAB distance shown at full strength; black to white is 100
_LOW, _HIGH = np.array([251.0, 249.0, 245.0]), np.array([168.0, 42.0, 20.0])


def wipe(generated: Picture, reference: Picture, share: float) -> Image.Image:
    """The generated picture on the left `share` (0..1) of the width, the reference on the rest, a line
    between.
    """
    left, right = generated.resized(SIDE), reference.resized(SIDE)
    edge = round(min(max(share, 0.0), 1.0) * SIDE)
    joined = np.concatenate([left[:, :edge], right[:, edge:]], axis=1)
    if 0 < edge < SIDE:
        joined[:, max(0, edge - 1) : edge + 1] = 255
    return Image.fromarray(joined)


def difference_map(generated: Picture, reference: Picture) -> Image.Image:
    """CIELAB distance (CIE76) of every pixel, from pale (equal) to red (50 and more)."""
    one, two = rgb2lab(generated.resized(SIDE)), rgb2lab(reference.resized(SIDE))
    strength = np.clip(np.linalg.norm(one - two, axis=2) / FULL_SCALE, 0, 1)[..., None]
    return Image.fromarray((_LOW + strength * (_HIGH - _LOW)).astype(np.uint8))


def with_boxes(picture: Picture, words: Sequence[dict[str, Any]]) -> Image.Image:
    """The picture with a box around every text OCR read, as a report's `words` list them, and what it read."""
    image = Image.fromarray(picture.pixels).copy()
    draw = ImageDraw.Draw(image)
    thickness = max(2, image.width // 250)
    letter = max(12, image.width // 32)  # px
    font = ImageFont.load_default(letter)
    for word in words:
        corners = [(float(x), float(y)) for x, y in word["box"]]
        draw.polygon(corners, outline="#d0342c", width=thickness)
        left, top = min(x for x, _ in corners), min(y for _, y in corners)
        draw.text(
            (left, max(0.0, top - letter - 4)), word["text"], fill="#d0342c", font=font,
            stroke_width=2, stroke_fill="white",
        )  # fmt: skip
    return image
