"""`--compile`: the UNet's blocks, with the LoRA inside, by torch.compile.

Only what is repeated is compiled, the transformer and the residual blocks (regional compilation): SDXL has 70 of the
first and 17 of the second, of a handful of shapes each, so that it takes a minute and not ten. The LoRA's scaling and
additions, norms and activations become a few kernels between the products, forwards and backwards.
"""

from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D

# of one block's code: widths x inputs' sizes x shorter batches at a bucket's end, with and without gradients
_VARIANTS = 64


def compile_blocks(unet: Any, *, one_size: bool, backend: str = "inductor") -> int:
    """Compiles every block at its first use; how many blocks. Call it when the LoRA is there.

    `one_size`: all pictures have one size, for which the kernels are made; otherwise they take any size.
    """
    torch.compiler.config.recompile_limit = max(torch.compiler.config.recompile_limit, _VARIANTS)
    blocks = [m for m in unet.modules() if isinstance(m, BasicTransformerBlock | ResnetBlock2D)]
    for block in blocks:
        block.compile(dynamic=False if one_size else None, backend=backend)
    return len(blocks)
