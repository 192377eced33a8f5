"""Quantised layers: nearly the same answers and gradients, a quarter of the memory, room for a LoRA."""

from typing import Any

import pytest
import torch
from peft import LoraConfig
from torch import Tensor, nn

from sdxl_lora.models import int8
from sdxl_lora.models.int8 import dequantise, quantise, quantise_layers
from tests import tiny

SHAPES = [(8, 32), (8, 16, 3, 3), (8, 16, 1, 1)]


@pytest.mark.parametrize("shape", SHAPES)
def test_weights_come_back_within_half_a_level_of_their_row(shape: tuple[int, ...]) -> None:
    weight = torch.randn(shape) * torch.logspace(-3, 3, 8).reshape(-1, *[1] * (len(shape) - 1))
    whole = dequantise(*quantise(weight))
    largest = weight.abs().amax(dim=1, keepdim=True)
    assert ((whole - weight).abs() <= largest / 254 * 1.01).all()


def test_scales_are_the_same_numbers_in_bf16_and_the_largest_entry_is_not_cut() -> None:
    weight = torch.randn(64, 32, 3, 3)
    _, scale = quantise(weight)
    assert torch.equal(scale, scale.bfloat16().float())
    assert (scale * 127 >= weight.abs().amax(dim=1, keepdim=True)).all()
    assert scale.shape == (64, 1, 3, 3)


def test_a_row_of_zeros_stays_zero() -> None:
    assert dequantise(*quantise(torch.zeros(2, 3))).abs().sum() == 0


def _pair(kind: str, bias: bool) -> tuple[Any, Any, Tensor]:
    """(plain layer with the rounded weights, quantised layer, an input)."""
    torch.manual_seed(0)
    layers: list[Any] = [
        nn.Linear(16, 8, bias=bias)
        if kind == "linear"
        else nn.Conv2d(16, 8, 3, stride=2, padding=1, bias=bias)
        for _ in range(2)
    ]
    plain, small = layers
    small.load_state_dict(plain.state_dict())
    quantise_layers(nn.Sequential(small))
    with torch.no_grad():
        plain.weight.copy_(int8.whole_weight(small))
    return plain, small, torch.randn(2, 16) if kind == "linear" else torch.randn(2, 16, 6, 6)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["linear", "convolution"])
def test_answers_and_gradients_are_those_of_the_dequantised_layer(kind: str, bias: bool) -> None:
    plain, small, value = _pair(kind, bias)
    x, y = value.clone().requires_grad_(), value.clone().requires_grad_()
    small(x).square().sum().backward()
    plain(y).square().sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    assert torch.allclose(small(x), plain(y), atol=1e-5)
    assert torch.allclose(x.grad, y.grad, atol=1e-4)


@pytest.mark.parametrize("kind", ["linear", "convolution"])
def test_nothing_dequantised_is_kept_for_the_backward_pass(kind: str) -> None:
    _, small, x = _pair(kind, True)
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        small(x.requires_grad_())
    assert {tensor.dtype for tensor in kept if tensor.shape == small.weight.shape} == {torch.int8}


def test_an_embedding_gives_the_rounded_rows() -> None:
    layer = nn.Embedding(10, 4)
    before = layer.weight.detach().clone()
    quantise_layers(nn.Sequential(layer), {"0"})
    assert torch.equal(layer(torch.tensor([3, 3, 7])), dequantise(*quantise(before))[[3, 3, 7]])


def test_all_but_the_sensitive_layers_of_a_model_are_int8() -> None:
    pipeline = tiny.sdxl_pipeline()
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder, pipeline.text_encoder_2):
        quantise_layers(part)
        for name, layer in part.named_modules():
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding):
                last = name.split(".")[-1]
                kept = last in ("conv_in", "conv_out", "conv_shortcut") or "quant_conv" in name
                kept = kept or isinstance(layer, nn.Embedding)
                assert int8.is_quantised(layer) != kept, name
    assert pipeline.unet.dtype == pipeline.text_encoder.dtype == pipeline.vae.dtype == torch.float32


def test_layers_too_small_to_save_anything_keep_their_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "SMALLEST", 16 * 16)
    small, large, convolution = nn.Linear(15, 17), nn.Linear(16, 16), nn.Conv2d(8, 4, 3)
    assert quantise_layers(nn.Sequential(small, large, convolution)) == 2
    assert [int8.is_quantised(layer) for layer in (small, large, convolution)] == [False, True, True]


def test_quantising_twice_changes_nothing() -> None:
    unet = tiny.sdxl_pipeline().unet
    assert quantise_layers(unet) > 50
    before = {key: value.clone() for key, value in unet.state_dict().items()}
    assert quantise_layers(unet) == 0
    assert all(torch.equal(value, before[key]) for key, value in unet.state_dict().items())


def test_peft_puts_a_lora_on_linear_layers_and_convolutions_and_takes_it_off_again() -> None:
    unet: Any = tiny.sdxl_pipeline().unet
    quantise_layers(unet)
    inputs = {
        "sample": torch.randn(1, 4, 8, 8),
        "timestep": torch.tensor(3),
        "encoder_hidden_states": torch.randn(1, 5, 64),
        "added_cond_kwargs": {"text_embeds": torch.randn(1, 32), "time_ids": torch.zeros(1, 6)},
    }
    with torch.no_grad():
        before = unet(**inputs).sample
        targets = ["to_q", "to_out.0", "conv1", "conv2", "conv_shortcut"]
        unet.add_adapter(LoraConfig(r=2, lora_alpha=2, init_lora_weights=False, target_modules=targets))
        changed = unet(**inputs).sample
        unet.delete_adapters("default")
        after = unet(**inputs).sample
    assert not torch.allclose(changed, before, atol=1e-3)
    assert torch.equal(after, before)


def test_a_change_smaller_than_a_level_is_not_lost_when_it_is_merged() -> None:
    layer: Any = nn.Linear(512, 64, bias=False)
    quantise_layers(nn.Sequential(layer))
    own = int8.whole_weight(layer)
    change = torch.outer(torch.randn(64), torch.randn(512)).sign() * float(layer.scale.mean()) / 8
    int8.replace_weight(layer, own + change)
    merged = int8.whole_weight(layer) - own
    share = float((merged * change).sum() / change.square().sum())
    assert share == pytest.approx(1, abs=0.1)  # on the same grid: 0
