"""Counts the memory that a computation needs, on torch's meta device without doing it, or while it is done.

Every storage that an operation makes is counted until it is let go, which gives the peak as an allocator sees it.
Attention counts as its fused kernel, which keeps no scores. Workspaces of libraries are not in it, nor what a driver
or Python itself takes. Knows nothing of models.
"""

import weakref
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_of(run: Callable[[], Any], *, besides: nn.Module, gradients: bool = False) -> int:
    """Bytes that `run` needs at most beside the parameters and buffers of a module; `gradients`: with autograd."""
    counted = _LiveBytes()
    for tensor in (*besides.parameters(), *besides.buffers()):
        counted.ignore(tensor)
    with nullcontext() if gradients else torch.no_grad(), FusedAttention(), counted:
        run()
    return counted.peak


class FusedAttention(TorchFunctionMode):
    """Inside, attention on the meta device is its fused kernel; torch would write it out there, with all its scores."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func is F.scaled_dot_product_attention:
            query, key, value = (*args, *(given[name] for name in ("query", "key", "value")[len(args) :]))[:3]
            if query.is_meta:
                return torch.ops.aten._scaled_dot_product_flash_attention(query, key, value)[0]
        return func(*args, **given)


class _LiveBytes(TorchDispatchMode):
    """Inside, counts the bytes of storages that operations make."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._live = 0
        self._known: dict[int, int] = {}

    def ignore(self, tensor: Tensor) -> None:
        """One that was there before, and stays."""
        self._known[id(tensor.untyped_storage())] = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        answer = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(answer):
            if isinstance(tensor, Tensor):
                self._count(tensor)
        return answer

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()  # one object for as long as there is a tensor on it
        key = id(storage)
        if key in self._known:
            return
        self._known[key] = storage.nbytes()
        weakref.finalize(storage, self._forget, key)
        self._live += storage.nbytes()
        self.peak = max(self.peak, self._live)

    def _forget(self, key: int) -> None:
        self._live -= self._known.pop(key, 0)
