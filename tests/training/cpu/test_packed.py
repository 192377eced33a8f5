"""Packed frozen layers give what PyTorch's own give, forwards and backwards."""

import copy

import pytest
import torch
from torch import nn

from sdxl_lora.training import components, setup
from sdxl_lora.training.cpu import packed


def frozen(layer: nn.Module) -> nn.Module:
    return layer.requires_grad_(False)


def both_ways(layer: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(result, gradient of the input for a fixed gradient of the result)."""
    x = x.clone().requires_grad_()
    result = layer(x)
    result.backward(torch.linspace(-1, 1, result.numel()).view_as(result))
    assert x.grad is not None
    return result.detach(), x.grad


LAYERS = {
    "1 x 1": (lambda: nn.Conv2d(40, 24, 1), (2, 40, 9, 7)),
    "3 x 3": (lambda: nn.Conv2d(40, 24, 3, padding=1), (1, 40, 8, 8)),
    "3 x 3 without bias": (lambda: nn.Conv2d(16, 24, 3, padding=1, bias=False), (3, 16, 5, 12)),
    "3 x 3 of every second place": (lambda: nn.Conv2d(16, 24, 3, 2, padding=1), (1, 16, 8, 8)),
    "groups": (lambda: nn.Conv2d(16, 16, 3, padding=1, groups=4), (1, 16, 8, 8)),
    "a large product": (lambda: nn.Linear(256, 300), (2, 64, 256)),
    "a large product without bias": (lambda: nn.Linear(256, 300, bias=False), (128, 256)),
    "a small product": (lambda: nn.Linear(8, 5), (3, 8)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_results_and_gradients_are_those_of_the_plain_layer(name):
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    plain = frozen(make())
    other = nn.Sequential(copy.deepcopy(plain))
    packed.pack(other)
    x = torch.randn(shape)
    for ours, theirs in zip(both_ways(other, x), both_ways(plain, x), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        assert torch.allclose(other(x), plain(x), rtol=1e-4, atol=1e-4)


def test_weights_packed_for_one_size_serve_pictures_of_another():
    conv = frozen(nn.Conv2d(24, 40, 3, padding=1))
    model = nn.Sequential(copy.deepcopy(conv))
    packed.pack(model)
    for shape in ((1, 24, 8, 8), (4, 24, 6, 14), (2, 24, 16, 16)):
        x = torch.randn(shape)
        assert torch.allclose(model(x), conv(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("change", ["trained", "half precision", "too large"])
def test_what_cannot_be_packed_stays_as_it_was(change, monkeypatch):
    model = nn.Sequential(frozen(nn.Linear(8, 8)))
    if change == "trained":
        model.requires_grad_(True)
    if change == "half precision":
        model.to(torch.bfloat16)
    if change == "too large":
        monkeypatch.setattr(packed, "LIMIT", 8)
    packed.pack(model)
    assert "forward" not in vars(model[0])


def test_packing_puts_the_layers_own_forward_aside():
    model = nn.Sequential(frozen(nn.Linear(8, 8)))
    packed.pack(model)
    assert "forward" in vars(model[0])


def test_a_run_packs_everything_before_its_first_batch_so_that_a_continued_one_packs_the_same(configure):
    prepared = setup.prepare(configure(), lambda text: None)
    (parts,) = [item for item in components.load(prepared) if isinstance(item, components.Components)]
    convolutions = [
        layer.forward
        for layer in parts.unet.modules()
        if isinstance(vars(layer).get("forward"), packed.PackedConv)
    ]
    assert convolutions
    assert all(layer._packed[0] is not None for layer in convolutions)
    assert any(
        layer._packed[1] is not None for layer in convolutions
    )  # after the first LoRA: asked for gradients
    assert all(parameter.grad is None for parameter in parts.adapter.parameters())
