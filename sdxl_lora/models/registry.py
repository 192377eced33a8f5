"""Which models there are: the bundled one, two on the hub, and any folder or hub id.

Says what a model is, where it lies and what it wants by default; loads nothing. See `models.loading`.
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sdxl_lora import plain_json
from sdxl_lora.config import Architecture
from sdxl_lora.errors import InputError, ModelUnavailableError, UnknownNameError
from sdxl_lora.models import architecture, capabilities, device, hub, single_file
from sdxl_lora.models.capabilities import Capabilities

BUNDLED = Path(__file__).parents[1] / "assets" / "mini"
STUDIO_FILE = "studio.json"  # in a model's folder: defaults and capabilities
_NEVER_LOADED = ("safety_checker", "feature_extractor", "image_encoder")
_PIPELINE_MULTIPLE = 8  # px; diffusers draws no other sizes, whatever the VAE
_ROOM_FOR_SDXL = 11 * 10**9  # bytes of GPU memory; with its own decoder it peaks at 10.3


@dataclass(frozen=True, kw_only=True)
class ModelDefaults:
    """What a request gets where it says nothing."""

    steps: int = 30
    guidance: float = 5.0
    guidance_end: float = 1.0
    cleanup_timestep: int = 0  # 0 = none
    width: int = 1024  # px
    height: int = 1024  # px
    scheduler: str | None = None  # None = the one in the model's own files


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """One model, known by name, folder or hub id."""

    name: str  # what a request calls it
    source: str  # folder, or hub id
    architecture: Architecture | None  # None = a hub model that is not on this machine yet
    defaults: ModelDefaults
    present: bool  # all weights are on this machine
    capabilities: Capabilities = field(default_factory=Capabilities)  # what can be asked of it
    half_precision_vae: str | None = None  # hub id of a VAE that bears fp16, where its own does not
    bytes: int | None = None  # size of the weights: on disk, or to fetch; None = not known
    quantised: bool = False  # its files hold int8 weights
    licence: str = "see the model's own page"
    folder: Path | None = None  # on this machine, even if weights are missing in it


_HUB_MODELS = {
    "sdxl": ModelInfo(
        name="sdxl",
        source="stabilityai/stable-diffusion-xl-base-1.0",
        architecture="sdxl",
        defaults=ModelDefaults(),
        present=False,
        bytes=7_100_000_000,
        licence="CreativeML Open RAIL++-M: commercial use allowed, with use restrictions",
        capabilities=Capabilities(logo_cues=True),
        half_precision_vae="madebyollin/sdxl-vae-fp16-fix",  # SDXL's own overflows in half precision
    ),
    "sd14": ModelInfo(
        name="sd14",
        source="CompVis/stable-diffusion-v1-4",
        architecture="sd",
        defaults=ModelDefaults(guidance=7.5, width=512, height=512),
        present=False,
        bytes=4_300_000_000,
        licence="CreativeML Open RAIL-M: commercial use allowed, with use restrictions",
    ),
}
_MINI_DEFAULTS = ModelDefaults(
    steps=20, guidance=3.0, guidance_end=0.6, cleanup_timestep=99, width=256, height=256
)
_MINI_CAPABILITIES = {
    "letters": False,
    "people": False,
    "judge": "clip",
}  # of folders that say nothing of them
_MINI_LICENCE = "made by this project, under this project's own licence"
_GUIDANCE: dict[Architecture, float] = {"sd": 7.5, "sdxl": 5.0}
NAMES = ("mini", *_HUB_MODELS)


def mini_folder() -> Path:
    """Where the bundled model lies; `SDXL_LORA_MINI` names another folder."""
    return Path(os.environ.get("SDXL_LORA_MINI") or BUNDLED)


def available() -> list[ModelInfo]:
    """The named models, whether or not their weights are on this machine."""
    return [describe(name) for name in NAMES]


def describe(name: str) -> ModelInfo:
    """What `name` is: "auto", a known name, a folder or a hub id. Never asks the network.

    Raises `UnknownNameError` for a word that is none of these, `InputError` for a folder that is no model.
    """
    if name == "auto":
        return describe(resolve_auto())
    if name == "mini":
        return _describe_mini()
    if name in _HUB_MODELS:
        return _describe_cached(_HUB_MODELS[name])
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _describe_folder(name, folder.resolve())
    if folder.is_file():
        raise InputError(single_file.advice(folder))
    if hub.is_id(name) and not name.startswith((".", "~")):
        unknown = ModelInfo(
            name=name, source=name, architecture=None, defaults=ModelDefaults(), present=False
        )
        return _describe_cached(unknown)
    if "/" in name or os.sep in name:
        raise InputError(f"there is no model folder {name}; check the path")
    raise UnknownNameError("model", name, [*NAMES, "auto"], "(or give a folder or a hub id like owner/model)")


def capabilities_of(name: str) -> Capabilities:
    """What a model can do, or what is usual where it is gone: records outlive the models that made them."""
    try:
        return describe(name).capabilities
    except InputError:
        return Capabilities()


def resolve_auto() -> str:
    """ "sdxl" where a CUDA device has room for it and its weights are here, else "mini"."""
    # SDXL that is loaded by this process must not make room look short
    roomy = device.gpu_memory() >= _ROOM_FOR_SDXL
    return "sdxl" if roomy and describe("sdxl").present else "mini"


def fetch(name: str, progress: hub.Progress | None = None) -> ModelInfo:
    """Makes sure that the weights of `name` are on this machine; downloads them if they are not."""
    info = describe(name)
    if info.present:
        return info
    if info.name == "mini":
        raise ModelUnavailableError(
            f"the bundled model is not in {info.source};"
            " run `python -m sdxl_lora build-mini`, or set SDXL_LORA_MINI"
        )
    if info.folder is not None:
        raise ModelUnavailableError(
            f"the model folder {info.source} lacks safetensors weights; convert or download it again"
        )
    hub.fetch(info.source, progress)
    if info.half_precision_vae is not None:
        hub.fetch(info.half_precision_vae, progress)
    return describe(name)


def _describe_mini() -> ModelInfo:
    folder = mini_folder()
    if not (folder / "model_index.json").is_file():
        return ModelInfo(
            name="mini",
            source=str(folder),
            architecture="sdxl",
            defaults=_MINI_DEFAULTS,
            present=False,
            capabilities=capabilities.read(_MINI_CAPABILITIES),
            licence=_MINI_LICENCE,
        )
    return replace(_describe_folder("mini", folder, _MINI_CAPABILITIES), licence=_MINI_LICENCE)


def _describe_folder(name: str, folder: Path, usual: Mapping[str, Any] | None = None) -> ModelInfo:
    """`usual`: capabilities that hold where the folder's `studio.json` does not say otherwise."""
    facts = architecture.read(folder)
    drawing = [folder / part for part in facts.components if part not in _NEVER_LOADED]
    sizes = [sorted(part.glob("*.safetensors")) for part in drawing]
    defaults = ModelDefaults(guidance=_GUIDANCE[facts.architecture], width=facts.side, height=facts.side)
    own = _studio_file(folder)
    return ModelInfo(
        name=name,
        source=str(folder),
        architecture=facts.architecture,
        defaults=_own_defaults(own, defaults),
        present=all(hub.is_whole(part) for part in drawing),
        capabilities=capabilities.read(
            {"logo_cues": facts.like_sdxl, **(usual or {}), **own.get("capabilities", {})},
            file=folder / STUDIO_FILE,
            multiple=math.lcm(_PIPELINE_MULTIPLE, facts.latent_factor),
            inpainting=facts.inpainting,
        ),
        bytes=sum(file.stat().st_size for files in sizes for file in files),
        quantised=hub.int8_weights(folder / "unet") is not None,
        folder=folder,
    )


def _describe_cached(info: ModelInfo) -> ModelInfo:
    folder = hub.cached_folder(info.source)
    if folder is None:
        return info
    found = _describe_folder(info.name, folder)
    defaults = info.defaults if info.architecture else found.defaults
    return replace(
        found,
        source=info.source,
        defaults=defaults,
        licence=info.licence,
        half_precision_vae=info.half_precision_vae,
    )


def _studio_file(folder: Path) -> dict[str, Any]:
    """What a model's `studio.json` says, if it has one: fields of `ModelDefaults`, and `capabilities`."""
    file = folder / STUDIO_FILE
    if not file.is_file():
        return {}
    try:
        values = plain_json.parse(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{file} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict) or not isinstance(values.get("capabilities", {}), dict):
        raise InputError(f"{file} cannot be read: it, and capabilities in it, must be JSON objects")
    return values


def _own_defaults(own: Mapping[str, Any], defaults: ModelDefaults) -> ModelDefaults:
    known = {key: value for key, value in own.items() if key in ModelDefaults.__dataclass_fields__}
    return replace(defaults, **known)
