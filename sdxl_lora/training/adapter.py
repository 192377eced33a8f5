"""The LoRA on a frozen model: where it sits, that it is fp32, and its weights by their public names.

Uses peft through diffusers. Freshly added, it changes nothing: its second factor is zero.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, get_peft_model_state_dict
from torch import Tensor
from torch.nn import Parameter

from sdxl_lora.training.randomness import derive

ATTENTION = ("to_k", "to_q", "to_v", "to_out.0")
CONVOLUTIONS = ("conv1", "conv2", "conv_shortcut", "conv")  # residual blocks, and the samplers between them
TEXT_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")


@dataclass(frozen=True, kw_only=True)
class LoraSettings:
    """Shape of a LoRA."""

    rank: int
    alpha: float
    dora: bool = False
    target: str = "attention"

    def unet_config(self) -> LoraConfig:
        layers = ATTENTION + CONVOLUTIONS if self.target == "attention+conv" else ATTENTION
        return self._config(layers)

    def text_config(self) -> LoraConfig:
        return self._config(TEXT_ATTENTION)

    def _config(self, layers: Iterable[str]) -> LoraConfig:
        return LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            use_dora=self.dora,
            init_lora_weights="gaussian",
            target_modules=list(layers),
        )


class Adapter:
    """The LoRAs of a UNet and, where they are trained, of its text encoders; the only trainable parameters.

    `parts` maps the names of the diffusers layout (`unet`, `text_encoder`, `text_encoder_2`) to modules.
    """

    def __init__(self, parts: Mapping[str, Any], settings: LoraSettings, seed: int) -> None:
        self.parts, self.settings = dict(parts), settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "initial weights"))
            for name, module in self.parts.items():
                module.requires_grad_(False)
                module.add_adapter(settings.unet_config() if name == "unet" else settings.text_config())
        self._trained = [  # kept: to walk all modules in every update takes a tenth of a small model's time
            (f"{part}.{name}", parameter)
            for part, module in self.parts.items()
            for name, parameter in module.named_parameters()
            if parameter.requires_grad
        ]
        for parameter in self.parameters():
            # peft follows the base model's precision; updates of 1e-6 vanish below fp32
            parameter.data = parameter.data.float()

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        """(name, parameter) of everything trained, in a fixed order."""
        return list(self._trained)

    @contextmanager
    def off(self) -> Iterator[None]:
        """Inside, the UNet answers as the frozen model does."""
        unet = self.parts["unet"]
        unet.disable_adapters()
        try:
            yield
        finally:
            unet.enable_adapters()

    def parameters(self) -> list[Parameter]:
        return [parameter for _, parameter in self.named_parameters()]

    def state(self) -> dict[str, Tensor]:
        """Weights by the names of the diffusers layout: `unet.<layer>.lora_A.weight` ..., fp32, on the CPU."""
        return {
            f"{part}.{_standard(part, name)}": value.detach().float().cpu().contiguous().clone()
            for part, module in self.parts.items()
            for name, value in get_peft_model_state_dict(module).items()
        }

    def metadata(self) -> dict[str, Any]:
        """The adapter configuration as diffusers keeps it in a file's header."""
        configs = {part: module.peft_config["default"].to_dict() for part, module in self.parts.items()}
        return {
            f"{part}.{key}": _plain(value)
            for part, config in configs.items()
            for key, value in config.items()
        }


def _standard(part: str, name: str) -> str:
    """transformers 5 calls the first encoder's layers `encoder...`; files everywhere say `text_model.encoder...`."""
    return f"text_model.{name}" if part != "unet" and name.startswith("encoder.") else name


def _plain(value: Any) -> Any:
    """JSON-ready. peft keeps module names in sets, whose order changes from run to run."""
    if isinstance(value, list | set | frozenset):
        return sorted(value)
    return value if isinstance(value, str | int | float | bool | dict | None) else str(value)
