"""A frozen model whose large matrices are int8: a quarter of fp32's memory, for the same arithmetic.

One scale per output row, symmetric, as in LLM.int8()'s row-wise scheme (arXiv:2208.07339, section 2.1)
without its outlier path: weights only, dequantised for each product and never kept, neither for the
backward pass. It saves memory and costs a little time; the LoRA on top stays fp32.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEVELS = 127.0
_PLACE = ".attentions."  # transformer blocks hold 9 of 10 weights of SDXL; the rest is small or sensitive


class Int8Linear(nn.Linear):
    """`y = x W^T + b` with W = int8 x scale; computes in the type that its bias or input had before."""

    scale: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight, scale = quantise(linear.weight.detach())
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = linear.bias
        self.register_buffer("scale", scale.to(linear.weight.dtype))

    def forward(self, input: Tensor) -> Tensor:
        product: Tensor = _Product.apply(input.to(self.scale.dtype), self.weight, self.scale)
        return product if self.bias is None else product + self.bias


class _Product(torch.autograd.Function):
    """Keeps the int8 weights for the backward pass, not the dequantised ones."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(weight, scale)
        return F.linear(x, dequantise(weight, scale))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        weight, scale = ctx.saved_tensors
        return gradient.to(scale.dtype) @ dequantise(weight, scale), None, None


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """(int8 out x in, fp32 scale out x 1) of a weight out x in; the largest entry of a row becomes 127."""
    scale = weight.float().abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / _LEVELS
    return (weight.float() / scale).round().clamp(-_LEVELS, _LEVELS).to(torch.int8), scale


def dequantise(weight: Tensor, scale: Tensor) -> Tensor:
    """Inverse of `quantise` up to half a level, in the type of `scale`."""
    return weight.to(scale.dtype) * scale


def quantise_transformers(model: nn.Module) -> int:
    """Replaces the linear layers of the transformer blocks in place; how many."""
    names = [
        name for name, module in model.named_modules() if type(module) is nn.Linear and _PLACE in f".{name}"
    ]
    for name in names:
        parent, _, child = name.rpartition(".")
        holder = model.get_submodule(parent)
        setattr(holder, child, Int8Linear(model.get_submodule(name)))  # type: ignore[arg-type]
    return len(names)
