"""Attention with LoRA on its four projections, forward and backward written out.

What diffusers' and peft's modules compute, with fewer and larger products: projections of the same input share one,
the LoRAs are added into their results, and what autograd would keep and launch for every small operation is gone. On
small models, where starting an operation costs as much as doing it, an update takes a good part less time. The loss
and the gradients are the same up to rounding (a test says so).

With s = alpha / rank and a frozen W: y = x W^T + s (x A^T) B^T.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sdxl_lora.training.cpu.packed import Matrix

_ADAPTER = "default"
_PLAIN = AttnProcessor()


def install(unet: Any) -> int:
    """Replaces the attention of every layer that can be; returns how many. Call it after the LoRA is there."""
    layers = [module for module in unet.modules() if isinstance(module, Attention) and _fits(module)]
    for layer in layers:
        layer.set_processor(LoraAttention(layer))
    return len(layers)


def _fits(attention: Attention) -> bool:
    """Whether the layer is what is written out here, in fp32 on a CPU."""
    projections = (attention.to_q, attention.to_k, attention.to_v, attention.to_out[0])
    plain = all(
        type(layer) is LoraLinear
        and type(layer.base_layer) is nn.Linear
        and layer.base_layer.weight.dtype == torch.float32
        and layer.base_layer.weight.device.type == "cpu"
        and not layer.lora_variant  # DoRA
        and isinstance(layer.lora_dropout[_ADAPTER], nn.Identity)
        for layer in projections
    )
    extras = (attention.spatial_norm, attention.group_norm, attention.norm_q, attention.norm_k)
    return (
        plain
        and len({layer.scaling[_ADAPTER] for layer in projections}) == 1
        and all(extra is None for extra in extras)
        and not attention.norm_cross
        and not attention.residual_connection
        and attention.rescale_output_factor == 1
        and attention.to_out[1].p == 0
        and attention.to_q.base_layer.bias is None
    )


class LoraAttention:
    """diffusers' processor protocol; one for every layer."""

    def __init__(self, attention: Attention) -> None:
        projections = (attention.to_q, attention.to_k, attention.to_v, attention.to_out[0])
        self.factors: tuple[Tensor, ...] = tuple(
            matrix[_ADAPTER].weight for layer in projections for matrix in (layer.lora_A, layer.lora_B)
        )
        self.heads, self.scale = attention.heads, attention.scale
        self.strength = attention.to_q.scaling[_ADAPTER]
        q, k, v = (layer.base_layer.weight.detach() for layer in projections[:3])
        same_input = attention.to_k.base_layer.in_features == attention.to_q.base_layer.in_features
        self.qkv = Matrix(torch.cat([q, k, v]), None) if same_input else None
        self.q, self.kv = Matrix(q, None), Matrix(torch.cat([k, v]), None)
        out = attention.to_out[0].base_layer
        self.out = Matrix(out.weight.detach(), None if out.bias is None else out.bias.detach())

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        if attention_mask is not None or hidden_states.ndim != 3:
            raise ValueError("masks and unfolded pictures are not handled here")
        if attn.to_q.disable_adapters:
            plain: Tensor = _PLAIN(attn, hidden_states, encoder_hidden_states)
            return plain
        result: Tensor = _Attention.apply(self, hidden_states, encoder_hidden_states, *self.factors)
        return result


class _Lora:
    """Several LoRAs on one input, as one: A stacked, B along the diagonal."""

    def __init__(self, downs: Sequence[Tensor], ups: Sequence[Tensor], strength: float) -> None:
        self.down = downs[0] if len(downs) == 1 else torch.cat(list(downs))  # all ranks x in
        self.up = ups[0] if len(ups) == 1 else torch.block_diag(*ups)  # out x all ranks
        self.shapes, self.strength = [up.shape for up in ups], strength

    def add(self, result: Tensor, x: Tensor) -> Tensor:
        """Adds the LoRAs of `x` to `result` in place; returns x A^T, for `gradients`."""
        inner = x @ self.down.t()
        result.addmm_(inner, self.up.t(), alpha=self.strength)
        return inner

    def gradients(
        self, outer: Tensor, inner: Tensor, x: Tensor
    ) -> tuple[Tensor, Sequence[Tensor], list[Tensor]]:
        """(gradient of x A^T, of the A's, of the B's) from `outer`, the gradient of the result."""
        of_inner = (outer @ self.up).mul_(self.strength)
        downs = (of_inner.t() @ x).split([shape[1] for shape in self.shapes])
        whole, ups, row, column = (outer.t() @ inner).mul_(self.strength), [], 0, 0
        for height, width in self.shapes:
            ups.append(whole[row : row + height, column : column + width])
            row, column = row + height, column + width
        return of_inner, downs, ups


@dataclass(frozen=True, kw_only=True)
class SavedActivations:
    """What `attend` keeps for `attend_back`. Rows are B x T."""

    tensors: tuple[Tensor, ...]
    loras: tuple[_Lora, ...]  # of q, k and v; then of out; none of them: without LoRA


def attend(
    layer: LoraAttention, rows: Tensor, other: Tensor | None, batch: int, factors: Sequence[Tensor]
) -> tuple[Tensor, SavedActivations]:
    """Attention of `rows` to `other`, or to themselves. `factors` are A and B of q, k, v and out; none: no LoRA."""
    downs, ups, strength = factors[0::2], factors[1::2], layer.strength
    loras: list[_Lora] = []
    if other is None and layer.qkv is not None:
        mixed = layer.qkv(rows)
        loras += [_Lora(downs[:3], ups[:3], strength)] if factors else []
        inners = [lora.add(mixed, rows) for lora in loras]
        q, k, v = _heads(mixed, 3, batch, layer.heads)
    else:
        context = rows if other is None else other
        q_rows, kv_rows = layer.q(rows), layer.kv(context)
        if factors:
            loras = [_Lora(downs[:1], ups[:1], strength), _Lora(downs[1:3], ups[1:3], strength)]
        inners = [
            lora.add(result, x)
            for lora, result, x in zip(loras, (q_rows, kv_rows), (rows, context), strict=False)
        ]
        (q,) = _heads(q_rows, 1, batch, layer.heads)
        k, v = _heads(kv_rows, 2, batch, layer.heads)
    scores = torch.baddbmm(
        q.new_empty(len(q), q.shape[1], k.shape[1]), q, k.transpose(1, 2), beta=0, alpha=layer.scale
    )
    share = scores.softmax(dim=-1)
    seen = _rows(torch.bmm(share, v)[None], batch)
    result = layer.out(seen)
    if factors:
        loras.append(_Lora(downs[3:], ups[3:], strength))
        inners.append(loras[-1].add(result, seen))
    context = rows if other is None else other
    return result, SavedActivations(
        tensors=(rows, context, q, k, v, share, seen, *inners), loras=tuple(loras)
    )


def attend_back(
    layer: LoraAttention,
    d_result: Tensor,
    kept: SavedActivations,
    batch: int,
    *,
    itself: bool,
    wants: tuple[bool, bool],
) -> tuple[Tensor | None, Tensor | None, list[Tensor]]:
    """(gradient of the rows, of the others, of the factors). `itself`: the rows attended to themselves; `wants`:
    whether the gradients of rows and of the others are needed.
    """
    rows, other, q, k, v, share, seen, *inners = kept.tensors
    *loras, last = kept.loras
    d_inner, d_down_out, d_up_out = last.gradients(d_result, inners[-1], seen)
    d_seen = layer.out.input_gradient(d_result).addmm_(d_inner, last.down)
    (d_heads,) = _heads(d_seen, 1, batch, layer.heads)
    d_share = torch.bmm(d_heads, v.transpose(1, 2))
    d_scores = torch._softmax_backward_data(d_share, share, -1, share.dtype)
    together = layer.qkv is not None and len(loras) == 1
    parts = [q.new_empty(3, *q.shape)] if together else [q.new_empty(1, *q.shape), k.new_empty(2, *k.shape)]
    d_q, d_k, d_v = parts[0][0], parts[-1][-2], parts[-1][-1]
    torch.baddbmm(d_q, d_scores, k, beta=0, alpha=layer.scale, out=d_q)
    torch.baddbmm(d_k, d_scores.transpose(1, 2), q, beta=0, alpha=layer.scale, out=d_k)
    torch.bmm(share.transpose(1, 2), d_heads, out=d_v)
    d_rows = d_other = None
    if layer.qkv is not None and together:
        d_mixed = _rows(parts[0], batch)
        d_inner, d_downs, d_ups = loras[0].gradients(d_mixed, inners[0], rows)
        if wants[0]:
            d_rows = layer.qkv.input_gradient(d_mixed).addmm_(d_inner, loras[0].down)
    else:
        d_q_rows, d_kv_rows = _rows(parts[0], batch), _rows(parts[1], batch)
        d_inner, d_down, d_up = loras[0].gradients(d_q_rows, inners[0], rows)
        d_inner_other, d_downs, d_ups = loras[1].gradients(d_kv_rows, inners[1], other)
        d_downs, d_ups = [*d_down, *d_downs], [*d_up, *d_ups]
        if wants[0]:
            d_rows = layer.q.input_gradient(d_q_rows).addmm_(d_inner, loras[0].down)
        if wants[0] if itself else wants[1]:
            d_other = layer.kv.input_gradient(d_kv_rows).addmm_(d_inner_other, loras[1].down)
        if itself and d_rows is not None and d_other is not None:
            d_rows, d_other = d_rows.add_(d_other), None
    pairs = zip((*d_downs, *d_down_out), (*d_ups, *d_up_out), strict=True)
    return d_rows, d_other, [part for pair in pairs for part in pair]


class _Attention(torch.autograd.Function):
    """One layer by itself."""

    @staticmethod
    def forward(
        ctx: Any, layer: LoraAttention, x: Tensor, context: Tensor | None, *factors: Tensor
    ) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        other = None if context is None else context.reshape(-1, context.shape[-1])
        result, kept = attend(layer, rows, other, len(x), factors)
        ctx.layer, ctx.loras, ctx.shape = layer, kept.loras, x.shape
        ctx.context_shape = None if context is None else context.shape
        ctx.save_for_backward(*kept.tensors)
        return result.view(*x.shape[:2], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        d_x, d_context, d_factors = attend_back(
            ctx.layer,
            gradient.reshape(-1, gradient.shape[-1]),
            SavedActivations(tensors=ctx.saved_tensors, loras=ctx.loras),
            ctx.shape[0],
            itself=ctx.context_shape is None,
            wants=ctx.needs_input_grad[1:3],
        )
        return (
            None,
            None if d_x is None else d_x.view(ctx.shape),
            None if d_context is None else d_context.view(ctx.context_shape),
            *d_factors,
        )


def _heads(rows: Tensor, parts: int, batch: int, heads: int) -> tuple[Tensor, ...]:
    """(B T) x (parts heads C) -> `parts` of (B heads) x T x C."""
    cut = rows.view(batch, -1, parts, heads, rows.shape[1] // (parts * heads))
    return cut.permute(2, 0, 3, 1, 4).reshape(parts, batch * heads, cut.shape[1], -1).unbind()


def _rows(parts: Tensor, batch: int) -> Tensor:
    """parts x (B heads) x T x C -> (B T) x (parts heads C)."""
    count, many, tokens, width = parts.shape
    cut = parts.view(count, batch, many // batch, tokens, width).permute(1, 3, 0, 2, 4)
    return cut.reshape(batch * tokens, -1)
