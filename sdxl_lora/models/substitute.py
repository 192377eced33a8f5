"""An engine that draws with another form of the model's denoising network, and with torch's own once that has failed.

The picture in which it fails is drawn anew from its noise, so that nothing of the failed attempt is in it.
"""

import copy
import logging
from collections.abc import Callable
from typing import Any

from diffusers import DiffusionPipeline
from torch import Tensor

from sdxl_lora.config import EngineName
from sdxl_lora.models.engine import DenoisedStep, Denoising, Embeddings
from sdxl_lora.models.torch_engine import TorchEngine

log = logging.getLogger(__name__)


class NetworkFailedError(RuntimeError):
    """The other network gave no answer; caught by the engine, which draws with torch then."""


class SubstituteEngine(TorchEngine):
    """See `engine.Engine`. Shares the pipeline, its text encoders and its decoder with a `TorchEngine`."""

    kind: EngineName  # its name while the other network works

    def __init__(self, beside: TorchEngine, network: Any) -> None:
        """`network`: called as the UNet; raises `NetworkFailedError`."""
        super().__init__(beside.pipeline, beside.capabilities)
        self._beside = beside
        self._network: Any | None = network

    @property
    def name(self) -> EngineName:
        return "torch" if self._network is None else self.kind

    def failed(self, reason: str) -> None:
        """To be remembered: the other network is not used again."""

    def denoise(
        self, embeddings: Embeddings, way: Denoising, on_step: Callable[[DenoisedStep], bool]
    ) -> Tensor:
        noise, scheduler = way.generator.get_state(), copy.deepcopy(way.scheduler)
        try:
            return super().denoise(embeddings, way, on_step)
        except NetworkFailedError as error:
            self._network = None
            self.failed(str(error))
            log.warning("%s failed, torch draws instead: %s", self.kind, error)
            way.generator.set_state(noise)
            vars(way.scheduler).clear()
            vars(way.scheduler).update(vars(scheduler))
            return super().denoise(embeddings, way, on_step)

    def preview(self, latents: Tensor, size: tuple[int, int]) -> Any:
        return self._beside.preview(latents, size)  # it has fitted its map already

    def _network_of(self, pipeline: DiffusionPipeline) -> Any:
        return super()._network_of(pipeline) if self._network is None else self._network
