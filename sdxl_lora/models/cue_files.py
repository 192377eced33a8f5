"""The networks that show a logo to a model while it draws: where their files are, whether they fit, which contents.

A ControlNet (arXiv 2302.05543) follows edges; an IP-Adapter (arXiv 2308.06721) with its CLIP image encoder takes over
looks. Each is a folder or a hub id, an IP-Adapter also one file in one of them. Only safetensors are read: the older
formats can run code when opened. Weights are not loaded here, see `cues`.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open

from sdxl_lora import plain_json
from sdxl_lora.errors import InputError, ModelUnavailableError
from sdxl_lora.models import hub, identity

# OpenRAIL: commercial use allowed, with restrictions
CONTROLNET: Final = "diffusers/controlnet-canny-sdxl-1.0"
IP_ADAPTER: Final = "h94/IP-Adapter"  # Apache-2.0
_USUAL_ADAPTER: Final = "sdxl_models/ip-adapter_sdxl_vit-h.safetensors"
_WEIGHTS: Final = ("diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.safetensors")
_ENCODER_WEIGHTS: Final = ("model.fp16.safetensors", "model.safetensors")
_ENCODERS: Final = ("image_encoder", "models/image_encoder")  # beside the adapter, or of the usual repository
_UNSAFE: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
# what has to be the same in a UNet and in the copy of its first half that a ControlNet is
_SHARED: Final = (
    "cross_attention_dim",
    "block_out_channels",
    "down_block_types",
    "layers_per_block",
    "addition_embed_type",
)


@dataclass(frozen=True, kw_only=True)
class ControlNetFiles:
    """A ControlNet on this machine."""

    name: str  # as it was asked for
    config: Path
    weights: Path

    @property
    def variant(self) -> str | None:
        """Of the weights' name."""
        return "fp16" if ".fp16." in self.weights.name else None

    @property
    def sha256(self) -> str:
        """Of everything that is loaded."""
        return _contents((self.config, self.weights))


@dataclass(frozen=True, kw_only=True)
class AdapterFiles:
    """An IP-Adapter on this machine, with its image encoder."""

    name: str
    weights: Path
    encoder: Path  # folder
    encoder_weights: Path

    @property
    def sha256(self) -> str:
        """Of everything that is loaded."""
        return _contents((self.weights, self.encoder / "config.json", self.encoder_weights))


def controlnet(name: str, *, fetch: bool) -> ControlNetFiles | None:
    """The files of a ControlNet; "" is the usual one. None: it would have to be fetched, which `fetch` allows.

    Raises `InputError`, `ModelUnavailableError`.
    """
    name = name or CONTROLNET
    place = _place(name, "ControlNet")
    if isinstance(place, Path):
        config, weights = place / "config.json", _first(place, _WEIGHTS)
        if not config.is_file() or weights is None:
            raise _missing(place, name, "ControlNet")
    else:
        found = [place.file("config.json", fetch=fetch), place.one_of(_WEIGHTS, fetch=fetch)]
        if found[0] is None or found[1] is None:
            return None
        config, weights = found[0], found[1]
    kind = _json(config).get("_class_name")
    if kind != "ControlNetModel":
        raise InputError(f"{name} holds {kind or 'something else'} and no ControlNet; name another")
    return ControlNetFiles(name=name, config=config, weights=weights)


def adapter(name: str, *, fetch: bool) -> AdapterFiles | None:
    """The files of an IP-Adapter and its encoder, as `controlnet`."""
    name = name or IP_ADAPTER
    place = _place(name, "IP-Adapter")
    weights: Path | None
    if isinstance(place, Path):
        root = place.parent if place.is_file() else place
        weights = place if place.is_file() else _adapter_in(place, name)
        width, hidden = _encoder_width(weights, name)
        for folder in (weights.parent / _ENCODERS[0], root / _ENCODERS[1], root.parent / _ENCODERS[1]):
            encoder_weights = _first(folder, _ENCODER_WEIGHTS)
            if encoder_weights is not None and _fits(folder / "config.json", width, hidden):
                break
        else:
            raise InputError(f"{name} has no image encoder {width} wide; put it into image_encoder beside it")
        return AdapterFiles(name=name, weights=weights, encoder=folder, encoder_weights=encoder_weights)
    weights = place.file(place.inside or _USUAL_ADAPTER, fetch=fetch)
    if weights is None:
        return None
    width, hidden = _encoder_width(weights, name)
    beside = (place.inside or _USUAL_ADAPTER).rpartition("/")[0]
    for inside in (f"{beside}/{_ENCODERS[0]}".lstrip("/"), _ENCODERS[1]):
        config = place.file(f"{inside}/config.json", fetch=fetch, needed=False)
        if config is not None and _fits(config, width, hidden):
            there = place.one_of([f"{inside}/{one}" for one in _ENCODER_WEIGHTS], fetch=fetch)
            if there is None:
                return None
            return AdapterFiles(name=name, weights=weights, encoder=config.parent, encoder_weights=there)
    if not fetch:
        return None
    raise InputError(f"{name} has no image encoder {width} wide; name a folder with one beside the adapter")


def check_controlnet(files: ControlNetFiles, unet: Mapping[str, Any], factor: int, model: str) -> None:
    """Raises `InputError` unless the ControlNet is for this UNet; `factor`: px of a side per latent."""
    own = _json(files.config)
    for key in _SHARED:
        theirs, ours = _plain(own.get(key)), _plain(unet.get(key))
        if theirs != ours:
            raise InputError(
                f"the ControlNet {files.name} was made for another network than {model}'s ({key.replace('_', ' ')}"
                f" {theirs}, not {ours}); name one made for it, or leave out the logo's outline"
            )
    shrinks = 2 ** (len(own.get("conditioning_embedding_out_channels") or (16, 32, 96, 256)) - 1)
    if shrinks != factor:
        raise InputError(
            f"the ControlNet {files.name} reads {shrinks} px per latent, {model} has {factor}; name one made for it"
        )


def check_adapter(files: AdapterFiles, layers: Iterable[tuple[int, int]], model: str) -> None:
    """Raises `InputError` unless the adapter has what every cross attention needs; `layers`: (width, text width)."""
    wanted = list(layers)
    found = [
        shape for key, shape in _shapes(files.weights, files.name).items() if key.endswith("to_k_ip.weight")
    ]
    if sorted(found) != sorted(wanted):
        theirs = sorted({shape[1] for shape in found})
        ours = sorted({shape[1] for shape in wanted})
        raise InputError(
            f"the IP-Adapter {files.name} was made for another network than {model}'s ({len(found)} layers, text"
            f" {theirs}, not {len(wanted)} and {ours}); name one made for it, or leave out the logo's looks"
        )


# ---------------------------------------------------------------- where files are


@dataclass(frozen=True)
class _OnHub:
    """A repository, and a file in it that was named."""

    repository: str
    inside: str

    def file(self, filename: str, *, fetch: bool, needed: bool = True) -> Path | None:
        found = hub.cached_file(self.repository, filename)
        if found is not None or not fetch:
            return found
        try:
            return hub.fetch_file(self.repository, filename)
        except InputError:
            if needed:
                raise
            return None

    def one_of(self, filenames: Iterable[str], *, fetch: bool) -> Path | None:
        """The first that is here, else the first that there is."""
        names = list(filenames)
        here = next((found for name in names if (found := hub.cached_file(self.repository, name))), None)
        if here is not None or not fetch:
            return here
        for name in names[:-1]:
            found = self.file(name, fetch=True, needed=False)
            if found is not None:
                return found
        return self.file(names[-1], fetch=True)


def _place(name: str, kind: str) -> Path | _OnHub:
    path = Path(name).expanduser()
    if path.is_file() and path.suffix != ".safetensors":
        raise InputError(f"{name} is no .safetensors file; other formats can run code, convert it first")
    if path.exists():
        return path
    owner, _, rest = name.partition("/")
    repository, _, inside = rest.partition("/")
    if hub.is_id(f"{owner}/{repository}") and (not inside or inside.endswith(".safetensors")):
        return _OnHub(f"{owner}/{repository}", inside)
    raise InputError(f"there is no {kind} at {name}; give a folder, or a hub id such as owner/name")


def _adapter_in(folder: Path, name: str) -> Path:
    usual = folder / _USUAL_ADAPTER
    if usual.is_file():
        return usual
    files = sorted(folder.glob("*.safetensors"))
    if len(files) == 1:
        return files[0]
    if not files:
        raise _missing(folder, name, "IP-Adapter")
    raise InputError(f"{name} holds {', '.join(file.name for file in files)}; name one file of them")


def _missing(folder: Path, name: str, kind: str) -> InputError:
    if folder.is_dir() and any(any(folder.glob(pattern)) for pattern in _UNSAFE):
        return InputError(f"{name} has no safetensors weights; other formats can run code, convert it first")
    return InputError(f"{name} holds no {kind}: its configuration or safetensors weights are not there")


def _first(folder: Path, names: Iterable[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


# ---------------------------------------------------------------- what is in them


def _encoder_width(weights: Path, name: str) -> tuple[int, bool]:
    """(width of what the adapter is given, whether that is a hidden layer of the encoder)."""
    shapes = _shapes(weights, name)
    for key, hidden in (("image_proj.proj.weight", False), ("image_proj.proj_in.weight", True)):
        if key in shapes and any(one.endswith("to_k_ip.weight") for one in shapes):
            return shapes[key][1], hidden
    raise InputError(
        f"{name} is no IP-Adapter, or one for faces, which is not read; name a plain or plus one"
    )


def _fits(config: Path, width: int, hidden: bool) -> bool:
    if not config.is_file():
        return False
    return bool(_json(config).get("hidden_size" if hidden else "projection_dim") == width)


def _shapes(weights: Path, name: str) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(weights, framework="pt") as file:
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{name} cannot be read as safetensors; the file is damaged or of another kind"
        ) from error


def _json(path: Path) -> dict[str, Any]:
    try:
        values = plain_json.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} cannot be read: it is not a JSON object")
    return values


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _contents(files: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for path in files:
        try:
            total.update(f"{path.name}\0{identity.of_file(path)}\n".encode())
        except OSError as error:
            raise ModelUnavailableError(f"{path} cannot be read: {error.strerror or error}") from error
    return total.hexdigest()
