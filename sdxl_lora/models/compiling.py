"""The blocks of a denoising network by torch.compile, with a cache on disk that the next process begins with.

Only what is repeated is compiled, the transformer and the residual blocks (regional compilation): SDXL has 70 of the
first and 17 of the second, of a handful of shapes each, so that it takes a minute and not ten. Norms, activations and,
in training, the LoRA's scaling and additions become a few kernels between the products, forwards and backwards.
"""

import os
from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D

from sdxl_lora.config import home

# of one block's code: widths x inputs' sizes x shorter batches at a bucket's end, with and without gradients
_VARIANTS = 64
_CACHE = "TORCHINDUCTOR_CACHE_DIR"  # of torch's compiler, which puts Triton's beside


def compile_blocks(unet: Any, *, one_size: bool, backend: str | Callable[..., Any] = "inductor") -> int:
    """Compiles every block at its first use; how many blocks. For training call it when the LoRA is there.

    `one_size`: kernels are made for the size of the pictures, and anew for another; otherwise they take any.
    What was compiled is kept in `SDXL_LORA_HOME/cache/compiled`, unless `TORCHINDUCTOR_CACHE_DIR` says where.
    """
    os.environ.setdefault(_CACHE, str(home() / "cache" / "compiled"))
    allow_variants()
    blocks = [m for m in unet.modules() if isinstance(m, BasicTransformerBlock | ResnetBlock2D)]
    for block in blocks:
        block.compile(dynamic=False if one_size else None, backend=backend)
    return len(blocks)


def allow_variants() -> None:
    """Lets this thread compile one block's code for every width there is; each thread has a limit of its own (8).

    Beyond it torch runs the block as it is, and says so only in its log.
    """
    torch.compiler.config.recompile_limit = max(torch.compiler.config.recompile_limit, _VARIANTS)
