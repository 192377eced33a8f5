"""The last polish of the VAE's decoder, with the bundled model's own parts on small renders."""

from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from sdxl_lora.mini import polish
from sdxl_lora.mini.autoencoder import held_out_psnr
from sdxl_lora.mini.dataset import render_set
from sdxl_lora.mini.latents import encode_all
from sdxl_lora.mini.polish import PredictedLatents, polish_decoder
from sdxl_lora.mini.settings import PROFILES, BuildFolder
from sdxl_lora.mini.starting import start_from
from sdxl_lora.models.registry import mini_folder

SETTINGS = replace(PROFILES["smoke"], pictures=12, held_out_pictures=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> BuildFolder:
    folder = BuildFolder(root=tmp_path_factory.mktemp("build"))
    start_from(mini_folder(), folder)
    for name, count in (("train", SETTINGS.pictures), ("held_out", SETTINGS.held_out_pictures)):
        held_out = name == "held_out"
        render_set(folder.pictures / name, count, size=SETTINGS.size, seed=0, workers=1, held_out=held_out)
    encode_all(folder, SETTINGS)
    return folder


def test_half_of_the_latents_are_exact_and_the_others_are_near_what_they_were(folder: BuildFolder) -> None:
    source = PredictedLatents(folder, SETTINGS)
    vae = AutoencoderKL.from_pretrained(folder.vae)
    latents, pixels = source.draw(3)
    assert latents.shape == (4, 4, 4, 4)
    assert pixels.shape == (4, 3, 32, 32)
    with torch.no_grad():
        errors = (vae.decode(latents).sample - pixels).pow(2).mean(dim=(1, 2, 3))
    assert errors[:2].max() < errors[2:].min()
    again, _ = source.draw(3)
    assert torch.equal(latents, again)


def test_only_the_decoder_learns_and_it_takes_the_place_of_the_old_one(folder: BuildFolder) -> None:
    before = AutoencoderKL.from_pretrained(folder.vae).state_dict()
    polish_decoder(folder, SETTINGS)
    assert folder.vae == folder.root / "polish" / "vae"
    after = AutoencoderKL.from_pretrained(folder.vae).state_dict()
    changed = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"decoder", "post_quant_conv"}
    assert (folder.root / "polish" / "quality.json").exists()
    assert held_out_psnr(folder, SETTINGS) > 15


def test_an_interrupted_polish_goes_on_where_it_stopped(
    folder: BuildFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = folder.stage("polish")
    (stage / "checkpoint.pt").unlink(missing_ok=True)
    polish_decoder(folder, SETTINGS)
    whole = AutoencoderKL.from_pretrained(folder.vae).state_dict()
    (stage / "checkpoint.pt").unlink()
    drawn = PredictedLatents.draw

    def interrupted(source: PredictedLatents, step: int) -> tuple[Tensor, Tensor]:
        if step == 2:
            raise KeyboardInterrupt
        return drawn(source, step)

    monkeypatch.setattr(polish, "CHECKPOINT_STEPS", 1)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(PredictedLatents, "draw", interrupted)
        polish_decoder(folder, SETTINGS)
    polish_decoder(folder, SETTINGS)
    resumed = AutoencoderKL.from_pretrained(folder.vae).state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
