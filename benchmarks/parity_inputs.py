"""The inputs on which metrics are compared with reference implementations: fixed for ever, no files needed.

`RandomState` is numpy's frozen generator: its numbers are the same in every version.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

NEIGHBOURS = 5


def features(name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(generated, real): `full` rank 60 x 24, or `deficient` 5 x 64, as with five pictures."""
    count, dimensions, seed = {"full": (60, 24, 1), "deficient": (5, 64, 2)}[name]
    state = np.random.RandomState(seed)
    mixing = state.standard_normal((dimensions, dimensions)) / np.sqrt(dimensions)
    generated = state.standard_normal((count, dimensions)) @ mixing * 1.1 + 0.15
    real = state.standard_normal((count, dimensions)) @ mixing
    return generated, real


def pictures() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Two similar pictures [96, 96, 3]: a shaded disc, and the same moved, tinted and with noise."""
    y, x = np.mgrid[:96, :96]
    noise = np.random.RandomState(3).randint(-12, 13, (96, 96, 3))

    def disc(left: int, tint: tuple[int, int, int]) -> NDArray[np.int64]:
        inside = (x - left) ** 2 + (y - 48) ** 2 < 900
        shade = (x + y) // 4
        return np.where(inside[..., None], np.array(tint) + shade[..., None] // 2, 235)

    generated = np.clip(disc(46, (60, 40, 120)) + noise, 0, 255).astype(np.uint8)
    return generated, disc(50, (40, 50, 130)).astype(np.uint8)


def fill(network: nn.Module) -> None:
    """Gives every weight a value that depends on its name and place only; variances stay near 1 from layer to
    layer.
    """
    with torch.no_grad():
        for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
            if not tensor.is_floating_point() or "running" in name or name.startswith("fc."):
                continue
            # torchvision and LPIPS count layers where others name them: the shape alone decides
            seed = sum(size * 31**place for place, size in enumerate(tensor.shape)) % 2**31
            values = np.random.RandomState(seed).standard_normal(tuple(tensor.shape))
            fan_in = max(1, tensor[0].numel()) if tensor.ndim > 1 else 1
            scale = np.sqrt(2 / fan_in) if tensor.ndim > 1 else 0.1
            offset = 1.0 if name.endswith("bn.weight") else 0.0
            tensor.copy_(torch.from_numpy(values * scale + offset))
