"""Previews show roughly what the decoder would, at a fraction of its cost."""

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler
from PIL import Image

from sdxl_lora.models import previews
from tests import tiny


def _pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, dtype=np.float64).ravel()


def test_a_preview_resembles_what_was_encoded() -> None:
    torch.manual_seed(0)
    vae = tiny.vae()
    factors = previews.fit(vae)
    colours = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(3)) * 2 - 1
    picture = torch.nn.functional.interpolate(colours, scale_factor=16.0, mode="nearest")
    with torch.no_grad():
        latents = vae.encode(picture).latent_dist.mean * vae.config.scaling_factor
    preview = previews.draw(latents, factors, (256, 256)).resize((256, 256))
    shown = Image.fromarray(((picture[0].permute(1, 2, 0).numpy() + 1) * 127.5).astype(np.uint8))
    # even an untrained encoder keeps some colour; chance would be within 0.1
    assert np.corrcoef(_pixels(preview), _pixels(shown))[0, 1] > 0.25


def test_previews_keep_the_shape_and_stay_small() -> None:
    factors = torch.randn(5, 3)
    assert previews.draw(torch.randn(1, 4, 128, 96), factors, (768, 1024)).size == (144, 192)
    assert previews.draw(torch.randn(1, 4, 8, 8), factors, (64, 64)).size == (64, 64)


def test_broken_numbers_do_not_break_a_preview() -> None:
    broken = torch.full((1, 4, 4, 4), float("nan"))
    assert previews.draw(broken, torch.randn(5, 3), (32, 32)).size == (32, 32)


def test_the_prediction_is_the_schedulers_own() -> None:
    scheduler = EulerDiscreteScheduler()
    scheduler.set_timesteps(4)
    predictions = previews.Predictions(scheduler)
    noisy, noise = torch.randn(1, 4, 4, 4), torch.randn(1, 4, 4, 4)
    sigma = float(scheduler.sigmas[0])
    stepped = scheduler.step(noise, scheduler.timesteps[0], noisy, return_dict=False)[0]
    assert torch.allclose(predictions.latest(stepped), noisy - sigma * noise)


def test_multistep_solvers_tell_their_prediction_too() -> None:
    scheduler = DPMSolverMultistepScheduler()
    scheduler.set_timesteps(4)
    predictions = previews.Predictions(scheduler)
    noisy, noise = torch.randn(1, 4, 4, 4), torch.randn(1, 4, 4, 4)
    time = scheduler.timesteps[0]
    stepped = scheduler.step(noise, time, noisy, return_dict=False)[0]
    alpha = scheduler.alphas_cumprod[int(time)]
    expected = (noisy - (1 - alpha).sqrt() * noise) / alpha.sqrt()
    assert torch.allclose(predictions.latest(stepped), expected, rtol=1e-3, atol=1e-3)
