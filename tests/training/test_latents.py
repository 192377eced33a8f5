"""The VAE is probed before it is trusted, and runs in the precision its files allow."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from sdxl_lora.errors import TrainingError
from sdxl_lora.training import base_model, components, setup
from sdxl_lora.training.batches import StepRng
from sdxl_lora.training.events import Validated
from sdxl_lora.training.latents import posterior, sample_posterior
from tests import tiny
from tests.training.conftest import run


def test_a_vae_that_gives_nan_is_found_before_anything_is_cached(configure, tiny_sdxl, tmp_path, home):
    model = shutil.copytree(tiny_sdxl, tmp_path / "model")
    file = model / "vae" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights["encoder.conv_in.weight"] *= 1e38
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(TrainingError, match=r"the VAE gives NaN for .*png; use its fp16-fix version"):
        run(configure(pretrained_model_name_or_path=str(model)))
    (cache,) = (home / "cache" / "training").glob("latents-*")  # its space is taken, and nothing is in it
    assert not any((cache / "checksums.bin").read_bytes())


@pytest.mark.parametrize(("bears", "dtype"), [(False, torch.float32), (True, torch.float16)])
def test_a_vae_is_in_half_precision_only_where_its_files_allow_it(tiny_sdxl, tmp_path, bears, dtype):
    vae = shutil.copytree(tiny_sdxl / "vae", tmp_path / "vae")
    config = json.loads((vae / "config.json").read_text())
    (vae / "config.json").write_text(json.dumps({**config, "force_upcast": not bears}))
    base = base_model.describe("tiny", tiny_sdxl, vae=vae)
    assert base.vae(torch.float16).dtype == dtype


@torch.no_grad()
def test_the_posterior_is_the_vaes_own_scaled(tiny_sdxl):
    vae = base_model.describe("tiny", tiny_sdxl).vae(torch.float32)
    pixels = torch.rand(2, 3, 64, 64) * 2 - 1
    moments = posterior(vae, pixels)
    expected = vae.encode(pixels).latent_dist
    noise = torch.randn_like(expected.mean)
    sample = (expected.mean + expected.std * noise) * vae.config.scaling_factor
    assert torch.allclose(sample_posterior(moments, noise), sample, atol=1e-5)


@pytest.mark.parametrize("factor", [4, 8])
def test_a_lora_is_trained_whatever_the_vaes_factor_is(configure, tmp_path, factor):
    model = tiny.save_sdxl(tmp_path / "model", factor)
    config = configure(
        pretrained_model_name_or_path=str(model),
        max_train_steps=1,
        validation_prompt="a top",
        num_validation_images=1,
    )
    prepared = setup.prepare(config, lambda text: None)
    assert prepared.base.multiple == 2 * factor  # the tiny UNet halves once
    (parts,) = [item for item in components.load(prepared) if isinstance(item, components.Components)]
    batch = parts.builder.batch([0, 1], StepRng(seed=1, update=0, step=0, rank=0))
    assert batch.latents.shape == (2, 4, tiny.SIDE // factor, tiny.SIDE // factor)
    drawn = [picture for event in run(config) if isinstance(event, Validated) for picture in event.images]
    assert {picture.size for picture in drawn} == {(tiny.SIDE, tiny.SIDE)}
