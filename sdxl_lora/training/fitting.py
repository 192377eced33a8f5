"""How much memory training a LoRA on a model takes, counted on its real sizes before anything is loaded.

As `models.footprint` counts drawing: an update on one picture runs on torch's meta device, forwards and backwards.
Filling the caches comes before it, with the VAE alone in memory.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from sdxl_lora.models import footprint
from sdxl_lora.models.live_bytes import peak_of
from sdxl_lora.training.adapter import Adapter, LoraSettings

OPTIMIZER_BYTES = 16  # per trained parameter: weight, gradient and two moments in fp32


class FusedAttention:
    """diffusers' processor protocol, with the fused kernel; on the meta device PyTorch would write the scores out.

    A mode as `models.live_bytes` has it does not reach what checkpointing computes again in the backward pass.
    """

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            rows.unflatten(2, (attn.heads, -1)).transpose(1, 2)
            for rows in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context))
        )
        found = torch.ops.aten._scaled_dot_product_flash_attention(query, key, value)[0]
        result: Tensor = attn.to_out[0](found.transpose(1, 2).flatten(2))
        return result


@lru_cache(maxsize=32)
def needed(sizes: footprint.Sizes, *, quantised: bool, checkpointing: bool, side: int, rank: int = 4) -> int:
    """Bytes that a GPU holds at most: the larger of caching and an update of one picture of `side` x `side` px.

    The frozen weights are in bf16, or int8 where `quantised`.
    """
    unet: Any = footprint.shell(sizes, "unet", torch.bfloat16, quantised=quantised)
    with torch.device("meta"):
        adapter = Adapter({"unet": unet}, LoraSettings(rank=rank, alpha=rank), 0, torch.bfloat16)
    if checkpointing:
        unet.enable_gradient_checkpointing()
    unet.set_attn_processor(FusedAttention())
    inputs = footprint.unet_inputs(unet.train(), sizes, (side, side), batch=1)

    def update() -> None:
        answer: Tensor = unet(**inputs, return_dict=False)[0]
        answer.sum().backward()

    working = peak_of(update, besides=unet, gradients=True)
    held = sum(tensor.nbytes for tensor in (*unet.parameters(), *unet.buffers()))
    trained = sum(parameter.numel() for parameter in adapter.parameters())
    return max(held + trained * OPTIMIZER_BYTES + working, _caching(sizes, side))


def _caching(sizes: footprint.Sizes, side: int) -> int:
    vae = footprint.shell(sizes, "vae", torch.float32, quantised=False)
    pixels = torch.zeros(1, 3, side, side, device="meta")
    working = peak_of(lambda: vae.encode(pixels), besides=vae)
    return working + sum(parameter.nbytes for parameter in vae.parameters())
