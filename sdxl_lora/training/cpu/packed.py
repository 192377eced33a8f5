"""Frozen layers for a CPU: their weights are laid out for oneDNN once and not in every step.

A layer that is never trained needs no gradient of its weights, and the gradient of its input is the same operation
with the transposed weights: both directions get packed weights. What comes out is what PyTorch's own layers give, up
to rounding (a test says so). Only fp32 on CPUs; knows nothing of LoRA.

Layouts are chosen at the first use, for its shape, and kept: two runs agree to the last bit if their first use is of
the same shape, whatever they see after it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

LIMIT = 1 << 30  # bytes of weights that may be packed; packing holds two copies beside the original
_WORTH = 4e6  # operations of a product below which packing saves nothing


def pack(module: nn.Module) -> bool:
    """Makes every frozen convolution and linear layer below `module` use packed weights; whether there were any.

    Does nothing where it cannot help: on other devices and types, and for models above `LIMIT`.
    """
    layers = list(_packable(module))
    if not torch.backends.mkldnn.is_available() or sum(layer.weight.nbytes for layer in layers) > LIMIT:
        return False
    for layer in layers:
        packed = PackedLinear(layer) if isinstance(layer, nn.Linear) else PackedConv(layer)
        setattr(layer, "forward", packed)  # noqa: B010 - shadows the class's method in this one layer
    return bool(layers)


def _packable(module: nn.Module) -> Iterator[nn.Linear | nn.Conv2d]:
    for layer in module.modules():
        plain = type(layer) is nn.Linear or (type(layer) is nn.Conv2d and _keeps_size(layer))
        if not plain or not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        weight = layer.weight
        if not weight.requires_grad and weight.dtype == torch.float32 and weight.device.type == "cpu":
            yield layer


def _keeps_size(conv: Any) -> bool:
    """Only then is the gradient of the input a convolution of the same padding."""
    same = all(2 * pad + 1 == side for pad, side in zip(conv.padding, conv.kernel_size, strict=True))
    return bool(same and conv.stride == conv.dilation == (1, 1) and conv.groups == 1)


class Matrix:
    """y = x W^T + b and its transpose y W, for a frozen W (out x in); packed at the first use of each."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight, self.bias = weight, bias
        self._forward: Callable[[Tensor], Tensor] | None = None
        self._backward: Callable[[Tensor], Tensor] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """... x in -> ... x out. Makes no autograd graph: for inside a `torch.autograd.Function`."""
        if self._forward is None:
            self._forward = _product(self.weight, self.bias, x.numel() // x.shape[-1])
        return self._forward(x)

    def input_gradient(self, y: Tensor) -> Tensor:
        """... x out -> ... x in, without the bias."""
        if self._backward is None:
            self._backward = _product(self.weight.t(), None, y.numel() // y.shape[-1])
        return self._backward(y)


def _product(weight: Tensor, bias: Tensor | None, rows: int) -> Callable[[Tensor], Tensor]:
    if 2 * rows * weight.numel() < _WORTH:
        return lambda x: nn.functional.linear(x, weight, bias)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), rows)
    return lambda x: torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")


class PackedLinear:
    def __init__(self, layer: nn.Linear) -> None:
        self.matrix = Matrix(layer.weight.detach(), None if layer.bias is None else layer.bias.detach())

    def __call__(self, x: Tensor) -> Tensor:
        if x.requires_grad and torch.is_grad_enabled():
            result: Tensor = _Apply.apply(x, self.matrix, self.matrix.input_gradient)
            return result
        return self.matrix(x)


class PackedConv:
    def __init__(self, layer: nn.Conv2d) -> None:
        self._weight = layer.weight.detach()
        self._bias = None if layer.bias is None else layer.bias.detach()
        self._padding = [int(pad) for pad in layer.padding]
        self._packed: list[Tensor | None] = [None, None]

    def __call__(self, x: Tensor) -> Tensor:
        if x.requires_grad and torch.is_grad_enabled():
            result: Tensor = _Apply.apply(x, self.convolve, self.input_gradient)
            return result
        return self.convolve(x)

    def convolve(self, x: Tensor) -> Tensor:
        return self._run(x, 0, self._bias)

    def input_gradient(self, y: Tensor) -> Tensor:
        return self._run(y, 1, None)

    def _run(self, x: Tensor, which: int, bias: Tensor | None) -> Tensor:
        packed = self._packed[which]
        if packed is None:
            weight = self._weight.flip(2, 3).transpose(0, 1) if which else self._weight
            weight = weight.contiguous(memory_format=torch.channels_last)
            packed = self._packed[which] = torch.ops.mkldnn._reorder_convolution_weight(
                weight, self._padding, [1, 1], [1, 1], 1, list(x.shape)
            )
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, packed, bias, self._padding, [1, 1], [1, 1], 1, "none", [], ""
        )
        return result


class _Apply(torch.autograd.Function):
    """A linear map and its transpose."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, forward: Callable[[Tensor], Tensor], input_gradient: Callable[[Tensor], Tensor]
    ) -> Tensor:
        ctx.input_gradient = input_gradient
        return forward(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return ctx.input_gradient(gradient), None, None
