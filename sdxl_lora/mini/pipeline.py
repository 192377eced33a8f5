"""Puts the trained parts together as a real `StableDiffusionXLPipeline`. Knows nothing of training."""

import json

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from PIL import Image
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from sdxl_lora.mini.optimisation import autocast
from sdxl_lora.mini.settings import BuildFolder
from sdxl_lora.models.guidance import arguments


def make_scheduler() -> EulerDiscreteScheduler:
    """SDXL's noise schedule rescaled to zero terminal SNR, v-prediction, trailing steps (arXiv 2305.08891)."""
    return EulerDiscreteScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )


def make_pipeline(folder: BuildFolder, unet: UNet2DConditionModel) -> StableDiffusionXLPipeline:
    """The pipeline of the parts trained so far and this UNet, in fp32 on the CPU."""
    vae = AutoencoderKL.from_pretrained(folder.stage("vae") / "vae")
    vae.register_to_config(**json.loads((folder.stage("latents") / "scaling.json").read_text()))
    clip, tokenizers = folder.stage("clip"), folder.stage("tokenizers")
    pipeline = StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=CLIPTextModel.from_pretrained(clip / "text_encoder"),
        text_encoder_2=CLIPTextModelWithProjection.from_pretrained(clip / "text_encoder_2"),
        tokenizer=CLIPTokenizer.from_pretrained(tokenizers / "tokenizer"),
        tokenizer_2=CLIPTokenizer.from_pretrained(tokenizers / "tokenizer_2"),
        unet=unet,
        scheduler=make_scheduler(),
        add_watermarker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@torch.no_grad()
def pictures(
    pipeline: StableDiffusionXLPipeline,
    prompts: list[str],
    *,
    seed: int,
    guidance: float,
    end: float,
    cleanup: int,
    steps: int,
) -> list[Image.Image]:
    """One PIL picture per prompt; picture i has seed `seed + i`. The UNet runs in bf16, as in the studio on CPUs.

    `end`: share of the way with guidance, 0..1; `cleanup`: timestep of the step after the last, 0 = none.
    """
    made: list[Image.Image] = []
    together = 4 if pipeline.device.type == "cpu" else 48
    for start in range(0, len(prompts), together):
        part = prompts[start : start + together]
        generators = [torch.Generator("cpu").manual_seed(seed + start + i) for i in range(len(part))]
        with autocast(pipeline.device.type):
            latents = pipeline(
                part,
                num_inference_steps=steps,
                **arguments(pipeline, guidance, end),
                generator=generators,
                output_type="latent",
            ).images
            if cleanup:
                latents = _cleaned(pipeline, part, latents, cleanup)
        decoded = pipeline.vae.decode(latents.float() / pipeline.vae.config.scaling_factor).sample
        made += pipeline.image_processor.postprocess(decoded)
    return made


def _cleaned(
    pipeline: StableDiffusionXLPipeline, prompts: list[str], latents: torch.Tensor, timestep: int
) -> torch.Tensor:
    """Finished latents (NCHW) denoised once more without noise, as in `generation.engine`."""
    pipeline.scheduler.set_timesteps(timesteps=[timestep])
    start = (
        latents / pipeline.scheduler.init_noise_sigma
    )  # the pipeline takes them for noise, and scales them
    cleaned: torch.Tensor = pipeline(
        prompts, timesteps=[timestep], latents=start, guidance_scale=1.0, output_type="latent"
    ).images
    return cleaned
