"""The quantised base: nearly the same answers and gradients, a quarter of the memory, an fp32 LoRA on top."""

import pytest
import torch
from torch import nn

from sdxl_lora.errors import RequestError
from sdxl_lora.training import loop, setup
from sdxl_lora.training.events import StepRecord
from sdxl_lora.training.int8 import Int8Linear, dequantise, quantise, quantise_transformers
from tests.training.conftest import run


def test_weights_come_back_within_half_a_level_of_their_row():
    weight = torch.randn(8, 32) * torch.logspace(-3, 3, 8)[:, None]
    error = (dequantise(*quantise(weight)) - weight).abs()
    assert (error <= weight.abs().amax(dim=1, keepdim=True) / 254 * 1.0001).all()


def test_a_row_of_zeros_stays_zero():
    assert dequantise(*quantise(torch.zeros(2, 3))).abs().sum() == 0


@pytest.mark.parametrize("bias", [True, False])
def test_answers_and_gradients_are_those_of_the_dequantised_layer(bias):
    plain = nn.Linear(16, 8, bias=bias)
    small = Int8Linear(plain)
    with torch.no_grad():
        plain.weight.copy_(dequantise(small.weight, small.scale))
    x, y = torch.randn(4, 16, requires_grad=True), torch.randn(4, 16)
    y = x.detach().clone().requires_grad_()
    small(x).square().sum().backward()
    plain(y).square().sum().backward()
    assert torch.allclose(x.grad, y.grad, atol=1e-5)
    assert torch.allclose(small(x), plain(y), atol=1e-6)


def test_nothing_dequantised_is_kept_for_the_backward_pass():
    layer = Int8Linear(nn.Linear(64, 64))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        layer(torch.randn(2, 64, requires_grad=True))
    assert {tensor.dtype for tensor in kept if tensor.shape == (64, 64)} == {torch.int8}


def test_training_on_an_int8_base_has_nearly_the_same_losses_and_an_fp32_lora(configure, tmp_path):
    full = [e.loss for e in run(configure()) if isinstance(e, StepRecord)]
    small = [
        e.loss
        for e in run(configure(base_precision="int8", output_dir=str(tmp_path / "small")))
        if isinstance(e, StepRecord)
    ]
    assert small == pytest.approx(full, rel=0.01)
    assert small != full
    state = torch.load(tmp_path / "small" / "checkpoint-4" / "training_state.pt", weights_only=True)
    assert {value.dtype for value in state["parameters"].values()} == {torch.float32}


def test_every_linear_layer_of_the_transformers_is_int8_and_nothing_else(configure):
    prepared = setup.prepare(configure(base_precision="int8"), print)
    parts = next(item for item in loop.components.load(prepared) if isinstance(item, loop.Components))
    types = {name: p.dtype for name, p in parts.adapter.parts["unet"].named_parameters()}
    inside = {name for name in types if "attentions" in name and "lora" not in name and "weight" in name}
    linear = {name for name in inside if types[name] == torch.int8}
    assert linear == {name for name in inside if "norm" not in name}
    assert all(types[name] == torch.float32 for name in types.keys() - linear)


def test_replacing_counts_what_it_replaced():
    model = nn.ModuleDict({"attentions": nn.Sequential(nn.Linear(4, 4), nn.ReLU()), "other": nn.Linear(4, 4)})
    assert quantise_transformers(nn.Sequential(model)) == 1


def test_dora_needs_plain_weights(configure):
    with pytest.raises(RequestError, match=r"--use_dora .* int8"):
        configure(base_precision="int8", use_dora=True)
