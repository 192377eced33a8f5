"""Pictures of the model as it is now, on fixed prompts and seeds.

Has its own generators and puts every random stream back, so that drawing does not move the training.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers.image_processor import VaeImageProcessor
from PIL import Image

from sdxl_lora.models import guidance, latent_space, registry
from sdxl_lora.training.components import Components
from sdxl_lora.training.setup import Setup
from sdxl_lora.training.text import TextCondition

SHEET_NAME = "samples.jpg"


def draw(setup: Setup, components: Components) -> tuple[tuple[str, ...], tuple[Image.Image, ...]]:
    """(prompts, pictures), one prompt per picture; picture i of a prompt always has the same seed."""
    config = setup.config
    pictures: list[Image.Image] = []
    prompts: list[str] = []
    with _undisturbed(setup, components) as pipeline:
        conditions, uncond = _conditions(setup, components)
        for number, prompt in enumerate(config.validation_prompts):
            condition = TextCondition(
                conditions.embeddings[number : number + 1],
                None if conditions.pooled is None else conditions.pooled[number : number + 1],
            )
            for index in range(config.num_validation_images):
                pictures.append(_one(setup, components, pipeline, condition, uncond, setup.seed + index))
                prompts.append(prompt)
    return tuple(prompts), tuple(pictures)


def sheet(images: tuple[Image.Image, ...], columns: int) -> Image.Image:
    """All pictures on one, row by row."""
    width, height = images[0].size
    rows = -(-len(images) // columns)
    page = Image.new("RGB", (columns * width, rows * height), "white")
    for index, image in enumerate(images):
        page.paste(image, (index % columns * width, index // columns * height))
    return page


def save_sheet(images: tuple[Image.Image, ...], columns: int, folder: Path) -> str:
    """Writes the sample sheet; its file name."""
    sheet(images, columns).save(folder / SHEET_NAME, quality=92)
    return SHEET_NAME


@contextmanager
def _undisturbed(setup: Setup, components: Components) -> Iterator[DiffusionPipeline]:
    """A pipeline over the training's own modules, which are afterwards as they were."""
    vae = components.vae
    if vae is None:
        raise ValueError("there are no validation prompts")
    home = vae.device
    devices = [setup.accelerator.device] if setup.accelerator.device.type == "cuda" else []
    with (
        torch.random.fork_rng(devices=devices),
        torch.no_grad(),
        setup.autocast(),
        components.adapter.evaluating(),
    ):
        try:
            vae.to(setup.accelerator.device)
            yield _pipeline(setup, components)
        finally:
            vae.to(home)


def _pipeline(setup: Setup, components: Components) -> DiffusionPipeline:
    folder = setup.base.folder
    scheduler = _scheduler(setup)
    common: dict[str, Any] = {
        "vae": components.vae,
        "unet": components.adapter.parts["unet"],
        "scheduler": scheduler,
        "text_encoder": None,
        "tokenizer": None,
    }
    if setup.base.architecture == "sdxl":
        pipeline = StableDiffusionXLPipeline(
            **common, text_encoder_2=None, tokenizer_2=None, add_watermarker=False
        )
    else:
        pipeline = StableDiffusionPipeline(
            **common, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.register_to_config(_name_or_path=str(folder))
    return pipeline


def _scheduler(setup: Setup) -> Any:
    import diffusers

    config = diffusers.DDPMScheduler.load_config(setup.base.folder / "scheduler")
    kind = getattr(diffusers, config["_class_name"])
    return kind.from_config({**config, "prediction_type": setup.prediction_type})


def _conditions(setup: Setup, components: Components) -> tuple[TextCondition, TextCondition]:
    """Encoded now where the encoders are trained, else what was encoded at the start."""
    device = setup.accelerator.device
    if setup.config.train_text_encoder and components.encoding is not None:
        encoding = components.encoding
        return encoding.encode(setup.config.validation_prompts).to(device), encoding.unconditional(1).to(
            device
        )
    if components.prompts is None:
        raise ValueError("there are no validation prompts")
    return components.prompts[0].to(device), components.prompts[1].to(device)


def _one(
    setup: Setup,
    components: Components,
    pipeline: DiffusionPipeline,
    condition: TextCondition,
    uncond: TextCondition,
    seed: int,
) -> Image.Image:
    defaults = registry.describe(setup.config.pretrained_model_name_or_path).defaults
    pooled = {}
    if condition.pooled is not None:
        pooled = {"pooled_prompt_embeds": condition.pooled, "negative_pooled_prompt_embeds": uncond.pooled}
    latents = pipeline(
        prompt_embeds=condition.embeddings,
        negative_prompt_embeds=uncond.embeddings,
        **pooled,
        num_inference_steps=defaults.steps,
        **guidance.arguments(pipeline, defaults.guidance, defaults.guidance_end),
        height=setup.resolution,
        width=setup.resolution,
        generator=torch.Generator().manual_seed(seed),
        output_type="latent",
    ).images
    vae = components.vae
    if vae is None:
        raise ValueError("there is no VAE")
    with torch.autocast(setup.accelerator.device.type, enabled=False):
        pixels = vae.decode(latent_space.unscale(latents.to(vae.dtype), vae.config)).sample
    image: Image.Image = VaeImageProcessor().postprocess(pixels.float(), output_type="pil")[0]
    return image
