"""A model's files -> a diffusers pipeline on a device, every part in the precision it bears.

Each part is loaded by itself, in the variant that fits: a file in half precision where half is wanted, the whole one
where more is, and whichever there is where there is only one. Files are mapped into memory; in int8 a part's plain
weights are gone before those of the next come. Safety checkers are never loaded.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput
from safetensors import SafetensorError, safe_open
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from sdxl_lora.config import Architecture, Offload, Precision
from sdxl_lora.errors import ModelUnavailableError
from sdxl_lora.models import hub, int8, int8_file, offloading, registry
from sdxl_lora.models.device import Device
from sdxl_lora.models.precision import compute_dtype
from sdxl_lora.models.quiet import quiet

DRAWING = ("unet", "vae")  # parts that run in the precision asked for, on every device
_STORED = {"F16": torch.float16, "BF16": torch.bfloat16}
_KEPT = ("timestep", "time_ids")  # numbers up to thousands, which bf16 would round
PARTS: dict[Architecture, dict[str, Any]] = {
    "sd": {"unet": UNet2DConditionModel, "vae": AutoencoderKL, "text_encoder": CLIPTextModel},
    "sdxl": {
        "unet": UNet2DConditionModel,
        "vae": AutoencoderKL,
        "text_encoder": CLIPTextModel,
        "text_encoder_2": CLIPTextModelWithProjection,
    },
}


def build(
    info: registry.ModelInfo, folder: Path, device: Device, precision: Precision, offload: Offload = "none"
) -> DiffusionPipeline:
    """The pipeline of a model whose files are in `folder`. Raises `ModelUnavailableError`."""
    assert info.architecture is not None  # its files are here
    half = compute_dtype(precision, device)
    # on processors text encoders stay in fp32, they run once; a decoder in bf16 takes a quarter of the time, and the
    # picture stays as near to fp32's as the UNet in bf16 has left it (PSNR in `benchmarks/generation.py`)
    rest = torch.float32 if device == "cpu" else half
    try:
        with quiet():
            parts = {}
            for name, kind in PARTS[info.architecture].items():
                dtype = half if name in DRAWING else rest
                parts[name] = _part(kind, folder_of(name, info, folder, half), dtype, precision)
            pipeline = _assembled(info.architecture, folder, parts)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise unavailable(info, folder, error) from error
    pipeline.set_progress_bar_config(disable=True)
    if decodes_in_single(info.architecture, pipeline.vae):
        pipeline.vae.to(torch.float32)  # what diffusers would do at every decode
    if half != torch.float32:
        # a third less time in convolutions; in fp32 pictures stay bit for bit the stock pipeline's
        pipeline.unet.to(memory_format=torch.channels_last)
        pipeline.vae.to(memory_format=torch.channels_last)
    if half != rest:
        cast_unet_io(pipeline.unet, half, rest)
    offloading.switch_on(pipeline, offload, device)
    return pipeline


def unavailable(info: registry.ModelInfo, folder: Path, error: Exception) -> ModelUnavailableError:
    """Why a model's files cannot be loaded: the weights below `folder` that are damaged, or what was said."""
    name = info.name if info.name == str(folder) else f"{info.name}, in {folder},"
    for file in sorted(folder.rglob("*.safetensors")):
        try:
            with safe_open(file, framework="pt"):
                pass
        except (OSError, SafetensorError):
            what = f"{file.relative_to(folder)} is damaged or incomplete; fetch or convert it again"
            return ModelUnavailableError(f"{name} cannot be loaded: {what}")
    reason = " ".join(str(error).split())[:200]
    return ModelUnavailableError(f"{name} cannot be loaded: {reason}")


def decodes_in_single(architecture: Architecture, vae: AutoencoderKL) -> bool:
    """Whether a VAE in fp16 must decode in fp32: SDXL's, unless its files deny it. Those of SD 1.x never overflow."""
    return architecture == "sdxl" and vae.dtype == torch.float16 and bool(vae.config.force_upcast)


def variant_of(folder: Path, dtype: torch.dtype) -> str | None:
    """Which weights in a part's folder to read: "fp16", or None = those without a variant in their names."""
    names = [file.name for file in folder.glob("*.safetensors")]
    half = any(".fp16" in name for name in names)
    whole = any(".fp16" not in name for name in names)
    return "fp16" if half and (dtype == torch.float16 or not whole) else None


def quantised(kind: Any, folder: Path) -> Any:
    """The part in int8, from plain weights in the precision that its file has. Raises `OSError`, `ValueError`."""
    part = _plain(kind, folder, _stored_dtype(folder))
    int8.quantise_layers(part)
    return part


def folder_of(name: str, info: registry.ModelInfo, folder: Path, half: torch.dtype) -> Path:
    """Where a part is read from: in fp16 another VAE, where the model's own does not bear it."""
    if name == "vae" and half == torch.float16 and info.half_precision_vae is not None:
        return hub.cached_component(info.half_precision_vae) or folder / name
    return folder / name


def _part(kind: Any, folder: Path, dtype: torch.dtype, precision: Precision) -> Any:
    if hub.int8_weights(folder):
        return int8_file.load(kind, folder, dtype)
    if precision == "int8":
        # as torch does it: diffusers' own `to` warns that it knows of nothing to be kept in fp32
        return torch.nn.Module.to(quantised(kind, folder), dtype)
    return _plain(kind, folder, dtype)


def _plain(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    return kind.from_pretrained(
        folder, dtype=dtype, variant=variant_of(folder, dtype), use_safetensors=True, local_files_only=True
    )


def _stored_dtype(folder: Path) -> torch.dtype:
    """Of a part's weights in the file; fp32 where there are several kinds. Raises `OSError`, `SafetensorError`."""
    variant = variant_of(folder, torch.float32)
    files = [file for file in sorted(folder.glob("*.safetensors")) if (".fp16" in file.name) == bool(variant)]
    with safe_open(files[0], framework="pt") as file:
        found = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    return _STORED.get(found.pop(), torch.float32) if len(found) == 1 else torch.float32


def _assembled(architecture: Architecture, folder: Path, parts: dict[str, Any]) -> DiffusionPipeline:
    if architecture == "sdxl":
        return StableDiffusionXLPipeline.from_pretrained(
            folder, **parts, add_watermarker=False, local_files_only=True
        )
    return StableDiffusionPipeline.from_pretrained(
        folder,
        **parts,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
        local_files_only=True,
    )


def cast_unet_io(unet: torch.nn.Module, inside: torch.dtype, outside: torch.dtype) -> None:
    """Lets a UNet in `inside` precision be called with, and answer in, `outside` precision.

    Latents and the scheduler's arithmetic so stay in single precision, which costs nothing at their size.
    """

    def cast(value: Any, dtype: torch.dtype) -> Any:
        if isinstance(value, torch.Tensor):
            return value.to(dtype) if value.is_floating_point() else value
        if isinstance(value, tuple):
            return tuple(cast(item, dtype) for item in value)
        if isinstance(value, UNet2DConditionOutput):
            return UNet2DConditionOutput(sample=cast(value.sample, dtype))
        if isinstance(value, dict):
            return {key: item if key in _KEPT else cast(item, dtype) for key, item in value.items()}
        return value

    def before(_: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        sample, *rest = args
        time, others = tuple(rest[:1]), tuple(rest[1:])  # the timestep is second in line
        return (cast(sample, inside), *time, *cast(others, inside)), cast(kwargs, inside)

    def after(_: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        return cast(output, outside)

    unet.register_forward_pre_hook(before, with_kwargs=True)
    unet.register_forward_hook(after, with_kwargs=True)
