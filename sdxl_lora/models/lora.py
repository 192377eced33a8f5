"""LoRA files: found, checked against the model before anything is loaded, put on and taken off.

Reads the layouts of diffusers, peft and kohya (AUTOMATIC1111, ComfyUI), which diffusers converts. The base
weights are never changed, so a model without its LoRAs is bit for bit what it was.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import DiffusionPipeline
from safetensors import SafetensorError, safe_open

from sdxl_lora.errors import InputError, LoraError
from sdxl_lora.models import hub
from sdxl_lora.models.quiet import quiet
from sdxl_lora.request import LoraSpec

STANDARD_NAME = "pytorch_lora_weights.safetensors"
_UNSAFE = (".ckpt", ".bin", ".pt", ".pth", ".pkl")
# the matrix that takes text features in: its width is the text width of the architecture
_TEXT_INPUT = re.compile(r"attn2[._](?:processor\.)?to_[kv][._].*?(?:lora_A|down)\.(?:default\.)?weight$")
_SECOND_ENCODER = ("text_encoder_2.", "lora_te2_")
_TEXT_WIDTHS = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x", 2048: "SDXL"}


@dataclass(frozen=True, kw_only=True)
class LoraFile:
    """One LoRA file, known by its header alone."""

    path: Path
    text_width: (
        int | None
    )  # features of the text condition it was trained with; None = it does not touch them
    second_encoder: bool  # trains SDXL's second text encoder


def find(spec: LoraSpec) -> Path:
    """The file a spec means: a file, a folder with one, or a hub id (optionally `owner/name/file`)."""
    path = Path(spec.path).expanduser()
    if path.is_dir():
        files = sorted(path.glob("*.safetensors"))
        if path / STANDARD_NAME in files:
            return path / STANDARD_NAME
        if len(files) != 1:
            held = ", ".join(file.name for file in files) or "no .safetensors file"
            raise LoraError(f"the LoRA folder {spec.path} holds {held}; name one file")
        return files[0]
    if path.suffix in _UNSAFE:
        raise LoraError(
            f"{spec.path} is not a .safetensors file; other formats can run code, convert it first"
        )
    if path.is_file():
        return path
    owner, _, rest = spec.path.partition("/")
    name, _, filename = rest.partition("/")
    if hub.is_id(f"{owner}/{name}") and (not filename or filename.endswith(".safetensors")):
        return hub.fetch_file(f"{owner}/{name}", filename or STANDARD_NAME)
    raise LoraError(f"there is no LoRA at {spec.path}; give a .safetensors file, a folder or a hub id")


def inspect(path: Path) -> LoraFile:
    """Reads the header of a LoRA file. Raises `LoraError` if it is none."""
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise LoraError(
            f"{path} cannot be read as safetensors; the file is damaged or of another kind"
        ) from error
    if any(".hada_" in key or ".lokr_" in key for key in shapes):
        raise LoraError(f"{path} is a LyCORIS file (LoHa or LoKr); only LoRA is supported")
    if not any("lora" in key for key in shapes):
        raise LoraError(f"{path} holds no LoRA; is it a whole model?")
    widths = {shape[1] for key, shape in shapes.items() if len(shape) >= 2 and _TEXT_INPUT.search(key)}
    return LoraFile(
        path=path,
        text_width=max(widths) if widths else None,
        second_encoder=any(key.startswith(_SECOND_ENCODER) for key in shapes),
    )


def check(specs: Sequence[LoraSpec], pipeline: DiffusionPipeline, model: str) -> dict[LoraSpec, Path]:
    """The files of `specs`, each fitting the model. Raises `LoraError`; changes nothing."""
    paths = [find(spec) for spec in specs]
    twice = [path.name for path, times in Counter(path.resolve() for path in paths).items() if times > 1]
    if twice:
        raise LoraError(f"LoRA {twice[0]} is given twice; give it once, with the sum of the weights")
    for path in paths:
        _check_fit(inspect(path), pipeline, model)
    return dict(zip(specs, paths, strict=True))


def put_on(files: Mapping[LoraSpec, Path], pipeline: DiffusionPipeline) -> None:
    """Loads the checked files with their weights; one of weight 0 is left off. On failure none stays on."""
    active = {spec: path for spec, path in files.items() if spec.weight != 0}
    names = [f"lora{index}" for index in range(len(active))]
    try:
        for name, path in zip(names, active.values(), strict=True):
            _put_on_one(path, pipeline, name)
        if names:
            pipeline.set_adapters(names, [spec.weight for spec in active])
    except InputError:
        pipeline.unload_lora_weights()
        raise


def take_off(pipeline: DiffusionPipeline) -> None:
    """Removes all LoRAs; the model is bit for bit what it was without them."""
    pipeline.unload_lora_weights()


def _check_fit(file: LoraFile, pipeline: DiffusionPipeline, model: str) -> None:
    width = int(pipeline.unet.config.cross_attention_dim)
    has_second = getattr(pipeline, "text_encoder_2", None) is not None
    if file.text_width not in (None, width) or (file.second_encoder and not has_second):
        theirs = _name_of(file.text_width, "SDXL" if file.second_encoder else "another model")
        ours = _name_of(width, "SDXL" if has_second else "Stable Diffusion")
        raise LoraError(
            f"LoRA {file.path.name} is for {theirs}, but {model} is {ours}; use one trained on it"
        )


def _name_of(text_width: int | None, otherwise: str) -> str:
    if text_width is None:
        return otherwise
    return f"{_TEXT_WIDTHS.get(text_width, otherwise)} (text width {text_width})"


def _put_on_one(path: Path, pipeline: DiffusionPipeline, name: str) -> None:
    state = _read(path)
    try:
        with quiet():
            pipeline.load_lora_weights(state, adapter_name=name)
    except (ValueError, RuntimeError, KeyError, IndexError) as error:
        reason = " ".join(str(error).split())[:160]
        raise LoraError(f"LoRA {path.name} does not fit this model: {reason}") from error
    loaded = {adapter for adapters in pipeline.get_list_adapters().values() for adapter in adapters}
    if name not in loaded:
        raise LoraError(
            f"LoRA {path.name} changes no layer of this model; it was made for another architecture"
        )


def _read(path: Path) -> dict[str, torch.Tensor]:
    with safe_open(path, framework="pt") as file:
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    if not all(torch.isfinite(tensor).all() for tensor in state.values()):
        raise LoraError(f"LoRA {path.name} contains NaN or infinite numbers; its training went wrong")
    return state
