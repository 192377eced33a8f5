"""A layer's change as a plain LoRA of a given rank: exact where the rank suffices, else the nearest by SVD.

The truncated SVD is the nearest matrix of its rank in the Frobenius norm (Eckart and Young, 1936). Pure functions of
tensors; knows nothing of files, names and models.
"""

from dataclasses import replace

import torch
from torch import Tensor

from sdxl_lora.models.lora_changes import Change, Unfit, changed_weight

Factors = tuple[Tensor, Tensor]  # up (out x r) and down (r x in k k), fp32; the scale is in `up`


def without_magnitude(change: Change) -> Change:
    """The change before DoRA brings its rows, or columns, to their lengths."""
    return replace(change, parts={name: part for name, part in change.parts.items() if name != "magnitude"})


def difference(change: Change, weight: Tensor) -> Tensor:
    """W' - W for a weight W of out x in (x k x k), in fp32.

    Only a DoRA looks at the numbers of W; W of other changes need only be of the right shape. Raises `Unfit`.
    """
    frame = weight.float() if "magnitude" in change.parts else torch.zeros_like(weight, dtype=torch.float32)
    found = changed_weight(change, frame)
    if found is None:
        raise Unfit("changes a bias and no weight, which no LoRA can hold")
    return found - frame


@torch.no_grad()
def at_rank(change: Change, weight: Tensor, rank: int) -> Factors:
    """Factors of at most `rank` whose product is nearest to the change of `weight`. Raises `Unfit`."""
    wanted = difference(change, weight)
    plain = change.kind == "LoRA" and "magnitude" not in change.parts and "mid" not in change.parts
    if not plain or change.parts["up"].shape[2:].numel() > 1:  # not two matrices
        return _truncated(*torch.linalg.svd(wanted.flatten(1), full_matrices=False), rank=rank)
    up, down = (change.parts[name].to(wanted).flatten(1) for name in ("up", "down"))
    up = up * change.scale * (change.parts["scalar"].to(up) if "scalar" in change.parts else 1)
    if up.shape[1] <= rank:
        return up, down
    (left, upper), (right, lower) = torch.linalg.qr(up), torch.linalg.qr(down.T)
    u, s, v = torch.linalg.svd(upper @ lower.T)
    return _truncated(left @ u, s, v @ right.T, rank=rank)


def _truncated(u: Tensor, s: Tensor, v: Tensor, *, rank: int) -> Factors:
    """U S V to `rank`, S in equal shares on both sides, so that both factors learn alike."""
    root = s[:rank].sqrt()
    return u[:, :rank] * root, root[:, None] * v[:rank]
