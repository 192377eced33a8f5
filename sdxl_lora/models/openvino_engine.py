"""The engine that runs a model's denoising network with OpenVINO, and all else with torch.

Only the network is worth it: text is encoded once per prompt and remembered, and a decoder in bf16 is no slower in
torch. The two halves of a guided step run at once, each alone on its stream, so that one picture keeps two cores busy,
and is the same whether it is drawn alone or beside others. A network that fails while it runs is not used again; the
picture is drawn anew with torch.
"""

import threading
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sdxl_lora import config
from sdxl_lora.models import conversions, openvino_runtime
from sdxl_lora.models.conversions import Conversion
from sdxl_lora.models.engine import LARGE, Embeddings
from sdxl_lora.models.substitute import NetworkFailedError, SubstituteEngine
from sdxl_lora.models.torch_engine import TorchEngine


class Network:
    """Stands in a pipeline for its UNet: called as that, answered by OpenVINO; all else is the UNet's."""

    def __init__(self, unet: torch.nn.Module, compiled: Any) -> None:
        self._unet = unet
        self._compiled = compiled
        self._idle: list[Any] = []  # requests that nobody waits for
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unet, name)

    def __call__(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        added_cond_kwargs: dict[str, Tensor] | None = None,
        **_: Any,
    ) -> tuple[Tensor]:
        """The prediction for a batch (NCHW), each of it by a request of its own. Raises `NetworkFailedError`."""
        batched = [sample, encoder_hidden_states]
        if added_cond_kwargs:
            batched += [added_cond_kwargs["text_embeds"], added_cond_kwargs["time_ids"]]
        time = np.asarray(float(timestep), np.float32)
        arrays = [tensor.float().contiguous().numpy() for tensor in batched]
        values = [[array[index : index + 1] for array in arrays] for index in range(len(sample))]
        try:
            requests = [self._request() for _ in values]
            for request, (first, *others) in zip(requests, values, strict=True):
                request.start_async([first, time, *others], share_inputs=True)
            for request in requests:
                request.wait()
            answers = [torch.from_numpy(request.get_output_tensor(0).data.copy()) for request in requests]
        except RuntimeError as error:
            raise NetworkFailedError(" ".join(str(error).split())[:200]) from error
        with self._lock:
            self._idle += requests
        return (torch.cat(answers),)

    def _request(self) -> Any:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._compiled.create_infer_request()


class OpenVINOEngine(SubstituteEngine):
    """See `engine.Engine`. Shares the pipeline, its text encoders and its decoder with a `TorchEngine`."""

    kind = "openvino"

    def __init__(self, beside: TorchEngine, conversion: Conversion) -> None:
        """Reads a conversion that is ready. Raises `OSError`, `ValueError`, `RuntimeError` where it cannot be used."""
        self._conversion = conversion
        self._shapes = conversion.facts()["shapes"]
        cores = config.cores()
        small = beside.parameters < LARGE
        blob = (conversion.folder / conversions.NETWORK_FILE).read_bytes()
        compiled = openvino_runtime.read(blob, threads=cores, streams=cores if small else min(cores, 2))
        super().__init__(beside, Network(beside.pipeline.unet, compiled))

    def takes(self, embeddings: Embeddings) -> bool:
        """Whether it was converted for prompts as long as this one."""
        return self.name == self.kind and embeddings["prompt_embeds"].shape[1] == self._shapes[2][1]

    def failed(self, reason: str) -> None:
        self._conversion.fail(reason)
