"""Pictures for tests: a garment on a background, a scene, a file that a model made."""

import io

import numpy as np
from PIL import Image, ImageDraw

from sdxl_lora.records import metadata
from sdxl_lora.request import GenerationRequest


def garment(
    size: tuple[int, int] = (1700, 1700), *, fill: float = 0.9, background: int = 255, colour: str = "navy"
) -> Image.Image:
    """A T-shirt of sorts in the middle, as high as `fill` says."""
    width, height = size
    image = Image.new("RGB", size, (background,) * 3)
    draw = ImageDraw.Draw(image)
    half_width, half_height = round(fill * min(size) * 0.35), round(fill * height / 2)
    left, top, right, bottom = width // 2 - half_width, 0, width // 2 + half_width, 0
    top, bottom = height // 2 - half_height, height // 2 + half_height - 1
    draw.rectangle((left, top, right, bottom), fill=colour)
    draw.rectangle(
        (left - half_width // 3, top + 5, right + half_width // 3, top + half_height // 2), fill=colour
    )
    return image


def scene(size: tuple[int, int] = (1200, 900)) -> Image.Image:
    """Noise of many colours up to the border."""
    pixels = np.random.default_rng(0).integers(0, 256, (size[1] // 20, size[0] // 20, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST)


def encoded(image: Image.Image, format: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format, quality=95)
    return buffer.getvalue()


def made_by_a_model(image: Image.Image | None = None, prompt: str = "a navy jacket, 紺のジャケット") -> bytes:
    """A PNG as the studio keeps it."""
    request = GenerationRequest(prompt=prompt, seed=7, steps=4, width=512, height=512, model="mini")
    return metadata.embed(image or garment((512, 512)), request, seconds=1.5)
