"""The model that is shipped: stock diffusers load it as it is, and it draws what it is asked for."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    AutoPipelineForText2Image,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)
from PIL import Image
from transformers import CLIPModel, CLIPProcessor

from sdxl_lora.mini.package import folder_bytes
from sdxl_lora.models.registry import mini_folder

Draw = Callable[[str], np.ndarray[Any, Any]]
PROMPT = "a photography of a red t-shirt, white background"


@pytest.fixture(scope="module")
def pipeline() -> Any:
    pipeline = StableDiffusionXLPipeline.from_pretrained(mini_folder(), add_watermarker=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def draw(pipeline: Any) -> Draw:
    """The pixels of a prompt, drawn once."""

    @functools.cache
    def drawn(prompt: str) -> np.ndarray[Any, Any]:
        generator = torch.Generator("cpu").manual_seed(3)
        image = pipeline(prompt, num_inference_steps=10, guidance_scale=3.0, generator=generator).images[0]
        return np.asarray(image).astype(int)

    return drawn


def test_it_takes_at_most_60_megabytes() -> None:
    assert folder_bytes(mini_folder()) <= 60_000_000


def test_a_plain_load_is_in_single_precision(pipeline: Any) -> None:
    parts = (pipeline.unet, pipeline.vae, pipeline.text_encoder, pipeline.text_encoder_2)
    assert {part.dtype for part in parts} == {torch.float32}


def test_the_auto_pipeline_knows_it_as_sdxl() -> None:
    loaded = AutoPipelineForText2Image.from_pretrained(mini_folder())
    assert isinstance(loaded, StableDiffusionXLPipeline)


@pytest.mark.parametrize(
    "make", [StableDiffusionXLImg2ImgPipeline.from_pipe, StableDiffusionXLInpaintPipeline.from_pipe]
)
def test_pictures_can_be_edited_with_the_stock_pipelines(make: Callable[..., Any], pipeline: Any) -> None:
    editing = make(pipeline, add_watermarker=False)
    editing.set_progress_bar_config(disable=True)
    picture = Image.new("RGB", (256, 256), "white")
    masked = {"mask_image": Image.new("L", (256, 256), 255)} if "Inpaint" in type(editing).__name__ else {}
    made = editing(PROMPT, image=picture, strength=0.9, num_inference_steps=4, **masked).images[0]
    assert made.size == (256, 256)


@pytest.mark.parametrize(("colour", "channel"), [("red", 0), ("blue", 2)])
def test_the_cloth_has_the_colour_that_was_asked_for(colour: str, channel: int, draw: Draw) -> None:
    centre = draw(f"a photography of a {colour} t-shirt, white background")[110:170, 110:146]
    mean = centre.mean((0, 1))
    assert mean.argmax() == channel
    assert mean[channel] - np.delete(mean, channel).mean() > 60


def test_unknown_brands_and_words_do_not_keep_it_from_drawing_the_rest(draw: Draw) -> None:
    centre = draw("Zyxqwer Blorptech 9000 ☃ red t-shirt, white background")[110:170, 110:146]
    assert centre.mean((0, 1)).argmax() == 0


def test_its_clip_tells_a_picture_from_another(draw: Draw) -> None:
    clip = CLIPModel.from_pretrained(mini_folder() / "clip").float()
    processor = CLIPProcessor.from_pretrained(mini_folder() / "clip")
    picture = Image.fromarray(draw(PROMPT).astype(np.uint8))
    texts = [PROMPT, "a photography of blue trousers, forest background"]
    inputs = processor(text=texts, images=picture, return_tensors="pt", padding="max_length")
    with torch.no_grad():
        logits = clip(**inputs).logits_per_image[0]
    assert logits[0] > logits[1]
