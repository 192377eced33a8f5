"""The denoising loss: the UNet's prediction, its target, and the weight of each picture.

Pure functions of tensors; every random number comes in from outside. B = pictures, C x h x w = latent shape.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from torch import Tensor

from sdxl_lora.training.batches import Batch, StepRng

_MAX_DEBIASED_SNR = 1000.0  # as sd-scripts: keeps 1/sqrt(SNR) away from 0 on nearly clean pictures


def draw_noise(batch: Batch, rng: StepRng, offset: float) -> Tensor:
    """Gaussian noise like the latents; `offset` adds one number per picture and channel (crosslabs.org,
    2023).
    """
    shape = batch.latents.shape
    noise = torch.randn(shape, generator=rng.of("noise"))
    if offset:
        noise = noise + offset * torch.randn((*shape[:2], 1, 1), generator=rng.of("offset"))
    return noise.to(batch.latents.device)


def draw_timesteps(batch: Batch, rng: StepRng, scheduler: DDPMScheduler) -> Tensor:
    """B uniform timesteps."""
    count = scheduler.config.num_train_timesteps
    steps = torch.randint(count, (len(batch.latents),), generator=rng.of("timestep"))
    return steps.to(batch.latents.device)


def predict(unet: Any, noisy: Tensor, timesteps: Tensor, batch: Batch, dtype: torch.dtype) -> Tensor:
    """The UNet's prediction, B x C x h x w. `dtype` is the precision of its weights; `time_ids` stay fp32."""
    condition = batch.condition
    added = None
    if condition.pooled is not None:
        added = {"text_embeds": condition.pooled.to(dtype), "time_ids": batch.time_ids}
    prediction: Tensor = unet(
        noisy.to(dtype), timesteps, condition.embeddings.to(dtype), added_cond_kwargs=added, return_dict=False
    )[0]
    return prediction


def target_of(scheduler: DDPMScheduler, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """What is to be predicted: the noise, or the velocity (arXiv:2202.00512, appendix D)."""
    if scheduler.config.prediction_type == "epsilon":
        return noise
    return scheduler.get_velocity(latents, noise, timesteps)


def signal_to_noise(scheduler: DDPMScheduler, timesteps: Tensor) -> Tensor:
    """SNR of each timestep, B: alpha-bar / (1 - alpha-bar).

    As diffusers' `compute_snr` up to rounding (a test says so), which takes roots of both and squares them again.
    """
    alphas = scheduler.alphas_cumprod.to(timesteps.device)[timesteps]
    return alphas / (1 - alphas)


def weights(
    scheduler: DDPMScheduler, timesteps: Tensor, *, snr_gamma: float | None = None, debiased: bool = False
) -> Tensor:
    """What each picture's loss counts, B.

    min-SNR: arXiv:2303.09556, section 3.4, divided by SNR (epsilon) or SNR + 1 (velocity).
    Debiased estimation: arXiv:2310.08442, 1/sqrt(SNR), for velocity 1/(SNR + 1).
    """
    if snr_gamma is None and not debiased:
        return torch.ones(len(timesteps), device=timesteps.device)
    snr = signal_to_noise(scheduler, timesteps)
    velocity = scheduler.config.prediction_type == "v_prediction"
    if snr_gamma is not None:
        return snr.clamp(max=snr_gamma) / (snr + 1 if velocity else snr)
    snr = snr.clamp(max=_MAX_DEBIASED_SNR)
    return 1 / (snr + 1) if velocity else snr.rsqrt()


def denoising_loss(
    unet: Any,
    scheduler: DDPMScheduler,
    batch: Batch,
    noise: Tensor,
    timesteps: Tensor,
    *,
    dtype: torch.dtype = torch.float32,
    snr_gamma: float | None = None,
    debiased: bool = False,
    prior_weight: float = 1.0,
    without_lora: Callable[[], AbstractContextManager[None]] | None = None,
) -> Tensor:
    """The weighted mean squared error of each picture, B, fp32.

    Where a picture has a mask, its latents count as `batch.weights` says. Regularisation pictures count
    `prior_weight`; with `without_lora`, inside which `unet` is the frozen model, what it answers there is their
    target.
    """
    noisy = scheduler.add_noise(batch.latents, noise, timesteps)
    prediction = predict(unet, noisy, timesteps, batch, dtype)
    target = target_of(scheduler, batch.latents, noise, timesteps)
    places = [place for place, regular in enumerate(batch.regular) if regular]
    if without_lora is not None and places:
        rows = torch.tensor(places, device=noisy.device)  # numbers: a mask would wait for the GPU
        with torch.no_grad(), without_lora():
            frozen = predict(unet, noisy[rows], timesteps[rows], batch.only(places), dtype)
        target = target.index_copy(0, rows, frozen.to(target.dtype))
    squared = F.mse_loss(prediction.float(), target.float(), reduction="none")
    if batch.weights is not None:
        squared = squared * batch.weights
    error = squared.mean(dim=(1, 2, 3))
    weight = weights(scheduler, timesteps, snr_gamma=snr_gamma, debiased=debiased)
    if places:
        shares = [prior_weight if regular else 1.0 for regular in batch.regular]
        weight = weight * torch.tensor(shares, device=weight.device)
    return error * weight
