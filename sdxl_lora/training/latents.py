"""Pictures -> the VAE's posterior, and whether what came out can be trusted. Knows nothing of captions."""

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from sdxl_lora.errors import TrainingError
from sdxl_lora.models import latent_space


@torch.no_grad()
def posterior(vae: AutoencoderKL, pixels: Tensor) -> Tensor:
    """B x 3 x H x W in [-1, 1] -> B x 2 x C x h x w fp32: mean and standard deviation, scaled for the UNet."""
    distribution = vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist
    # logvar is clamped by diffusers; std in fp32, since exp amplifies rounding
    std = torch.exp(0.5 * distribution.logvar.float())
    mean = latent_space.scale(distribution.mean.float(), vae.config)
    return torch.stack([mean, latent_space.scale_deviation(std, vae.config)], dim=1)


def sample_posterior(posterior_: Tensor, noise: Tensor) -> Tensor:
    """A sample of the posterior: B x 2 x C x h x w, B x C x h x w -> B x C x h x w."""
    return posterior_[:, 0] + posterior_[:, 1] * noise


def require_finite(posterior_: Tensor, name: str) -> None:
    """Raises `TrainingError` when a VAE produced NaN or infinity."""
    if not torch.isfinite(posterior_).all():
        raise TrainingError(
            f"the VAE gives NaN for {name}; use its fp16-fix version (--pretrained_vae_model_name_or_path "
            "madebyollin/sdxl-vae-fp16-fix) or train without half precision"
        )
