"""The UNet's residual and transformer blocks on a CPU, forward and backward written out.

What diffusers' modules compute, as one autograd function a block instead of some twenty operations: on a small model
starting an operation costs as much as doing it. Everything but the attention's LoRA is frozen, so that the backward
pass is only the gradient of the input. Pictures stay channels-last all the way; diffusers' modules lay them out anew
after every transformer. The loss and the gradients are the same up to rounding (a test says so).

Blocks that are not what is written out here (a LoRA on convolutions, DoRA, dropout, other norms) stay with diffusers.
"""

from typing import Any

import torch
from diffusers.models.activations import GEGLU
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sdxl_lora.training.cpu.attention import LoraAttention, SavedActivations, attend, attend_back
from sdxl_lora.training.cpu.packed import Matrix, PackedConv, PackedLinear

_ATEN: Any = torch.ops.aten
_LAST = torch.channels_last
_INPUT_ONLY = [True, False, False]  # the gradient of the input; weights and biases are frozen


def install(unet: Any) -> int:
    """Replaces what can be replaced; returns how many. Call it after `packed.pack` and `attention.install`."""
    count = 0
    for module in unet.modules():
        made: ResidualBlock | TransformerBlock | TransformerFrame | None = None
        if type(module) is ResnetBlock2D and _fits_residual(module):
            made = ResidualBlock(module)
        elif type(module) is BasicTransformerBlock and _fits_transformer(module):
            made = TransformerBlock(module)
        elif type(module) is Transformer2DModel and _fits_frame(module):
            made = TransformerFrame(module)
        if made is not None:
            setattr(module, "forward", made)  # noqa: B010 - shadows the class's method in this one block
            count += 1
    return count


def _packed(*layers: Any) -> bool:
    return all(isinstance(vars(layer).get("forward"), PackedConv | PackedLinear) for layer in layers)


def _norm(layer: Any, kind: type[nn.Module]) -> bool:
    return (
        type(layer) is kind
        and layer.weight is not None
        and layer.bias is not None
        and not layer.weight.requires_grad
    )


def _fits_residual(block: Any) -> bool:
    return (
        _packed(block.conv1, block.conv2, block.time_emb_proj)
        and (block.conv_shortcut is None or _packed(block.conv_shortcut))
        and _norm(block.norm1, nn.GroupNorm)
        and _norm(block.norm2, nn.GroupNorm)
        and block.time_embedding_norm in ("default", "scale_shift")
        and type(block.nonlinearity) is nn.SiLU
        and block.upsample is None
        and block.downsample is None
        and not block.skip_time_act
        and block.dropout.p == 0
        and block.output_scale_factor == 1
    )


def _fits_transformer(block: Any) -> bool:
    layers = block.ff.net
    return (
        block.norm_type == "layer_norm"
        and not block.only_cross_attention
        and block.pos_embed is None
        and block.attn2 is not None
        and all(type(attention.processor) is LoraAttention for attention in (block.attn1, block.attn2))
        and all(_norm(norm, nn.LayerNorm) for norm in (block.norm1, block.norm2, block.norm3))
        and len(layers) == 3
        and type(layers[0]) is GEGLU
        and layers[1].p == 0
        and _packed(layers[0].proj, layers[2])
    )


def _fits_frame(frame: Any) -> bool:
    return (
        frame.is_input_continuous
        and _norm(frame.norm, nn.GroupNorm)
        and _packed(frame.proj_in, frame.proj_out)
        and all(_fits_transformer(block) for block in frame.transformer_blocks)
    )


class _Group:
    """Group norm of channels-last pictures."""

    def __init__(self, norm: Any) -> None:
        self.weight, self.bias = norm.weight.detach(), norm.bias.detach()
        self.groups, self.eps = norm.num_groups, norm.eps

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(result, mean, 1 / deviation)."""
        n, c, h, w = x.shape
        found: tuple[Tensor, Tensor, Tensor] = _ATEN.native_group_norm(
            x, self.weight, self.bias, n, c, h * w, self.groups, self.eps
        )
        return found

    def back(self, d: Tensor, x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
        n, c, h, w = x.shape
        result: Tensor = _ATEN.native_group_norm_backward(
            d, x, mean, scale, self.weight, n, c, h * w, self.groups, _INPUT_ONLY
        )[0]
        return result


class _Layer:
    """Layer norm of rows."""

    def __init__(self, norm: Any) -> None:
        self.weight, self.bias, self.eps = norm.weight.detach(), norm.bias.detach(), norm.eps
        self.shape = list(norm.normalized_shape)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(result, mean, 1 / deviation)."""
        found: tuple[Tensor, Tensor, Tensor] = _ATEN.native_layer_norm(
            x, self.shape, self.weight, self.bias, self.eps
        )
        return found

    def back(self, d: Tensor, x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
        result: Tensor = _ATEN.native_layer_norm_backward(
            d, x, self.shape, mean, scale, self.weight, self.bias, _INPUT_ONLY
        )[0]
        return result


class ResidualBlock:
    """A block of two convolutions; the time comes in between, as a shift or as scale and shift."""

    def __init__(self, block: Any) -> None:
        self._block, self._time = block, block.time_emb_proj
        self.norm1, self.norm2 = _Group(block.norm1), _Group(block.norm2)
        self.conv1: PackedConv = block.conv1.forward
        self.conv2: PackedConv = block.conv2.forward
        self.shortcut: PackedConv | None = (
            None if block.conv_shortcut is None else block.conv_shortcut.forward
        )
        self.scaled: bool = block.time_embedding_norm == "scale_shift"

    def __call__(self, x: Tensor, temb: Tensor | None) -> Tensor:
        if temb is None or temb.requires_grad:  # it does where the text encoders are trained
            theirs: Tensor = type(self._block).forward(self._block, x, temb)
            return theirs
        time = self._time(nn.functional.silu(temb))[:, :, None, None]
        result: Tensor = _Residual.apply(x, self, time)
        return result


class _Residual(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, block: ResidualBlock, time: Tensor) -> Tensor:
        x = x.contiguous(memory_format=_LAST)
        first, *stats1 = block.norm1(x)
        middle = block.conv1.convolve(_ATEN.silu(first))
        scale = None
        if block.scaled:
            scale, shift = time.chunk(2, dim=1)
            scale = scale + 1
            second, *stats2 = block.norm2(middle)
            second = torch.addcmul(shift, second, scale)
        else:
            middle += time
            second, *stats2 = block.norm2(middle)
        result = block.conv2.convolve(_ATEN.silu(second))
        result += x if block.shortcut is None else block.shortcut.convolve(x)
        ctx.block = block
        ctx.save_for_backward(x, first, *stats1, middle, second, *stats2, scale)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor, None, None]:
        block: ResidualBlock = ctx.block
        x, first, mean1, rstd1, middle, second, mean2, rstd2, scale = ctx.saved_tensors
        d = d.contiguous(memory_format=_LAST)
        inner = _ATEN.silu_backward(block.conv2.input_gradient(d), second)
        if scale is not None:
            inner *= scale
        inner = block.norm2.back(inner, middle, mean2, rstd2)
        inner = _ATEN.silu_backward(block.conv1.input_gradient(inner), first)
        inner = block.norm1.back(inner, x, mean1, rstd1)
        inner += d if block.shortcut is None else block.shortcut.input_gradient(d)
        return inner, None, None


class TransformerBlock:
    """Attention to itself, attention to the text, and a gated layer; each after a norm and added to what came in."""

    def __init__(self, block: Any) -> None:
        self._block, self._layer = block, block.attn1.to_q
        self.attentions: tuple[LoraAttention, LoraAttention] = (block.attn1.processor, block.attn2.processor)
        self.norms = tuple(_Layer(norm) for norm in (block.norm1, block.norm2, block.norm3))
        self.ff_in: Matrix = block.ff.net[0].proj.forward.matrix
        self.ff_out: Matrix = block.ff.net[2].forward.matrix

    def __call__(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        *more: Any,
        **others: Any,
    ) -> Tensor:
        off = self._layer.disable_adapters
        masked = attention_mask is not None or encoder_attention_mask is not None
        if encoder_hidden_states is None or masked or (off and torch.is_grad_enabled()):
            theirs: Tensor = type(self._block).forward(
                self._block,
                hidden_states,
                attention_mask,
                encoder_hidden_states,
                encoder_attention_mask,
                *more,
                **others,
            )
            return theirs
        factors = () if off else (*self.attentions[0].factors, *self.attentions[1].factors)
        result: Tensor = _Transformer.apply(self, hidden_states, encoder_hidden_states, *factors)
        return result


class _Transformer(torch.autograd.Function):
    """Rows are B x T. The names of gradients begin with d."""

    @staticmethod
    def forward(ctx: Any, block: TransformerBlock, x: Tensor, text: Tensor, *factors: Tensor) -> Tensor:
        batch, rows, other = len(x), x.reshape(-1, x.shape[-1]), text.reshape(-1, text.shape[-1])
        half = len(factors) // 2
        saved: list[Tensor] = []
        ctx.loras, ctx.counts = [], []
        for layer, norm, told, own in zip(
            block.attentions, block.norms, (None, other), (factors[:half], factors[half:]), strict=False
        ):
            normed, *stats = norm(rows)
            result, kept = attend(layer, normed, told, batch, own)
            saved += [rows, *stats, *kept.tensors]
            ctx.loras.append(kept.loras)
            ctx.counts.append(3 + len(kept.tensors))
            rows = result.add_(rows)
        normed, *stats = block.norms[2](rows)
        mixed = block.ff_in(normed)
        value, gate = mixed.chunk(2, dim=-1)
        active = _ATEN.gelu(gate)
        result = block.ff_out(value * active)
        ctx.save_for_backward(*saved, rows, *stats, mixed, active)
        ctx.block, ctx.shape, ctx.text_shape = block, x.shape, text.shape
        return result.add_(rows).view(x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        block: TransformerBlock = ctx.block
        saved = list(ctx.saved_tensors)
        rows, mean, rstd, mixed, active = saved[-5:]
        d = gradient.reshape(rows.shape)
        d = d + block.norms[2].back(_gated_back(block, d, mixed, active), rows, mean, rstd)
        second, first = saved[ctx.counts[0] : -5], saved[: ctx.counts[0]]
        factors: list[Tensor] = []
        d_text = None
        for index, (rows, mean, rstd, *tensors) in ((1, second), (0, first)):
            wanted = index == 1 or ctx.needs_input_grad[1]
            d_normed, d_other, found = attend_back(
                block.attentions[index],
                d,
                SavedActivations(tensors=tuple(tensors), loras=ctx.loras[index]),
                ctx.shape[0],
                itself=index == 0,
                wants=(wanted, index == 1 and ctx.needs_input_grad[2]),
            )
            factors = found + factors
            d_text = d_other if index == 1 else d_text
            if d_normed is not None:
                d = block.norms[index].back(d_normed, rows, mean, rstd).add_(d)
        return (
            None,
            d.view(ctx.shape) if ctx.needs_input_grad[1] else None,
            None if d_text is None else d_text.view(ctx.text_shape),
            *factors,
        )


def _gated_back(block: TransformerBlock, d: Tensor, mixed: Tensor, active: Tensor) -> Tensor:
    """The gradient through W2 (value gelu(gate)), where (value, gate) = W1 x."""
    value, gate = mixed.chunk(2, dim=-1)
    d_product = block.ff_out.input_gradient(d)
    d_mixed = torch.empty_like(mixed)
    d_value, d_gate = d_mixed.chunk(2, dim=-1)
    torch.mul(d_product, active, out=d_value)
    _ATEN.gelu_backward.grad_input(d_product.mul_(value), gate, grad_input=d_gate)
    return block.ff_in.input_gradient(d_mixed)


class TransformerFrame:
    """A norm and a projection into rows, the blocks, and the way back to a picture, added to what came in."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.norm = _Group(frame.norm)
        self.into, self.back = (_rowwise(layer) for layer in (frame.proj_in, frame.proj_out))

    def __call__(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        return_dict: bool = True,
        attention_mask: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        **others: Any,
    ) -> Any:
        frame = self._frame
        masked = attention_mask is not None or encoder_attention_mask is not None
        if masked or return_dict:
            return type(frame).forward(
                frame,
                hidden_states,
                encoder_hidden_states,
                return_dict=return_dict,
                attention_mask=attention_mask,
                encoder_attention_mask=encoder_attention_mask,
                **others,
            )
        picture = hidden_states.contiguous(memory_format=_LAST)
        rows = _Entry.apply(picture, self)
        for block in frame.transformer_blocks:
            if frame.gradient_checkpointing and torch.is_grad_enabled():
                rows = frame._gradient_checkpointing_func(block, rows, None, encoder_hidden_states)
            else:
                rows = block(rows, encoder_hidden_states=encoder_hidden_states)
        return (_Exit.apply(rows, picture, self),)


def _rowwise(layer: Any) -> Matrix:
    """The projection, a linear layer or a 1 x 1 convolution, as a matrix over rows."""
    if isinstance(layer, nn.Linear):
        matrix: Matrix = layer.forward.matrix  # type: ignore[attr-defined]
        return matrix
    return Matrix(layer.weight.detach().flatten(1), layer.bias.detach())


class _Entry(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, picture: Tensor, frame: TransformerFrame) -> Tensor:
        normed, *stats = frame.norm(picture)
        ctx.frame = frame
        ctx.save_for_backward(picture, *stats)
        return frame.into(normed.permute(0, 2, 3, 1).flatten(1, 2))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor, None]:
        picture, mean, rstd = ctx.saved_tensors
        d_normed = ctx.frame.into.input_gradient(d).unflatten(1, picture.shape[2:]).permute(0, 3, 1, 2)
        return ctx.frame.norm.back(d_normed, picture, mean, rstd), None


class _Exit(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, picture: Tensor, frame: TransformerFrame) -> Tensor:
        ctx.frame = frame
        result = frame.back(rows).unflatten(1, picture.shape[2:]).permute(0, 3, 1, 2)
        result += picture
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor, Tensor | None, None]:
        rows = d.permute(0, 2, 3, 1).flatten(1, 2)
        return ctx.frame.back.input_gradient(rows), d if ctx.needs_input_grad[1] else None, None
