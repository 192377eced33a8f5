"""`build-mini --minutes`: a whole build within seconds, of tiny networks, on real renders."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from sdxl_lora.errors import InputError
from sdxl_lora.mini import adversarial, timed_build
from sdxl_lora.mini.adversary import Adversary
from sdxl_lora.mini.settings import PROFILES, BuildFolder, TimedSettings
from sdxl_lora.mini.starting import shaped_like, start_from
from sdxl_lora.mini.stream import ExampleStream, draw_examples
from sdxl_lora.mini.timed_build import build_within
from sdxl_lora.models.registry import mini_folder

TINY = TimedSettings(
    minutes=0.08,
    tail_seconds=0.5,
    size=64,
    capacity=64,
    first_examples=16,
    vae_channels=(8, 8, 8),
    unet_channels=(16, 16, 32),
    unet_batch=2,
)


class InProcessStream(ExampleStream):
    """Draws a small shard whenever it is waited for, instead of starting processes."""

    def __enter__(self) -> Self:
        self.settings.folder.mkdir(parents=True)
        return self

    def wait(self, seconds: float = 0.2) -> None:
        settings = self.settings
        drawn = draw_examples(settings.seed, self.next_shard, 16, settings.size, settings.tokenizers)
        np.savez(settings.folder / f"{self.next_shard:07d}.npz", **vars(drawn))


def told(folder: BuildFolder, stage: str) -> dict[str, float]:
    return dict(json.loads((folder.root / stage / "timed.json").read_text()))


def test_a_build_ends_in_time_and_a_second_call_goes_on_from_its_parcels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timed_build, "ExampleStream", InProcessStream)
    monkeypatch.setattr(timed_build, "HELD_OUT", 2)
    monkeypatch.setattr(adversarial, "HEAD_START", 2)
    learnt: list[float] = []
    learn = Adversary.learn

    def counted(self: Adversary, real: Tensor, drawn: Tensor) -> float:
        learnt.append(learn(self, real, drawn))
        return learnt[-1]

    first = BuildFolder(root=tmp_path / "first")
    start_from(mini_folder(), first)
    build_within(first, TINY)
    assert told(first, "unet")["steps"] >= 1
    assert (first.root / "sheet.jpg").stat().st_size > 0
    scaling = (first.root / "latents" / "scaling.json").read_text()

    second = BuildFolder(root=tmp_path / "second")
    start_from(mini_folder(), second)
    for parcel in first.root.glob("parcel.*"):
        (second.root / parcel.name).write_bytes(parcel.read_bytes())
    monkeypatch.setattr(Adversary, "learn", counted)
    against = replace(TINY, unet_adversarial=0.8, least_adversarial_seconds=0.1, unet_freeze_lowest=True)
    build_within(second, replace(against, seed=1))
    assert len(learnt) > 2  # the head start, and beside the UNet
    assert (second.root / "latents" / "scaling.json").read_text() == scaling
    vae = "vae/vae/diffusion_pytorch_model.safetensors"
    assert (second.root / vae).read_bytes() == (first.root / vae).read_bytes()
    assert told(second, "unet")["steps"] > told(first, "unet")["steps"]
    assert told(second, "pictures")["shards"] > told(first, "pictures")["shards"]
    before, after = (
        UNet2DConditionModel.from_pretrained(folder.root / "unet" / "unet").state_dict()
        for folder in (first, second)
    )
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    frozen = [name for name in before if name.startswith("mid_block.resnets")]
    assert frozen
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert not torch.equal(before["conv_out.weight"], after["conv_out.weight"])


def test_nothing_can_stay_of_a_unet_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = BuildFolder(root=tmp_path)
    start_from(mini_folder(), folder)
    with pytest.raises(InputError, match="leave it out"):
        build_within(folder, replace(TINY, unet_freeze_lowest=True))


@pytest.mark.slow
def test_a_build_goes_on_from_the_finished_model_if_it_has_the_channels_that_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timed_build, "ExampleStream", InProcessStream)
    folder = BuildFolder(root=tmp_path)
    start_from(mini_folder(), folder)
    before, shipped = told(folder, "unet"), folder.root / "vae/vae/diffusion_pytorch_model.safetensors"
    vae = shipped.read_bytes()
    shape = shaped_like(folder, PROFILES["cpu"])
    same = replace(TINY, vae_channels=shape.vae_channels, unet_channels=shape.unet_channels)
    build_within(folder, same)
    assert shipped.read_bytes() == vae
    assert told(folder, "unet")["steps"] > before["steps"]
    assert told(folder, "pictures")["shards"] > told(folder, "unet").get("shards", 0)
