"""How many pixels a latent stands for, and its scale, are what the VAE's own configuration says."""

from pathlib import Path
from typing import Any

import pytest
import torch

from sdxl_lora.models import architecture, latent_space, registry
from tests import tiny

_STATISTICS = {
    "block_out_channels": [8, 16, 16],
    "scaling_factor": 0.5,
    "latents_mean": [1.0, -2.0, 0.0, 3.0],
    "latents_std": [2.0, 4.0, 1.0, 0.5],
}


@pytest.mark.parametrize("factor", [2, 4, 8, 16])
def test_the_factor_is_the_sides_own(factor: int) -> None:
    vae = tiny.vae(factor)
    with torch.no_grad():
        latents = vae.encode(torch.zeros(1, 3, 64, 32)).latent_dist.mean
    assert latent_space.factor(vae.config) == factor
    assert latents.shape[-2:] == (64 // factor, 32 // factor)


@pytest.mark.parametrize("factor", [4, 8])
def test_a_models_size_follows_from_its_factor(tmp_path: Path, factor: int) -> None:
    folder = tiny.save_sdxl(tmp_path / "model", factor)
    assert architecture.read(folder).latent_factor == factor
    defaults = registry.describe(str(folder)).defaults
    assert (defaults.width, defaults.height) == (tiny.SIDE, tiny.SIDE)


@pytest.mark.parametrize(
    "config", [{"scaling_factor": 0.13025}, {"latents_mean": None, "latents_std": None}, _STATISTICS]
)
def test_what_is_unscaled_was_scaled(config: dict[str, Any]) -> None:
    latents = torch.randn(2, 4, 3, 3)
    assert torch.allclose(
        latent_space.unscale(latent_space.scale(latents, config), config), latents, atol=1e-6
    )


def test_means_and_deviations_per_channel_make_unit_variance() -> None:
    mean, deviation = torch.tensor(_STATISTICS["latents_mean"]), torch.tensor(_STATISTICS["latents_std"])
    one_above = (mean + deviation).view(1, 4, 1, 1)
    assert torch.equal(latent_space.scale(one_above, _STATISTICS), torch.full((1, 4, 1, 1), 0.5))
    scaled = latent_space.scale_deviation(deviation.view(1, 4, 1, 1), _STATISTICS)
    assert torch.equal(scaled, torch.full((1, 4, 1, 1), 0.5))
