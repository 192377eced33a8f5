"""Estimates without weights, on SDXL's real size."""

import json
import shutil

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch.utils.flop_counter import FlopCounterMode

from sdxl_lora.models.published_sizes import SDXL
from sdxl_lora.training import estimates, setup
from sdxl_lora.training.adapter import Adapter, LoraSettings


def test_the_benchmarks_sdxl_has_sdxls_parameters_and_arithmetic():
    with torch.device("meta"):
        unet = UNet2DConditionModel(**SDXL.parts["unet"])
        assert sum(p.numel() for p in unet.parameters()) == 2_567_463_684
        adapter = Adapter({"unet": unet}, LoraSettings(rank=4, alpha=4), 0)
        added = {"text_embeds": torch.zeros(1, 1280), "time_ids": torch.zeros(1, 6)}
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            unet(
                torch.zeros(1, 4, 128, 128), torch.zeros(1), torch.zeros(1, 77, 2048), added_cond_kwargs=added
            )
    size = sum(p.numel() for p in adapter.parameters()) * 4
    assert size == pytest.approx(23.2e6, rel=0.01)  # as the files on the hub
    assert counter.get_total_flops() == pytest.approx(6.77e12, rel=0.01)  # layers 5.98, attention 0.79


def test_an_estimate_counts_weights_lora_activations_and_caches(configure):
    prepared = setup.prepare(configure(center_crop=True, random_flip=True), print)
    found = estimates.estimate(prepared)
    unet = prepared.base.unet(torch.float32)
    assert found.weights == sum(p.numel() for p in unet.parameters()) * 4
    assert found.trained == found.trained_parameters * 16
    latents = 7 * 2 * 2 * 4 * 16 * 16 * 4  # pictures, flips, moments, channels, side, side, bytes
    assert found.cache == latents + 8 * (77 * 64 + 32) * 4
    assert found.seconds > 0


def test_checkpointing_gradients_and_int8_lower_the_estimate(configure):
    plain = estimates.estimate(setup.prepare(configure(), print))
    saving = estimates.estimate(setup.prepare(configure(gradient_checkpointing=True), print))
    small = estimates.estimate(setup.prepare(configure(base_precision="int8"), print))
    assert saving.activations < plain.activations
    assert small.weights < plain.weights
    assert saving.flops > plain.flops


def test_answers_of_the_frozen_model_are_counted(configure, pictures):
    beside = {"class_data_dir": str(pictures)}
    plain = estimates.estimate(setup.prepare(configure(**beside), print))
    asked = estimates.estimate(setup.prepare(configure(**beside, prior_prediction=True), print))
    # one more forward beside some two, for half of the pictures
    assert asked.flops == pytest.approx(plain.flops * 1.25, rel=0.02)
    assert asked.activations == plain.activations


@pytest.fixture(scope="module")
def real_size(tiny_sdxl, tmp_path_factory):
    """The tiny model's files with SDXL's real configuration."""
    folder = tmp_path_factory.mktemp("real") / "sdxl"
    shutil.copytree(tiny_sdxl, folder)
    for part, config in SDXL.parts.items():
        path = folder / part / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    return folder


@pytest.mark.slow
def test_what_sdxl_needs_is_at_most_what_it_was_measured_to_need(configure, real_size):
    """Counted with a pretended CUDA device: 13.1 GB and 14.5 TFLOP a picture, 6.2 and 19.6 with checkpointing."""
    common = {
        "pretrained_model_name_or_path": str(real_size),
        "mixed_precision": "bf16",
        "resolution": 1024,
        "train_batch_size": 1,
    }
    plain = estimates.estimate(setup.prepare(configure(**common), print))
    saving = estimates.estimate(setup.prepare(configure(**common, gradient_checkpointing=True), print))
    assert 10e9 < plain.training < 13.1e9
    assert 5e9 < saving.training < 6.2e9
    assert plain.flops == pytest.approx(14.5e12, rel=0.01)
    assert saving.flops == pytest.approx(19.6e12, rel=0.02)
    assert 1.5e9 < plain.caching < 3.0e9  # one picture at a time
