"""Contact sheets to look at while a build runs: one glance says more than a loss."""

import random
from pathlib import Path

import numpy as np
from diffusers import StableDiffusionXLPipeline
from PIL import Image

from sdxl_lora.mini.captions import caption
from sdxl_lora.mini.dataset import RenderedSet
from sdxl_lora.mini.pipeline import pictures
from sdxl_lora.mini.renderer import contact_sheet
from sdxl_lora.mini.scene import sample_scene

COLUMNS = 8
GUIDANCE = 3.0
GUIDANCE_END = 0.6
CLEANUP = 99  # timestep
STEPS = 20


def save_sheet(images: list[Image.Image], path: Path, columns: int = COLUMNS) -> None:
    """Pictures of one size as one JPEG, row by row."""
    sheet = contact_sheet([np.asarray(image) for image in images], columns)
    Image.fromarray(sheet).save(path, quality=88)


def renders_sheet(folder: Path, path: Path, count: int = 64) -> None:
    """The first `count` pictures of a rendered set."""
    rendered = RenderedSet.open(folder)
    images = [Image.fromarray(rendered.picture(i)) for i in range(min(count, len(rendered)))]
    save_sheet(images, path)


def denoiser_sheet(pipeline: StableDiffusionXLPipeline, path: Path, count: int = 16) -> None:
    """What the model draws for `count` held-out captions, always the same ones."""
    words = random.Random(4)
    prompts = [caption(sample_scene(words, held_out=True), words, full=True) for _ in range(count)]
    images = pictures(
        pipeline, prompts, seed=1, guidance=GUIDANCE, end=GUIDANCE_END, cleanup=CLEANUP, steps=STEPS
    )
    save_sheet(images, path)
