"""The engine that runs a model's denoising network with its blocks compiled, and on a CUDA GPU recorded as graphs.

The first picture of a size waits for the compiler, a minute or several; what it made is kept on disk, and a later
process only reads it. The compiled blocks are copies that share the weights, so that the plain network stays as it is.
"""

from typing import Any

import torch

from sdxl_lora.models import compiling, pipeline_internals, recorded_network
from sdxl_lora.models.substitute import NetworkFailedError, SubstituteEngine
from sdxl_lora.models.torch_engine import TorchEngine


class CompiledEngine(SubstituteEngine):
    """See `engine.Engine`."""

    kind = "compiled"

    def __init__(self, beside: TorchEngine) -> None:
        network = pipeline_internals.mirror(beside.pipeline.unet)
        compiling.compile_blocks(network, one_size=True)
        self.failure = ""  # why torch draws instead
        device = pipeline_internals.execution_device(beside.pipeline)
        recorded = recorded_network.RecordedNetwork(network) if device.type == "cuda" else network
        super().__init__(beside, Compiled(recorded))

    def failed(self, reason: str) -> None:
        self.failure = reason


class Compiled:
    """A compiled network whose compiler may fail: at its first call, and at the first of every new shape."""

    def __init__(self, network: Any) -> None:
        self._network = network

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Raises `NetworkFailedError`, and what the plain network raises where memory is full."""
        compiling.allow_variants()  # pictures are drawn by threads that come and go
        try:
            return self._network(*arguments, **named)
        except torch.OutOfMemoryError:
            raise
        except (
            RuntimeError,
            OSError,
            ImportError,
        ) as error:  # the compiler's; of a missing C++ compiler, too
            raise NetworkFailedError(" ".join(str(error).split())[:200]) from error
