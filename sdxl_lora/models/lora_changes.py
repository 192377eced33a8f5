"""What a LoRA makes of one layer's weights: W -> W', in fp32, for every kind of adapter that is read.

With s = alpha / rank (rank-stabilised: alpha / sqrt(rank), arXiv:2312.03732):
LoRA (arXiv:2106.09685): W' = W + s B A; with a Tucker core of convolutions as LyCORIS writes it;
LoHa (arXiv:2108.06098): W' = W + s (A1 B1) * (A2 B2), elementwise; LoKr (arXiv:2309.14859): W' = W + s kron(C, D);
full differences, of weights and biases, as LyCORIS keeps those of norms;
DoRA (arXiv:2402.09353, equation 5) on any of them: W' = m (W + D) / |W + D|, the norm over inputs per output or, in
LyCORIS's older files, over outputs per input. Pure functions of tensors; knows nothing of files and names.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Parts = Mapping[str, Tensor]  # what a file holds for one layer, by the names in `KINDS`

# kind -> (what it needs, what it may have besides)
KINDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "LoRA": (frozenset({"down", "up"}), frozenset({"mid"})),
    "LoHa": (
        frozenset({"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"}),
        frozenset({"hada_t1", "hada_t2"}),
    ),
    "LoKr": (
        frozenset(),
        frozenset({f"lokr_{name}" for name in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")}),
    ),
    "difference": (frozenset(), frozenset({"diff", "diff_b", "w_norm", "b_norm"})),
}
_MAGNITUDES = frozenset({"magnitude", "magnitude_vector"})
_EVERYWHERE = _MAGNITUDES | {"alpha", "scalar"}


class Unfit(ValueError):
    """Parts that make no change of a layer, with the reason for people."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """The parts of one layer and their scale, which is in the parts where the file states it there."""

    kind: str
    parts: Parts
    alpha: float | None = None  # None = the rank, so that the scale is 1
    rank_stabilised: bool = False

    @property
    def scale(self) -> float:
        """By what the product of the factors is multiplied."""
        rank = self._rank()
        if rank is None or self.alpha is None:
            return 1.0
        return self.alpha / (math.sqrt(rank) if self.rank_stabilised else rank)

    def _rank(self) -> int | None:
        """None where there is nothing of low rank: full factors have no scale."""
        match self.kind:
            case "LoRA":
                return int(self.parts["down"].shape[0])
            case "LoHa":
                return int(self.parts["hada_w1_b"].shape[0])
            case "LoKr":
                for name in ("lokr_w2_b", "lokr_w1_b"):
                    if name in self.parts:
                        return int(self.parts[name].shape[0])
        return None


def of_parts(parts: Parts, *, alpha: float | None = None, rank_stabilised: bool = False) -> Change:
    """The change that `parts` are; an `alpha` among them goes before the argument. Raises `Unfit`."""
    kind = kind_of(parts)
    stated = parts.get("alpha")
    if stated is not None and stated.numel() != 1:
        raise Unfit("has an alpha that is no single number")
    found = alpha if stated is None else float(stated)
    return Change(kind=kind, parts=parts, alpha=found, rank_stabilised=rank_stabilised)


def kind_of(names: Iterable[str]) -> str:
    """Of which kind the parts named so are, and that none is missing or too many. Raises `Unfit`."""
    factors = set(names) - _EVERYWHERE
    for kind, (needed, possible) in KINDS.items():
        if not factors & (needed | possible):
            continue
        if others := factors - needed - possible:
            raise Unfit(f"has parts of several kinds ({', '.join(sorted(others))} beside a {kind})")
        if missing := needed - factors:
            raise Unfit(f"lacks {' and '.join(sorted(missing))} of a {kind}")
        if kind == "LoKr" and not _both_factors(factors):
            raise Unfit("lacks a factor of a LoKr")
        if kind == "difference" and set(names) & _MAGNITUDES:
            raise Unfit("has DoRA magnitudes but no factors")
        return kind
    raise Unfit("has an alpha or magnitudes but no factors")


def _both_factors(names: set[str]) -> bool:
    return all(
        f"lokr_{factor}" in names or {f"lokr_{factor}_a", f"lokr_{factor}_b"} <= names
        for factor in ("w1", "w2")
    )


def changed_weight(change: Change, weight: Tensor) -> Tensor | None:
    """W' for a weight W of out x in (x k x k), fp32 on W's device; None where the weight stays.

    Raises `Unfit` where the shapes are of another layer.
    """
    own = weight.float()
    difference = _difference(change, own)
    if difference is None:
        return None
    parts = change.parts
    if "scalar" in parts:
        difference = difference * parts["scalar"].to(own)
    merged = own + change.scale * difference
    return merged if "magnitude" not in parts else _decomposed(merged, parts["magnitude"].to(own))


def changed_bias(change: Change, bias: Tensor | None) -> Tensor | None:
    """The layer's new bias in fp32; None where it stays. Raises `Unfit` where the layer has none."""
    difference = change.parts.get("diff_b", change.parts.get("b_norm"))
    if difference is None:
        return None
    if bias is None or bias.shape != difference.shape:
        raise Unfit("changes a bias that the layer does not have")
    return bias.float() + difference.to(bias.device).float()


def _difference(change: Change, weight: Tensor) -> Tensor | None:
    parts = {name: value.to(weight) for name, value in change.parts.items()}
    try:
        match change.kind:
            case "LoRA":
                found = _low_rank(parts)
            case "LoHa":
                found = _hadamard(parts)
            case "LoKr":
                found = _kronecker(parts, weight)
            case _:
                given = parts.get("diff", parts.get("w_norm"))
                if given is None:
                    return None
                found = given
    except RuntimeError as error:  # of torch, where matrices do not go together
        raise Unfit(f"has factors that do not go together ({' '.join(str(error).split())[:80]})") from error
    return _shaped_like(found, weight, flat=change.kind in ("LoHa", "LoKr"))


def _shaped_like(found: Tensor, weight: Tensor, *, flat: bool) -> Tensor:
    """Pointwise convolutions and linear layers hold the same numbers; nothing else may differ in shape."""
    same = found.shape[:2] == weight.shape[:2] or (flat and found.shape[:1] == weight.shape[:1])
    if found.numel() != weight.numel() or not same:
        raise Unfit(f"is for a layer of {_sides(found)}, where the model has {_sides(weight)}")
    return found.reshape(weight.shape)


def _sides(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape))


def _low_rank(parts: Parts) -> Tensor:
    down, up = parts["down"], parts["up"]
    if "mid" in parts:
        return _tucker(parts["mid"], up.flatten(1).T, down.flatten(1))
    if down.ndim == up.ndim == 4 and (up.shape[2], up.shape[3]) != (1, 1):
        if (down.shape[2], down.shape[3]) != (1, 1):
            raise RuntimeError("two convolutions with kernels")
        return torch.einsum("orkl,ri->oikl", up, down.flatten(1))  # the kernel in the second factor
    return (up.flatten(1) @ down.flatten(1)).reshape(up.shape[0], *down.shape[1:])


def _hadamard(parts: Parts) -> Tensor:
    one, two = (
        _tucker(parts[core], parts[f"hada_w{i}_a"], parts[f"hada_w{i}_b"])
        if (core := f"hada_t{i}") in parts
        else parts[f"hada_w{i}_a"] @ parts[f"hada_w{i}_b"]
        for i in (1, 2)
    )
    return one * two


def _kronecker(parts: Parts, weight: Tensor) -> Tensor:
    one = parts["lokr_w1"] if "lokr_w1" in parts else parts["lokr_w1_a"] @ parts["lokr_w1_b"]
    if "lokr_w2" in parts:
        two = parts["lokr_w2"]
    elif "lokr_t2" in parts:
        two = _tucker(parts["lokr_t2"], parts["lokr_w2_a"], parts["lokr_w2_b"])
    else:
        two = parts["lokr_w2_a"] @ parts["lokr_w2_b"]
    if two.ndim == 2 and weight.ndim == 4:  # in x k x k in one
        kernel = weight.shape[2] * weight.shape[3]
        two = two.reshape(two.shape[0], two.shape[1] // kernel, *weight.shape[2:])
    return torch.kron(one.reshape(*one.shape, *[1] * (two.ndim - one.ndim)), two)


def _tucker(core: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Core r x s x k x k with left r x out and right s x in -> out x in x k x k."""
    return torch.einsum("ij...,ip,jq->pq...", core, left, right)


def _decomposed(merged: Tensor, magnitude: Tensor) -> Tensor:
    """Rows of `merged` brought to the lengths in `magnitude` (out, or out x 1 ...); columns, if it is 1 x in ..."""
    outputs, inputs = merged.shape[:2]
    per_output = magnitude.ndim == 1 or magnitude.shape[0] == outputs
    if magnitude.numel() != (outputs if per_output else inputs):
        raise Unfit(f"has {magnitude.numel()} DoRA magnitudes for a layer of {_sides(merged)}")
    rest = [1] * (merged.ndim - 2)
    if per_output:
        lengths = torch.linalg.vector_norm(merged.flatten(1), dim=1).reshape(-1, 1, *rest)
        return merged * (magnitude.reshape(-1, 1, *rest) / lengths)
    lengths = torch.linalg.vector_norm(merged.transpose(0, 1).flatten(1), dim=1).reshape(1, -1, *rest)
    return merged * (magnitude.reshape(1, -1, *rest) / lengths)
