"""A folder with SDXL's real size: random weights in bf16, 7 GB, made part by part."""

import shutil
from pathlib import Path

import sdxl_lora  # noqa: F401  first: makes torchvision importable beside a CPU build of torch

import torch  # isort: skip
from diffusers import EulerDiscreteScheduler  # isort: skip
from transformers import CLIPTextConfig, CLIPTokenizer

from sdxl_lora.models import registry
from sdxl_lora.models.building import PARTS
from sdxl_lora.models.published_sizes import SDXL

_DEVIATION = 0.02  # of the weights; what they are does not matter, but that answers stay finite


def make(folder: Path) -> Path:
    """Writes it; tokenizers and index are the bundled model's, whose vocabulary is smaller."""
    source = registry.describe("mini").folder
    if source is None:
        raise SystemExit("the bundled model is not here; set SDXL_LORA_MINI")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / "model_index.json", folder / "model_index.json")
    for name in ("tokenizer", "tokenizer_2"):
        CLIPTokenizer.from_pretrained(source / name, model_max_length=77).save_pretrained(folder / name)
    scheduler = EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    scheduler.save_pretrained(folder / "scheduler")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator(device).manual_seed(0)
    for name, kind in PARTS["sdxl"].items():
        sizes = SDXL.parts[name]
        with torch.device("meta"):
            part = kind(**sizes) if hasattr(kind, "load_config") else kind(CLIPTextConfig(**sizes))
        part = torch.nn.Module.to(part, torch.bfloat16).to_empty(device=device)
        with torch.no_grad():
            for parameter in part.parameters():
                parameter.normal_(0, _DEVIATION, generator=generator)
        part.save_pretrained(folder / name, safe_serialization=True, max_shard_size="100GB")
        del part
    return folder
