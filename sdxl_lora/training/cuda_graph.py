"""`--cuda_graphs`: forward and backward pass of a batch as one launch on a CUDA GPU.

An update of SDXL's LoRA starts thousands of kernels, which takes a processor longer than a GPU needs for a small batch.
Recorded once for every shape of batch and played again, they start as one. What is recorded reads its inputs from, and
writes its losses and gradients to, the same memory every time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter

from sdxl_lora.training.prefetch import StepInputs

_WARM_UP = 3  # passes before recording: libraries choose their kernels and take their workspaces
_GRAPHS = 16  # shapes that are recorded; batches of further shapes run as usual

Backward = Callable[
    [StepInputs, Tensor], Tensor
]  # (inputs, weight of their mean loss) -> losses; leaves gradients


@dataclass(frozen=True, kw_only=True)
class _Recorded:
    graph: torch.cuda.CUDAGraph
    inputs: StepInputs
    weight: Tensor
    losses: Tensor
    gradients: Sequence[Tensor | None]  # one per parameter


class GraphedBackward:
    """`backward` by CUDA graphs. `parameters` are those whose `grad` it leaves; they have none when it is called."""

    def __init__(self, backward: Backward, parameters: Sequence[Parameter]) -> None:
        self._backward, self._parameters = backward, parameters
        self._recorded: dict[tuple[object, ...], _Recorded] = {}
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, inputs: StepInputs, weight: Tensor) -> Tensor:
        """Losses of the pictures, B. Regularisation pictures are computed as usual."""
        key = tuple((tensor.shape, tensor.dtype) for tensor in inputs.tensors())
        if key not in self._recorded:
            if any(inputs.batch.regular) or len(self._recorded) >= _GRAPHS:
                return self._backward(inputs, weight)
            self._recorded[key] = self._record(inputs, weight)
        recorded = self._recorded[key]
        for mine, given in zip(recorded.inputs.tensors(), inputs.tensors(), strict=True):
            mine.copy_(given, non_blocking=True)
        recorded.weight.copy_(weight, non_blocking=True)
        recorded.graph.replay()
        for parameter, gradient in zip(self._parameters, recorded.gradients, strict=True):
            parameter.grad = gradient
        return recorded.losses.clone()

    def _record(self, inputs: StepInputs, weight: Tensor) -> _Recorded:
        kept, kept_weight = inputs.map(Tensor.clone), weight.clone()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                self._backward(kept, kept_weight)
                self._forget()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            losses = self._backward(kept, kept_weight)
        gradients = [parameter.grad for parameter in self._parameters]
        self._forget()
        return _Recorded(graph=graph, inputs=kept, weight=kept_weight, losses=losses, gradients=gradients)

    def _forget(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None
