"""The child process that converts a network for OpenVINO, and tries it:  python -m ... CONVERSION

Converts the denoising network of one model with its LoRAs merged, compiles it for one size and precision, compares its
answer with torch's, and leaves the compiled network in the cache whole or not at all. If OpenVINO crashes, this process
is what is lost. Ends with 0, or with one line on stderr.
"""

import fcntl
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import sdxl_lora  # noqa: F401  first: makes torchvision importable beside a CPU build of torch

import torch  # isort: skip
from torch import Tensor, nn  # isort: skip

from sdxl_lora.errors import StudioError
from sdxl_lora.models import conversions, latent_space, openvino_runtime
from sdxl_lora.models.conversions import Conversion
from sdxl_lora.models.loading import LoadedModel, ModelConfig, load
from sdxl_lora.request import LoraSpec

_NEAREST = (
    20.0  # dB, signal to noise against torch in fp32; bf16 reaches 44 with mini, less with strong LoRAs
)


class Denoiser(nn.Module):
    """A UNet with tensors alone for arguments, in the order in which `inputs` has them."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        states: Tensor,
        text: Tensor | None = None,
        ids: Tensor | None = None,
    ) -> Tensor:
        added = None if text is None else {"text_embeds": text, "time_ids": ids}
        output: Tensor = self.unet(
            sample, timestep, encoder_hidden_states=states, added_cond_kwargs=added, return_dict=False
        )[0]
        return output


def inputs(model: LoadedModel, width: int, height: int) -> tuple[Tensor, ...]:
    """One of a batch: sample, timestep, text states and, for SDXL, pooled text and size; always the same noise."""
    pipeline = model.engine.pipeline
    factor = latent_space.factor(pipeline.vae.config)
    noise = torch.Generator().manual_seed(0)
    channels = pipeline.unet.config.in_channels
    sample = torch.randn(1, channels, height // factor, width // factor, generator=noise)
    embeddings = model.engine.encode("a picture", "", guided=False)
    found = (sample, torch.tensor(500.0), embeddings["prompt_embeds"].float())
    if model.architecture == "sd":
        return found
    ids = torch.tensor([[float(height), width, 0, 0, height, width]])
    return (*found, embeddings["pooled_prompt_embeds"].float(), ids)


def convert(conversion: Conversion, target: Path) -> None:
    """Writes the compiled network and its facts into `target`. Raises `StudioError`, or what OpenVINO raises."""
    openvino = openvino_runtime.load()
    model = load(
        ModelConfig(
            model=conversion.model,
            loras=tuple(
                LoraSpec(path=path, weight=weight, sha256=sha) for path, weight, sha in conversion.loras
            ),
            precision="fp32",
            device="cpu",
            model_sha256=conversion.model_sha256,
        )
    )
    with model.use() as engine, torch.no_grad():
        denoiser = Denoiser(engine.pipeline.unet).eval()
        example = inputs(model, conversion.width, conversion.height)
        expected = denoiser(*example).numpy()
        network = openvino.convert_model(denoiser, example_input=example)
    # static shapes are half as fast again as open ones; with f32 both fail in OpenVINO 2026.4, by a crash or by NaN
    network.reshape({index: list(tensor.shape) for index, tensor in enumerate(example)})
    settings = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": 1}
    compiled = openvino.Core().compile_model(network, "CPU", settings)
    blob = bytes(compiled.export_model().getvalue())
    # what is tried is what others will read
    answer = openvino_runtime.read(blob, threads=1, streams=1)([tensor.numpy() for tensor in example])[0]
    near = _signal_to_noise(answer, expected)
    if not near >= _NEAREST:
        raise StudioError(f"its answers are {near:.0f} dB from torch's, {_NEAREST:.0f} are needed")
    target.mkdir(parents=True)
    (target / conversions.NETWORK_FILE).write_bytes(blob)
    facts = {
        "shapes": [list(tensor.shape) for tensor in example],
        "signal_to_noise": round(near, 1),
        "model": conversion.model,
        "size": [conversion.width, conversion.height],
    }
    (target / conversions.FACTS_FILE).write_text(json.dumps(facts), encoding="utf-8")


def _signal_to_noise(answer: "np.ndarray[Any, Any]", expected: "np.ndarray[Any, Any]") -> float:
    """In dB; NaN where the answer has no numbers."""
    noise = float(np.mean((answer - expected) ** 2, dtype=np.float64))
    return float(10 * np.log10(np.mean(expected**2, dtype=np.float64) / max(noise, 1e-30)))


def main(text: str) -> int:
    """Converts what `text` describes, unless it is there or another process is converting."""
    os.nice(19)
    conversion = Conversion.from_json(text)
    folder = conversions.cache()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "converting.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        for left in folder.glob("*.part"):  # of a process that ended before its time
            shutil.rmtree(left, ignore_errors=True)
        if conversion.ready:
            return 0
        partial = conversion.folder.with_suffix(".part")
        started = time.perf_counter()
        convert(conversion, partial)
        partial.rename(conversion.folder)
        conversions.clean()
        print(f"converted in {time.perf_counter() - started:.1f} s")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except (StudioError, OSError, RuntimeError, MemoryError) as error:
        sys.exit(" ".join(str(error).split())[:400] or type(error).__name__)
