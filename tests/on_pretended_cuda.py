"""What the studio does on a pretended CUDA device, as JSON on stdout; a process of its own, see `pretend_cuda`.

python -m tests.on_pretended_cuda LIBRARY few MODEL PICTURES CLIP FOLDER
python -m tests.on_pretended_cuda LIBRARY all MODEL PICTURES CLIP FOLDER
python -m tests.on_pretended_cuda LIBRARY real MODEL PICTURES FOLDER
"""

# ruff: noqa: E402, I001
import json
import sys
from pathlib import Path

from tests import pretend_guard

pretend_guard.load(Path(sys.argv[1]))  # before torch

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import sdxl_lora  # noqa: F401  first: makes torchvision importable beside a CPU build of torch

import torch
from accelerate.state import AcceleratorState
from PIL import Image

from sdxl_lora.generation import PictureDone, StepDone, generate, resolve
from sdxl_lora.models.loading import ModelConfig, load, unload
from sdxl_lora.models.torch_engine import TorchEngine
from sdxl_lora.request import GenerationRequest
from sdxl_lora.training import base_model, loop, setup
from sdxl_lora.training.config import TrainingConfig
from sdxl_lora.training.events import Started, StepRecord
from tests import pretend_cuda
from tests.pretend_cuda import Device

FEW = 2  # the first of these alone
TRIES = 4  # of a run whose threads were told another's device
DRAWN: dict[str, dict[str, Any]] = {
    "fp16": {"precision": "fp16", "count": 2},
    "bf16, guidance ends early": {"precision": "bf16", "guidance_end": 0.5},
    "fp32": {"precision": "fp32"},
    "int8": {"precision": "int8"},
    "a cached step": {"precision": "fp16", "cache_interval": 2},
    "a finished sketch": {"precision": "fp16", "sketch_steps": 2},
}
TRAINED: dict[str, dict[str, Any]] = {
    "bf16": {},
    "fp16, checkpointing": {"mixed_precision": "fp16", "gradient_checkpointing": True},
    "fp32, convolutions": {"mixed_precision": "no", "lora_target": "attention+conv"},
    "int8": {"base_precision": "int8"},
    "accumulated, validated": {"gradient_accumulation_steps": 2, "validation_prompt": "a top"},
    "text encoders": {"train_text_encoder": True},
}


def drawing(device: Device, model: str, **fields: Any) -> dict[str, Any]:
    """Pictures of one request: waits of the thread that denoises, launches a step."""
    unload()
    wish = GenerationRequest(prompt="a navy jacket", model=model, steps=4, seed=1, guidance=5.0, **fields)
    request = resolve(wish)
    waits: Counter[str] = Counter()
    denoise = TorchEngine.denoise

    def counted(engine: TorchEngine, *arguments: Any) -> Any:
        device.reset()
        try:
            return denoise(engine, *arguments)
        finally:
            waits.update({where: n for where, n in device.waits.items() if where.startswith("picture")})

    TorchEngine.denoise = counted  # type: ignore[method-assign,assignment]
    try:
        events = list(generate(load(ModelConfig.of(request)), request))
    finally:
        TorchEngine.denoise = denoise  # type: ignore[method-assign]
    pictures = [event for event in events if isinstance(event, PictureDone)]
    previews = [event for event in events if isinstance(event, StepDone) and event.preview]
    return {"waits": waits, "pictures": len(pictures), "previews": len(previews)}


def training(device: Device, model: str, pictures: str, folder: Path, **changes: Any) -> dict[str, Any]:
    """A run: waits in its second update, and what the device held while the caches were filled and after."""
    values: dict[str, Any] = {
        "pretrained_model_name_or_path": model,
        "train_data_dir": pictures,
        "output_dir": str(folder / "run"),
        "training_cache_dir": str(folder / "cache"),
        "train_batch_size": 2,
        "max_train_steps": 3,
        "seed": 1,
        "report_to": "none",
    }
    AcceleratorState._reset_state(reset_partial_state=True)
    prepared = setup.prepare(TrainingConfig(**{**values, **changes}), lambda text: None)
    device.reset()
    waits: dict[str, int] = {}
    caching = launches = peak = 0
    kinds = []
    for event in loop.train(prepared):
        kinds.append(type(event).__name__)
        if isinstance(event, Started):
            caching = device.peak
        else:
            peak = max(peak, device.peak)
        if isinstance(event, StepRecord) and event.step == 2:
            waits = {where: n for where, n in device.waits.items() if where.startswith("MainThread")}
            launches = device.launches
        if isinstance(event, Started | StepRecord):
            device.reset()
    return {"waits": waits, "launches": launches, "caching": caching, "training": peak, "events": kinds}


def scoring(clip: str) -> dict[str, Any]:
    """The scorer's network is on the device, and its scores come back."""
    from sdxl_lora.scoring.clip import ClipScorer

    scorer = ClipScorer(clip)
    picture = Image.radial_gradient("L").convert("RGB")
    return {"scores": len(scorer.score([picture, picture], ["a", "b"]))}


def real_size(kind: Any, folder: Path, variant: str | None, dtype: torch.dtype) -> Any:
    """A part as its configuration says, without files: on the device it is only sizes, of `dtype` from the start."""
    torch.set_default_dtype(dtype)
    try:
        with torch.device("cuda"):
            if hasattr(kind, "load_config"):
                part = kind.from_config(kind.load_config(folder))
            else:
                part = kind(kind.config_class.from_pretrained(folder))
    finally:
        torch.set_default_dtype(torch.float32)
    return torch.nn.Module.to(part, dtype).requires_grad_(False).eval()


def _tried(run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `run` found, or how it failed.

    While one thread computes, a fake tensor tells every other one that it is on "meta" (torch's flag for it belongs to
    the mode, not to the thread): such a mismatch is the double's own, and is tried again.
    """
    for attempt in range(TRIES):
        try:
            return run()
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            failed = f"{type(error).__name__}: {error}"[:500]
            if "and meta" not in failed or attempt == TRIES - 1:
                return {"failed": failed}
    raise AssertionError("unreachable")


def main() -> None:
    what, model, pictures, *rest = sys.argv[2:]
    found: dict[str, Any] = {}
    with pretend_cuda.pretended() as device:
        if what == "real":
            base_model._load = real_size
            changes = {"train_batch_size": 1, "resolution": 1024, "max_train_steps": 1}
            found["training"] = training(device, model, pictures, Path(rest[0]), **changes)
        else:
            clip, folder = rest
            few = what == "few"
            for name, fields in list(DRAWN.items())[: FEW if few else None]:
                found[f"draw {name}"] = _tried(partial(drawing, device, model, **fields))
            for name, fields in list(TRAINED.items())[: 1 if few else None]:
                place = Path(folder) / name.replace(" ", "-")
                found[f"train {name}"] = _tried(partial(training, device, model, pictures, place, **fields))
            found["score"] = _tried(lambda: scoring(clip))
    print("FOUND " + json.dumps(found))


if __name__ == "__main__":
    main()
