"""Small pictures in the formats that are signed, and what c2pa-python reads in a file."""

import io
import json
from typing import Any

import c2pa
import numpy as np
from PIL import Image

from sdxl_lora.provenance.signing import MIME, OFFLINE


def picture(side: int = 64, seed: int = 0) -> Image.Image:
    """Smooth colours, so that a lossy format changes them little."""
    small = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


def photo(width: int = 256, height: int = 256, seed: int = 0) -> Image.Image:
    """What photos have that a mark has to live with: detail that falls off with frequency, an edge, smooth ground."""
    random = np.random.default_rng(seed)
    noise = random.standard_normal((height, width))
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    falling = np.fft.irfft2(
        np.fft.rfft2(noise) / np.maximum(np.hypot(rows, columns), 0.01) ** 1.2, (height, width)
    )
    down, right = np.mgrid[:height, :width] / [[[height]], [[width]]]
    garment = np.hypot(down - 0.5, right - 0.5) < 0.35
    level = np.where(garment, 90 + 25 * falling / falling.std(), 215 - 20 * down)
    tint = random.uniform(0.8, 1.1, 3)
    return Image.fromarray(np.clip(level[..., None] * tint, 0, 255).astype(np.uint8))


def file_of(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def manifest_of(data: bytes, kind: str = "PNG", anchor: bytes = b"") -> tuple[str, dict[str, Any]]:
    """Validation state and active manifest, read by c2pa-python as others read it."""
    settings: dict[str, Any] = {"verify": OFFLINE}
    if anchor:
        settings["trust"] = {"user_anchors": anchor.decode()}
    with (
        c2pa.Context.from_dict(settings) as context,
        c2pa.Reader(MIME[kind], io.BytesIO(data), context=context) as reader,
    ):
        store = json.loads(reader.json())
        return str(reader.get_validation_state()), store["manifests"][store["active_manifest"]]


def actions(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    [found] = [one["data"]["actions"] for one in manifest["assertions"] if one["label"] == "c2pa.actions.v2"]
    return list(found)
