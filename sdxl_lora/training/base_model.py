"""The frozen model a LoRA is trained on: what its files say, and its parts loaded one by one.

Facts are read without loading weights, so that a wrong resolution or a full disk is found in the first
second. Parts are loaded in the precision the caller asks for; nothing here trains.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from sdxl_lora import plain_json
from sdxl_lora.config import Architecture
from sdxl_lora.errors import InputError, ModelUnavailableError
from sdxl_lora.models import architecture, hub, int8_file, latent_space, registry

TEXT_ENCODERS = ("text_encoder", "text_encoder_2")
_TEXT_CLASSES = (CLIPTextModel, CLIPTextModelWithProjection)
_SAMPLED_BYTES = 1 << 20  # of each weights file, at its start and end, for the fingerprint


@dataclass(frozen=True, kw_only=True)
class BaseModel:
    """A model folder and the numbers training needs of it."""

    name: str  # as the user gave it
    folder: Path
    architecture: Architecture
    side: int  # px, the model's own picture size
    vae_folder: Path
    vae_factor: int  # px per latent
    unet_factor: int  # latents a side must be divisible by
    latent_channels: int
    prediction_type: str
    zero_terminal_snr: bool
    variant: str | None = None
    quantised: bool = False  # its files hold int8 weights

    @property
    def multiple(self) -> int:
        """px a side must be divisible by."""
        return self.vae_factor * self.unet_factor

    def empty_vae(self) -> AutoencoderKL:
        """The VAE without storage, on torch's meta device."""
        with torch.device("meta"):
            vae: AutoencoderKL = AutoencoderKL.from_config(AutoencoderKL.load_config(self.vae_folder))
        return vae

    def empty_unet(self) -> UNet2DConditionModel:
        """The UNet without storage."""
        with torch.device("meta"):
            unet: UNet2DConditionModel = UNet2DConditionModel.from_config(
                UNet2DConditionModel.load_config(self.folder / "unet")
            )
        return unet

    def empty_text_encoders(self) -> list[Any]:
        """The text encoders without storage."""
        names = _names(self, "text_encoder")
        with torch.device("meta"):
            return [
                kind(CLIPTextConfig.from_pretrained(self.folder / name))
                for kind, name in zip(_TEXT_CLASSES, names, strict=False)
            ]

    def tokenizers(self) -> list[CLIPTokenizer]:
        return [CLIPTokenizer.from_pretrained(self.folder / name) for name in _names(self, "tokenizer")]

    def text_encoders(self, dtype: torch.dtype) -> list[Any]:
        """One CLIP text encoder (SD 1.x) or two, the second with projection (SDXL); frozen."""
        names = _names(self, "text_encoder")
        return [
            _load(kind, self.folder / name, self.variant, dtype)
            for kind, name in zip(_TEXT_CLASSES, names, strict=False)
        ]

    def text_shape(self) -> tuple[int, int, int]:
        """Shape of an encoded caption: (tokens, width, width of the pooled state or 0)."""
        configs = [_json(self.folder / name / "config.json") for name in _names(self, "text_encoder")]
        tokens = int(self.tokenizers()[0].model_max_length)
        pooled = int(configs[1]["projection_dim"]) if len(configs) == 2 else 0
        return tokens, sum(int(config["hidden_size"]) for config in configs), pooled

    def vae(self, dtype: torch.dtype) -> AutoencoderKL:
        return _load(AutoencoderKL, self.vae_folder, self.variant, self.vae_dtype(dtype))

    def vae_dtype(self, dtype: torch.dtype) -> torch.dtype:
        """fp32, or `dtype` where the VAE's files say that it bears half precision, as the fp16-fix one."""
        bears = _json(self.vae_folder / "config.json").get("force_upcast", True) is False
        return dtype if bears else torch.float32

    def unet(self, dtype: torch.dtype) -> UNet2DConditionModel:
        return _load(UNet2DConditionModel, self.folder / "unet", self.variant, dtype)

    def noise_scheduler(self, prediction_type: str | None = None) -> DDPMScheduler:
        """The forward process the model was trained with."""
        config = {"prediction_type": prediction_type} if prediction_type else {}
        return DDPMScheduler.from_pretrained(self.folder / "scheduler", **config)

    def fingerprint(self, *parts: str) -> str:
        """SHA-256 over configs, sizes, starts and ends of the weights of `parts` (vae, unet, text_encoder,
        ...).
        """
        digest = hashlib.sha256()
        for part in parts:
            folder = self.vae_folder if part == "vae" else self.folder / part
            for file in sorted(p for p in folder.rglob("*") if p.suffix in {".json", ".safetensors", ".txt"}):
                digest.update(f"{part}/{file.name} {file.stat().st_size}".encode())
                with file.open("rb") as opened:
                    digest.update(opened.read(_SAMPLED_BYTES))
                    opened.seek(max(0, file.stat().st_size - _SAMPLED_BYTES))
                    digest.update(opened.read(_SAMPLED_BYTES))
        return digest.hexdigest()


def locate(name: str, *, revision: str | None = None, cache_dir: str | None = None) -> Path:
    """Folder of a model by name, path or hub id; fetched if it is not here.

    Raises `InputError`, `ModelUnavailableError` (one line that says what to do).
    """
    if (revision or cache_dir) and hub.is_id(name) and not Path(name).is_dir():
        return _snapshot(name, revision, cache_dir)
    info = registry.describe(name)
    if not info.present:
        info = registry.fetch(name)
    if info.folder is None:
        raise ModelUnavailableError(f"the model {name} could not be fetched; give a folder")
    return info.folder


def locate_vae(name: str) -> Path:
    """Folder of a VAE, or of a model whose VAE is meant."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if not hub.is_id(name):
        raise InputError(f"there is no VAE at {name}; give a folder or a hub id")
    return hub.cached_component(name) or hub.fetch(name)


def _snapshot(name: str, revision: str | None, cache_dir: str | None) -> Path:
    try:
        folder = huggingface_hub.snapshot_download(
            name, revision=revision, cache_dir=cache_dir, allow_patterns=["*.json", "*.txt", "*.safetensors"]
        )
    except (OSError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        reason = str(error).splitlines()[0]
        raise ModelUnavailableError(f"{name} at revision {revision} could not be fetched: {reason}") from None
    return Path(folder)


def describe(name: str, folder: Path, *, vae: Path | None = None, variant: str | None = None) -> BaseModel:
    """What the files in `folder` say. Raises `InputError` when it is no SD 1.x or SDXL folder."""
    facts = architecture.read(folder)
    if facts.inpainting:
        raise InputError(
            f"{folder} is an inpainting model; train on its text-to-image base, the LoRA fits both"
        )
    vae_folder = vae or folder / "vae"
    if (vae_folder / "vae" / "config.json").is_file():  # a whole model was given for its VAE
        vae_folder = vae_folder / "vae"
    vae_config, unet = _json(vae_folder / "config.json"), _json(folder / "unet" / "config.json")
    scheduler = _json(folder / "scheduler" / "scheduler_config.json")
    return BaseModel(
        name=name,
        folder=folder,
        architecture=facts.architecture,
        side=facts.side,
        vae_folder=vae_folder,
        vae_factor=latent_space.factor(vae_config),
        unet_factor=2 ** (len(unet["block_out_channels"]) - 1),
        latent_channels=int(vae_config["latent_channels"]),
        prediction_type=str(scheduler.get("prediction_type", "epsilon")),
        zero_terminal_snr=bool(scheduler.get("rescale_betas_zero_snr", False)),
        variant=variant,
        quantised=hub.int8_weights(folder / "unet") is not None,
    )


def _names(model: BaseModel, kind: str) -> tuple[str, ...]:
    return (kind, f"{kind}_2") if model.architecture == "sdxl" else (kind,)


def _load(kind: Any, folder: Path, variant: str | None, dtype: torch.dtype) -> Any:
    if hub.int8_weights(folder):
        try:
            return int8_file.load(kind, folder, dtype).requires_grad_(False)
        except (OSError, int8_file.DamagedError) as error:
            raise ModelUnavailableError(f"{folder} cannot be loaded: {error}") from None
    files = {file.name for file in folder.glob("*.safetensors")}
    if variant is None and files and all(".fp16." in name for name in files):
        variant = "fp16"
    if not any(f".{variant}." in name if variant else True for name in files):
        wanted = f"*.{variant}.safetensors" if variant else "*.safetensors"
        raise ModelUnavailableError(
            f"there are no weights {wanted} in {folder}; fetch the model, or see --variant"
        )
    try:
        model = kind.from_pretrained(folder, variant=variant, use_safetensors=True, torch_dtype=dtype)
    except (OSError, ValueError) as error:
        raise ModelUnavailableError(f"{folder} cannot be loaded: {str(error).splitlines()[0]}") from None
    return model.requires_grad_(False).eval()


def _json(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = plain_json.parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; is this a diffusers model?") from None
    except ValueError:
        raise InputError(f"{path} is not valid JSON; fetch the model again") from None
    return values
