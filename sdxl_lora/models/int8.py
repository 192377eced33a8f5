"""Weights in int8: a quarter of fp32's memory for drawing and for a frozen base in training, nearly the same answers.

Symmetric, weights only, one scale per output row as in LLM.int8()'s row-wise scheme (arXiv:2208.07339, section 2.1)
without its outlier path, and per output and kernel position in convolutions. Weights are dequantised for each product
and never kept, neither for a backward pass. The first and last convolution and the shortcuts around residual blocks
stay as they are: few numbers, through which everything goes (arXiv:2302.04304, section 3.2, on the latter). So do
embeddings, whose errors every layer after them reads, and layers of fewer than `SMALLEST` numbers: a network of SDXL's
size has next to none, one of the bundled model's size has most of its attention and text encoders in them, and saves
7 MB for half of its error. Files of earlier versions hold some of either.

A quantised layer is its torch class with another `forward`, and keeps its constructor: peft builds the factors of a
LoRA on a convolution with it, which are layers with floating-point weights like any other.
"""

from collections.abc import Collection, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

_LEVELS = 127.0
SMALLEST = 1 << 18  # numbers in a layer that is worth rounding
_OTHER_GRID = 1.03  # times as wide
_KEPT = ("conv_in", "conv_out", "conv_shortcut", "quant_conv", "post_quant_conv")


class Int8Linear(nn.Linear):
    """`y = x W^T + b` with W = int8 x scale; computes in the type of its scale."""

    scale: Tensor  # out x 1

    def forward(self, input: Tensor) -> Tensor:
        if self.weight.is_floating_point():
            return super().forward(input)
        answer: Tensor = _Product.apply(input.to(self.scale.dtype), self.weight, self.scale, self.bias)
        return answer


class Int8Conv2d(nn.Conv2d):
    """A convolution with W = int8 x scale; computes in the type of its scale."""

    scale: Tensor  # out x 1 x kernel height x kernel width

    def forward(self, input: Tensor) -> Tensor:
        if self.weight.is_floating_point():
            return super().forward(input)
        how = (self.stride, self.padding, self.dilation, self.groups)
        x = input.to(self.scale.dtype)
        answer: Tensor = _Convolution.apply(x, self.weight, self.scale, self.bias, how)
        return answer


class Int8Embedding(nn.Embedding):
    """Rows of int8 x scale, of which only those looked up are dequantised."""

    scale: Tensor  # rows x 1

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(input, self.weight) * F.embedding(input, self.scale)


class _Product(torch.autograd.Function):
    """Keeps the int8 weights for the backward pass, not the dequantised ones; weight and bias are frozen."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight, scale)
        return F.linear(x, dequantise(weight, scale), bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        weight, scale = ctx.saved_tensors
        return gradient.to(scale.dtype) @ dequantise(weight, scale), None, None, None


class _Convolution(torch.autograd.Function):
    """As `_Product`; `how`: stride, padding, dilation, groups."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None, how: tuple[Any, ...]
    ) -> Tensor:
        ctx.save_for_backward(weight, scale)
        ctx.shape, ctx.how = x.shape, how
        return F.conv2d(x, dequantise(weight, scale), bias, *how)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        weight, scale = ctx.saved_tensors
        whole = dequantise(weight, scale)
        found = conv2d_input(ctx.shape, whole, gradient.to(scale.dtype), *ctx.how)
        return found, None, None, None, None


_KINDS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: Int8Linear,
    nn.Conv2d: Int8Conv2d,
    nn.Embedding: Int8Embedding,
}


def quantise(weight: Tensor, *, grid: float = 1.0) -> tuple[Tensor, Tensor]:
    """(int8 like `weight`, fp32 scale) of a weight out x in (x k x k); the scale has 1 in place of in.

    A scale is rounded up to bf16: it is then the same number in every type that a layer computes in. `grid` widens it.
    """
    whole = weight.float()
    exact = whole.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) * (grid / _LEVELS)
    near = exact.bfloat16()
    scale = torch.where(near.float() < exact, _next(near), near).float()
    return (whole / scale).round_().clamp_(-_LEVELS, _LEVELS).to(torch.int8), scale


def _next(positive: Tensor) -> Tensor:
    """The next larger numbers of positive ones in bf16."""
    return (positive.view(torch.int16) + 1).view(torch.bfloat16)


def dequantise(weight: Tensor, scale: Tensor) -> Tensor:
    """Inverse of `quantise` up to half a level, in the type of `scale`."""
    return weight * scale


def quantisable(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The layers of a UNet, VAE or text encoder that become int8, by their names."""
    for name, layer in model.named_modules():
        kept = name.rpartition(".")[2] in _KEPT or getattr(layer, "padding_mode", "zeros") != "zeros"
        if type(layer) in (nn.Linear, nn.Conv2d) and not kept and layer.weight.numel() >= SMALLEST:
            yield name, layer


@torch.no_grad()
def quantise_layers(model: nn.Module, names: Collection[str] | None = None) -> int:
    """Makes the weights of `model` int8, one layer after the other; how many layers. Scales have their weights' type.

    On torch's meta device it makes the shells that saved weights are assigned to. `names`: of the layers; None = those
    that are quantisable. Raises `KeyError` for one that cannot be int8.
    """
    layers: list[Any] = [layer for _, layer in quantisable(model)]
    if names is not None:
        layers = [layer for name, layer in model.named_modules() if name in names]
    for layer in layers:
        _become(layer, *_quantised(layer.weight), layer.weight.dtype)
    return len(layers)


def is_quantised(layer: nn.Module) -> bool:
    """Whether the weights of a layer are int8."""
    weight = getattr(layer, "weight", None)
    return isinstance(layer, tuple(_KINDS.values())) and weight is not None and weight.dtype == torch.int8


def tensors_of(layer: Any) -> tuple[str, ...]:
    """Names of what holds the weight of a layer: it alone, or int8 numbers and their scales."""
    return ("weight", "scale") if is_quantised(layer) else ("weight",)


def whole_weight(layer: Any) -> Tensor:
    """The weight of a layer: fp32 where it is int8, else as it is."""
    weight: Tensor = layer.weight.detach()
    return dequantise(weight, layer.scale.float()) if is_quantised(layer) else weight


@torch.no_grad()
def replace_weight(layer: Any, whole: Tensor) -> None:
    """Gives a layer another weight, in the form that it keeps its weight in.

    A weight that was int8 lies on a grid. On the same grid again, changes of less than half a level would all be
    lost; on another one they are rounded like anything else, as if the changed model had been quantised.
    """
    if not is_quantised(layer):
        layer.weight.copy_(whole)
        return
    weight, scale = quantise(whole, grid=_OTHER_GRID)
    layer.weight.copy_(weight)
    layer.scale.copy_(scale)


def has_quantised(model: nn.Module) -> bool:
    """Whether any layer of a model is int8."""
    return any(is_quantised(layer) for layer in model.modules())


def _quantised(weight: Tensor) -> tuple[Tensor, Tensor]:
    if not weight.is_meta:
        return quantise(weight)
    return torch.empty_like(weight, dtype=torch.int8), torch.empty_like(weight[:, :1], dtype=torch.float32)


def _become(layer: Any, weight: Tensor, scale: Tensor, dtype: torch.dtype) -> None:
    layer.__class__ = _KINDS[type(layer)]
    layer.weight = nn.Parameter(weight, requires_grad=False)
    layer.register_buffer("scale", scale.to(dtype))
