"""Step caching: the deep layers of the denoising network are computed every few steps only, and reused in between.

What the inner levels of a UNet answer changes little from one step to the next, while its outermost level follows the
noise (DeepCache, arXiv:2312.00858, section 3.3, with the first skip as the branch and uniform intervals). A step that
reuses computes the first block down and the last block up. It changes the picture; `benchmarks/step_cache.py` measures
how much, and what it saves.
"""

from typing import Any

from torch import Tensor, nn

from sdxl_lora.models import pipeline_internals


class CachingNetwork:
    """Stands in a pipeline for its UNet while one picture is drawn: called as that, with the same weights.

    Belongs to one way, because what is kept is of its latents; everything but the call is the UNet's.
    """

    def __init__(self, unet: Any, interval: int) -> None:
        """`interval`: of so many steps one is computed whole, the first among them."""
        self._unet = unet
        self._interval = interval
        self._kept = _Kept()
        self._calls = 0
        self._shape: tuple[int, ...] = ()
        falling = [_Deep(block, self._kept) for block in unet.down_blocks[1:]]
        rising = [_Deep(block, self._kept) for block in unet.up_blocks[:-1]]
        self._copy = pipeline_internals.network_with(
            unet,
            down_blocks=nn.ModuleList([unet.down_blocks[0], *falling]),
            mid_block=None if unet.mid_block is None else _Deep(unet.mid_block, self._kept),
            up_blocks=nn.ModuleList([*rising, unet.up_blocks[-1]]),
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unet, name)

    def __call__(self, sample: Tensor, *arguments: Any, **named: Any) -> Any:
        """The prediction for a batch; computed whole, too, where guidance has ended and the batch is another."""
        self._kept.reused = self._calls % self._interval > 0 and sample.shape == self._shape
        if not self._kept.reused:
            self._calls, self._shape = 0, tuple(sample.shape)
        self._calls += 1
        return self._copy(sample, *arguments, **named)


class _Kept:
    """What the deep blocks answered last."""

    def __init__(self) -> None:
        self.reused = False  # whether this step is answered from memory
        self.answers: dict[nn.Module, Any] = {}


class _Deep(nn.Module):
    """A block that answers what it answered last where the step reuses."""

    def __init__(self, block: Any, kept: _Kept) -> None:
        super().__init__()
        self.block = block
        self.has_cross_attention = bool(getattr(block, "has_cross_attention", False))
        self._kept = kept

    @property
    def resnets(self) -> Any:
        """As the UNet asks a block for how many skips it takes."""
        return self.block.resnets

    def forward(self, *arguments: Any, **named: Any) -> Any:
        if not self._kept.reused:
            self._kept.answers[self.block] = self.block(*arguments, **named)
        return self._kept.answers[self.block]
