"""Training on a base in int8: nearly the same losses, an fp32 LoRA, also from a folder of int8 weights."""

import pytest
import torch

from sdxl_lora.errors import InputError, RequestError
from sdxl_lora.models import quantising
from sdxl_lora.training import loop, setup
from sdxl_lora.training.events import StepRecord
from tests.training.conftest import run


def _losses(config):
    return [e.loss for e in run(config) if isinstance(e, StepRecord)]


@pytest.mark.parametrize("target", ["attention", "attention+conv"])
def test_losses_are_nearly_the_same_and_the_lora_is_fp32(configure, tmp_path, target):
    full = _losses(configure(lora_target=target))
    small = _losses(configure(lora_target=target, base_precision="int8", output_dir=str(tmp_path / "small")))
    assert small == pytest.approx(full, rel=0.02)
    assert small != full
    state = torch.load(tmp_path / "small" / "checkpoint-4" / "training_state.pt", weights_only=True)
    assert {value.dtype for value in state["parameters"].values()} == {torch.float32}


def test_the_unet_is_int8_but_for_the_lora_and_what_is_kept(configure):
    prepared = setup.prepare(configure(base_precision="int8"), print)
    parts = next(item for item in loop.components.load(prepared) if isinstance(item, loop.Components))
    types = {name: p.dtype for name, p in parts.adapter.parts["unet"].named_parameters()}
    assert types["down_blocks.1.resnets.0.conv1.weight"] == torch.int8
    assert types["down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.base_layer.weight"] == torch.int8
    assert {dtype for name, dtype in types.items() if "lora" in name or "norm" in name} == {torch.float32}


def test_a_folder_of_int8_weights_is_trained_on_as_it_is(configure, tmp_path, tiny_sdxl):
    folder = quantising.quantise(str(tiny_sdxl), tmp_path / "int8").folder
    of_folder = _losses(configure(pretrained_model_name_or_path=str(folder)))
    of_plain = _losses(configure(base_precision="int8", output_dir=str(tmp_path / "other")))
    assert of_folder == pytest.approx(of_plain, rel=0.02)  # its text encoders and VAE are int8, too
    with pytest.raises(
        InputError, match=r"--base_precision fp32: the weights of .* are int8; leave the flag"
    ):
        setup.prepare(configure(pretrained_model_name_or_path=str(folder), base_precision="fp32"), print)
    with pytest.raises(RequestError, match=r"--use_dora .* int8"):
        setup.prepare(configure(pretrained_model_name_or_path=str(folder), use_dora=True), print)


def test_dora_needs_plain_weights(configure):
    with pytest.raises(RequestError, match=r"--use_dora .* int8"):
        configure(base_precision="int8", use_dora=True)
