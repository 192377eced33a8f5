"""A build that goes on from a finished model."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPModel

from sdxl_lora.errors import DataError
from sdxl_lora.mini.autoencoder import held_out_psnr, train_autoencoder
from sdxl_lora.mini.dataset import render_set
from sdxl_lora.mini.package import HISTORY, build_history
from sdxl_lora.mini.settings import PROFILES, BuildFolder
from sdxl_lora.mini.starting import shaped_like, start_from
from sdxl_lora.models.registry import mini_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> BuildFolder:
    folder = BuildFolder(root=tmp_path_factory.mktemp("build"))
    start_from(mini_folder(), folder)
    return folder


def test_unet_vae_and_scorer_are_those_of_the_model(folder: BuildFolder) -> None:
    for kind, ours, theirs in (
        (UNet2DConditionModel, folder.root / "unet" / "unet", mini_folder() / "unet"),
        (AutoencoderKL, folder.root / "vae" / "vae", mini_folder() / "vae"),
        (CLIPModel, folder.root / "vision" / "clip", mini_folder() / "clip"),
    ):
        taken, shipped = kind.from_pretrained(ours), kind.from_pretrained(theirs)
        pairs = zip(taken.state_dict().values(), shipped.state_dict().values(), strict=True)
        assert all(torch.equal(a, b.to(a.dtype)) for a, b in pairs)


def test_what_was_taken_over_counts_as_done_and_the_rest_does_not(folder: BuildFolder) -> None:
    done = {path.parent.name for path in folder.root.glob("*/done.json")}
    assert done == {"tokenizers", "clip", "vae", "vision"}


def test_the_history_names_the_earlier_runs_and_then_the_new_one(folder: BuildFolder) -> None:
    earlier = json.loads((mini_folder() / HISTORY).read_text())
    note = {"seconds": 60, "machine": "this one", "settings": {"unet_steps": 5, "judge_steps": 7}}
    for name in ("pictures", "judge", "latents", "unet"):
        (folder.stage(name) / "done.json").write_text(json.dumps(note))
    history = build_history(folder)
    assert history["vae"] == earlier["vae"]
    assert history["unet"] == [*earlier["unet"], {"seconds": 60, "machine": "this one", "steps": 5}]
    assert history["judge"] == [{"seconds": 60, "machine": "this one", "steps": 7}]


def test_a_folder_that_is_no_model_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is not a model that build-mini made"):
        start_from(tmp_path, BuildFolder(root=tmp_path / "build"))


def test_the_decoder_of_a_vae_that_was_taken_over_trains_on_and_its_encoder_stays(tmp_path: Path) -> None:
    folder = BuildFolder(root=tmp_path)
    start_from(mini_folder(), folder)
    settings = shaped_like(folder, replace(PROFILES["smoke"], pictures=8))
    assert settings.vae_channels != PROFILES["smoke"].vae_channels
    for name in ("train", "held_out"):
        render_set(folder.pictures / name, 8, size=64, seed=0, workers=1, held_out=name == "held_out")
    before = AutoencoderKL.from_pretrained(folder.stage("vae") / "vae").state_dict()
    train_autoencoder(folder, settings)
    after = AutoencoderKL.from_pretrained(folder.stage("vae") / "vae").state_dict()
    changed = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"decoder", "post_quant_conv"}
    assert held_out_psnr(folder, settings) > 20
