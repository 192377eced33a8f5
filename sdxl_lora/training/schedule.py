"""The learning rate as a pure function of the number of updates made: never of steps, processes or epochs.

The shapes are those of diffusers' `get_scheduler`; `tests/training/test_schedule.py` compares them. Those come
as a `LambdaLR` bound to an optimizer, which counts its own calls: one more state for checkpoints to keep.
"""

import math

_POLYNOMIAL_END = 1e-7  # learning rate at the end of `polynomial`, absolute, as in diffusers


def factor(name: str, update: int, *, warmup: int, total: int, base: float = 1.0) -> float:
    """Share of the base learning rate `base` for update `update` (from 0) of `total`."""
    if name == "constant":
        return 1.0
    if update < warmup:
        return update / max(1, warmup)
    if name == "constant_with_warmup":
        return 1.0
    progress = (update - warmup) / max(1, total - warmup)
    if name == "linear":
        return max(0.0, 1 - progress)
    if name == "polynomial":
        end = min(1.0, _POLYNOMIAL_END / base) if base else 1.0
        return end if update > total else (1 - end) * (1 - progress) + end
    if name == "cosine":
        return max(0.0, 0.5 * (1 + math.cos(math.pi * progress)))
    if name == "cosine_with_restarts":  # with one cycle, diffusers' default
        return 0.0 if progress >= 1 else max(0.0, 0.5 * (1 + math.cos(math.pi * progress)))
    raise ValueError(f"no schedule named {name!r}")
