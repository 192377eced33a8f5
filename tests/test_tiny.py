"""The tiny models load and draw as stock pipelines do; without this no other test means anything."""

from pathlib import Path

from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from PIL import Image
from transformers import CLIPModel, CLIPProcessor

from tests import tiny


def test_tiny_sdxl_draws_through_the_stock_pipeline(tiny_sdxl: Path) -> None:
    pipeline = StableDiffusionXLPipeline.from_pretrained(tiny_sdxl)
    pipeline.set_progress_bar_config(disable=True)
    image = pipeline("a navy jacket", num_inference_steps=2).images[0]
    assert image.size == (tiny.SIDE, tiny.SIDE)


def test_tiny_sd_draws_through_the_stock_pipeline(tiny_sd: Path) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_sd)
    pipeline.set_progress_bar_config(disable=True)
    image = pipeline("a navy jacket", num_inference_steps=2).images[0]
    assert image.size == (tiny.SIDE, tiny.SIDE)


def test_tiny_clip_embeds_texts_and_pictures_in_one_space(tiny_clip: Path) -> None:
    model, processor = CLIPModel.from_pretrained(tiny_clip), CLIPProcessor.from_pretrained(tiny_clip)
    picture = Image.new("RGB", (48, 64), "navy")
    inputs = processor(text=["a jacket", "夹克 🧥"], images=[picture], return_tensors="pt", padding=True)
    outputs = model(**inputs)
    assert outputs.text_embeds.shape == (2, 32)
    assert outputs.image_embeds.shape == (1, 32)
