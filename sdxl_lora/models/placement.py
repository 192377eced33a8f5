"""A frozen network on the fastest device there is, and on the processor once that device's memory is full.

For networks that measure pictures: they share a GPU with the model that draws, and must never stop it.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from sdxl_lora.models.device import choose_device


class Placed:
    """A network in single precision and where it runs. Not safe to call from several threads at once."""

    def __init__(self, network: Any, device: str | torch.device | None = None) -> None:
        """`device`: None = the fastest there is."""
        self.device = torch.device(choose_device() if device is None else device)
        self.network = network.eval()
        try:
            self.network.to(self.device)
        except torch.OutOfMemoryError:
            self._leave()

    def run(self, forward: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """`forward(network, *inputs)` without gradients, on the CPU; the inputs are brought to the network.

        Done again on the processor where the device's memory did not suffice.
        """
        try:
            with torch.inference_mode(), _whole_single_precision(self.device):
                return forward(self.network, *(tensor.to(self.device) for tensor in inputs)).cpu()
        except torch.OutOfMemoryError:
            if self.device.type == "cpu":
                raise
            self._leave()
        return self.run(forward, *inputs)

    def _leave(self) -> None:
        self.network.to("cpu")
        self.device = torch.device("cpu")
        torch.cuda.empty_cache()  # what it held there is free for the model that draws


def _whole_single_precision(device: torch.device) -> Any:
    """Convolutions on CUDA round to TF32 unless told not to; features must not depend on the device that much."""
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
