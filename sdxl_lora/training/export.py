"""The LoRA as files that load everywhere: both layouts, metadata, model card, configuration, versions.

Nothing in the weights' files depends on the clock but their date, so that equal runs of a day give equal files.
Metadata follow modelspec (github.com/Stability-AI/ModelSpec, 1.0.0) and the `ss_` entries of sd-scripts that other
programs read.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from torch import Tensor

import sdxl_lora
from sdxl_lora.config import Architecture
from sdxl_lora.models import tensor_file
from sdxl_lora.models.layouts import to_kohya
from sdxl_lora.models.lora_conversion import LAYERS_KEY
from sdxl_lora.training.config import TrainingConfig

DIFFUSERS_NAME = "pytorch_lora_weights.safetensors"
KOHYA_NAME = "pytorch_lora_weights_kohya.safetensors"
_HASH = "modelspec.hash_sha256"
_MOST_TAGS = 1000  # a header is read by every program that lists the file
_PACKAGES = ("torch", "diffusers", "transformers", "peft", "accelerate", "safetensors")
_ARCHITECTURES: dict[Architecture, str] = {
    "sd": "stable-diffusion-v1/lora",
    "sdxl": "stable-diffusion-xl-v1-base/lora",
}
_BASE_VERSIONS: dict[Architecture, str] = {"sd": "sd_v1", "sdxl": "sdxl_base_v1-0"}


@dataclass(frozen=True, kw_only=True)
class LoraFacts:
    """What is said about a LoRA wherever it goes."""

    title: str
    architecture: Architecture
    base_model: str
    dataset: str
    licence: str | None  # of the data set
    pictures: int
    resolution: int  # px
    rank: int
    alpha: float
    prediction_type: str
    layers_per_block: int  # of the UNet; names the modules of SDXL's kohya layout
    seed: int
    step: int
    trigger_words: str | None = None
    tags: Mapping[str, int] = field(default_factory=dict)  # part of captions -> pictures that have it


def write_lora(
    folder: Path, state: Mapping[str, Tensor], adapter: Mapping[str, Any], facts: LoraFacts
) -> None:
    """Writes both layouts. `state`: diffusers layout; `adapter`: peft's configuration, prefixed by part."""
    header = metadata(facts)
    plain = {key: value.contiguous() for key, value in state.items()}
    diffusers_header = {**header, "lora_adapter_metadata": json.dumps(dict(adapter), sort_keys=True)}
    tensor_file.write(folder / DIFFUSERS_NAME, plain, {"format": "pt", **diffusers_header}, hashed_as=_HASH)
    alphas = {key.rsplit(".lora_A", 1)[0]: facts.alpha for key in plain if ".lora_A" in key}
    kohya = to_kohya(plain, alphas, facts.architecture, facts.layers_per_block)
    tensor_file.write(folder / KOHYA_NAME, kohya, {"format": "pt", **header}, hashed_as=_HASH)


def public_name(name: str) -> str:
    """A hub id or a name as it is; of a local path only the last part: files travel, and paths tell about people."""
    path = Path(name).expanduser()
    return path.resolve().name if path.is_absolute() or path.exists() else name


def metadata(facts: LoraFacts) -> dict[str, str]:
    """The header of the weights' files, but for what differs between them."""
    header = {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": _ARCHITECTURES[facts.architecture],
        "modelspec.implementation": "diffusers",
        "modelspec.title": facts.title,
        "modelspec.resolution": f"{facts.resolution}x{facts.resolution}",
        "modelspec.prediction_type": "v" if facts.prediction_type == "v_prediction" else "epsilon",
        "modelspec.date": datetime.now(UTC).date().isoformat(),
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(facts.rank),
        "ss_network_alpha": str(facts.alpha),
        "ss_base_model_version": _BASE_VERSIONS[facts.architecture],
        "ss_sd_model_name": facts.base_model,
        "ss_resolution": f"({facts.resolution}, {facts.resolution})",
        "ss_num_train_images": str(facts.pictures),
        "ss_steps": str(facts.step),
        "ss_seed": str(facts.seed),
        "ss_dataset_name": facts.dataset,
        "ss_output_name": facts.title,
        "ss_tag_frequency": json.dumps({facts.dataset: dict(facts.tags)}, ensure_ascii=False),
        LAYERS_KEY: str(facts.layers_per_block),
    }
    if facts.trigger_words:
        header["modelspec.trigger_phrase"] = facts.trigger_words
    if facts.licence:
        header["modelspec.license"] = f"trained on data under {facts.licence}"
    return header


def tag_frequency(captions: Iterable[Sequence[str]]) -> dict[str, int]:
    """How many pictures have each comma-separated part of their captions, the most frequent first."""
    counted = Counter(
        tag
        for own in captions
        for tag in dict.fromkeys(part.strip() for caption in own for part in caption.split(","))
        if tag
    )
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:_MOST_TAGS])


def write_notes(folder: Path, config: TrainingConfig, facts: LoraFacts, sample: str | None) -> None:
    """Writes the model card, the configuration and the versions. `sample`: file name of a sample sheet."""
    (folder / "README.md").write_text(model_card(config, facts, sample), encoding="utf-8")
    settings = {key: value for key, value in asdict(config).items() if key != "hub_token"}
    settings["seed"] = facts.seed
    (folder / "config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")
    (folder / "versions.json").write_text(json.dumps(versions(), indent=2), encoding="utf-8")


def versions() -> dict[str, str]:
    """Versions of this project and what it trains with."""
    found = {"sdxl_lora": sdxl_lora.__version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def model_card(config: TrainingConfig, facts: LoraFacts, sample: str | None) -> str:
    """The README of a LoRA, with the hub's header."""
    model = "StableDiffusionXLPipeline" if facts.architecture == "sdxl" else "StableDiffusionPipeline"
    kind = "stable-diffusion-xl" if facts.architecture == "sdxl" else "stable-diffusion"
    licence = (
        f"The data set is licensed under **{facts.licence}**; what was trained on it may be used within that licence."
        if facts.licence
        else "The data set states no licence; make sure that you may use it."
    )
    trigger = f"\nTrigger words: `{facts.trigger_words}`\n" if facts.trigger_words else ""
    picture = f"\n![samples]({sample})\n" if sample else ""
    return f"""---
base_model: {facts.base_model}
library_name: diffusers
tags: [lora, {kind}, text-to-image, diffusers]
---
# {facts.title}

A LoRA (rank {facts.rank}, alpha {facts.alpha:g}) for `{facts.base_model}`, trained for {facts.step} updates on
{facts.pictures} pictures of `{facts.dataset}` at {facts.resolution} px.
{trigger}{picture}
## Licence
{licence}

## Use
```python
from diffusers import {model}

pipeline = {model}.from_pretrained("{facts.base_model}")
pipeline.load_lora_weights("FOLDER_OF_THIS_FILE", weight_name="{DIFFUSERS_NAME}")
```
ComfyUI, AUTOMATIC1111 and others: `{KOHYA_NAME}`.

## Training
Learning rate {config.learning_rate:g} ({config.lr_scheduler}), batch {config.train_batch_size} x
{config.gradient_accumulation_steps}, seed {facts.seed}; everything in `config.json`, versions in `versions.json`.
"""
