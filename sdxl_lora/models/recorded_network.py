"""A denoising network by CUDA graphs: one launch a step.

A guided step of SDXL starts some 1,800 kernels, which takes a processor longer than a GPU needs for one picture.
Recorded once for every shape of its inputs and played again, they start as one. What is recorded reads its inputs from,
and writes its answer to, the same memory every time; LoRAs are merged into the weights in place, so that a recording
stays true.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from sdxl_lora.lru_cache import LruCache

_WARM_UP = 3  # passes before recording: libraries choose their kernels, compiled blocks are compiled
_GRAPHS = 4  # shapes that are kept: guided and unguided steps of two sizes

Run = Callable[[], Any]
Replay = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A pass of the network that can be played again."""

    inputs: list[Tensor]  # what it reads
    answer: tuple[Tensor, ...]  # what it writes
    replay: Replay


class RecordedNetwork:
    """Stands in a pipeline for its UNet: called as that. Not safe to call from several threads at once."""

    def __init__(self, network: Any, record: Callable[[Run], tuple[Any, Replay]] | None = None) -> None:
        """`record`: runs a pass and gives its answer with a way to do it again; None = a CUDA graph."""
        self._network = network
        self._record = record or _Graphs()
        self._recordings: LruCache[tuple[object, ...], Recording] = LruCache(_GRAPHS)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    @torch.no_grad()
    def __call__(self, *arguments: Any, **named: Any) -> tuple[Tensor, ...]:
        """The prediction, as the network gives it with `return_dict=False`; in memory of its own."""
        leaves, shape = tree_flatten((arguments, {**named, "return_dict": False}))
        given = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        others = tuple(None if isinstance(leaf, Tensor) else leaf for leaf in leaves)
        key = (str(shape), others, tuple((tensor.shape, tensor.dtype) for tensor in given))
        found = self._recordings.find(key)
        if found is None:
            found = self._recordings.keep(key, self._recorded(leaves, shape))
        for mine, tensor in zip(found.inputs, given, strict=True):
            mine.copy_(tensor, non_blocking=True)
        found.replay()
        return tuple(tensor.clone() for tensor in found.answer)

    def _recorded(self, leaves: list[Any], shape: Any) -> Recording:
        device = self._network.device
        kept = [leaf.to(device, copy=True) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        arguments, named = tree_unflatten(kept, shape)
        answer, replay = self._record(lambda: self._network(*arguments, **named))
        return Recording(
            inputs=[leaf for leaf in kept if isinstance(leaf, Tensor)], answer=tuple(answer), replay=replay
        )


class _Graphs:
    """Records as CUDA graphs, which share one pool of memory: only one of them plays at a time."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, run: Run) -> tuple[Any, Replay]:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                run()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            answer = run()
        return answer, graph.replay
