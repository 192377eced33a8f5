"""The LoRA on a frozen model: where it sits, that it is fp32, and its weights by their public names.

Uses peft through diffusers. Freshly added, it changes nothing: its second factor is zero.

Where the frozen model is in half precision, so are the matrices its layers multiply with: copies of the fp32
parameters, made anew after every update. peft would cast every layer's input to fp32, and autocast back again, which is
most of what a GPU has to start in an update of a LoRA.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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
    dropout: float = 0.0  # share of the inputs of A that a step leaves out
    more: Mapping[str, Sequence[str]] = field(default_factory=dict)  # part -> modules besides, by full name

    @property
    def scale(self) -> float:
        """By what the product of the factors is multiplied."""
        return self.alpha / self.rank

    def config_of(self, part: str) -> LoraConfig:
        """peft's configuration for `unet`, `text_encoder` or `text_encoder_2`."""
        layers: tuple[str, ...] = TEXT_ATTENTION
        if part == "unet":
            layers = ATTENTION + CONVOLUTIONS if self.target == "attention+conv" else ATTENTION
        more = [name for name in self.more.get(part, ()) if not f".{name}".endswith(_behind_dots(layers))]
        return self._config([*layers, *more])

    def _config(self, layers: Iterable[str]) -> LoraConfig:
        return LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            use_dora=self.dora,
            lora_dropout=self.dropout,
            init_lora_weights="gaussian",
            target_modules=list(layers),
        )


class Adapter:
    """The LoRAs of a UNet and, where they are trained, of its text encoders; the only trainable parameters.

    `parts` maps the names of the diffusers layout (`unet`, `text_encoder`, `text_encoder_2`) to modules. `compute` is
    the precision the layers multiply in; the parameters are fp32 in any case.
    """

    def __init__(
        self,
        parts: Mapping[str, Any],
        settings: LoraSettings,
        seed: int,
        compute: torch.dtype = torch.float32,
    ) -> None:
        self.parts, self.settings = dict(parts), settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "initial weights"))
            for name, module in self.parts.items():
                module.requires_grad_(False)
                module.add_adapter(settings.config_of(name))
        self._trained = [  # kept: to walk all modules in every update takes a tenth of a small model's time
            (f"{part}.{name}", parameter)
            for part, module in self.parts.items()
            for name, parameter in module.named_parameters()
            if parameter.requires_grad
        ]
        for parameter in self.parameters():
            # peft follows the base model's precision; updates of 1e-6 vanish below fp32
            parameter.data = parameter.data.float()
        self.copies: list[Parameter] = []  # what the layers multiply with, where that is not the parameters
        if compute != torch.float32:
            self.copies = self.parameters()
            self._trained = [(name, Parameter(copy.detach().clone())) for name, copy in self._trained]
            self._sums = [torch.empty_like(parameter) for parameter in self.parameters()]
            self._added = [torch.empty_like(parameter) for parameter in self.parameters()]
            for copy in self.copies:
                copy.data = copy.data.to(compute)

    def zero_gradients(self) -> None:
        """To be called before the backward passes of an update."""
        for parameter in self.parameters():
            parameter.grad = None

    @torch.no_grad()
    def take_gradients(self) -> None:
        """To be called after every backward pass: what it found is added up in fp32 in the parameters' `grad`."""
        found = [(i, copy.grad) for i, copy in enumerate(self.copies) if copy.grad is not None]
        if not found:
            return
        parameters = self.parameters()
        fresh = [(i, half) for i, half in found if parameters[i].grad is None]
        more = [(i, half) for i, half in found if parameters[i].grad is not None]
        for pairs, into in ((fresh, self._sums), (more, self._added)):
            if pairs:  # one kernel for all of them
                _copy_all([into[i] for i, _ in pairs], [half for _, half in pairs])
        if more:
            _add_all([self._sums[i] for i, _ in more], [self._added[i] for i, _ in more])
        for i, _ in found:
            parameters[i].grad, self.copies[i].grad = self._sums[i], None

    @torch.no_grad()
    def refresh(self) -> None:
        """To be called whenever the parameters have changed: the layers multiply with them as they are now."""
        if self.copies:
            _copy_all(list[Tensor](self.copies), list[Tensor](self.parameters()))

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

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Inside, no module leaves anything out (dropout)."""
        modules = list(self.parts.values())
        training = [module.training for module in modules]
        try:
            for module in modules:
                module.eval()
            yield
        finally:
            for module, was in zip(modules, training, strict=True):
                module.train(was)

    def parameters(self) -> list[Parameter]:
        return [parameter for _, parameter in self.named_parameters()]

    def state(self) -> dict[str, Tensor]:
        """Weights by the names of the diffusers layout: `unet.<layer>.lora_A.weight` ..., fp32, on the CPU."""
        trained = dict(self._trained)
        found: dict[str, Tensor] = {}
        for part, module in self.parts.items():
            values = {name: trained.get(f"{part}.{name}", value) for name, value in module.named_parameters()}
            for name, value in get_peft_model_state_dict(module, state_dict=values).items():
                found[f"{part}.{_standard(part, name)}"] = value.detach().float().cpu().contiguous().clone()
        return found

    def metadata(self) -> dict[str, Any]:
        """The adapter configuration as diffusers keeps it in a file's header."""
        configs = {part: module.peft_config["default"].to_dict() for part, module in self.parts.items()}
        return {
            f"{part}.{key}": _plain(value)
            for part, config in configs.items()
            for key, value in config.items()
        }


def _behind_dots(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f".{name}" for name in names)


def _standard(part: str, name: str) -> str:
    """transformers 5 calls the first encoder's layers `encoder...`; files everywhere say `text_model.encoder...`."""
    return f"text_model.{name}" if part != "unet" and name.startswith("encoder.") else name


def _plain(value: Any) -> Any:
    """JSON-ready. peft keeps module names in sets, whose order changes from run to run."""
    if isinstance(value, list | set | frozenset):
        return sorted(value)
    return value if isinstance(value, str | int | float | bool | dict | None) else str(value)


def _copy_all(into: list[Tensor], values: list[Tensor]) -> None:
    """Copies every value into its place, cast to that one's type, by one kernel as PyTorch's optimizers do."""
    torch._foreach_copy_(into, values)


def _add_all(into: list[Tensor], values: list[Tensor]) -> None:
    """Adds every value into its place, by one kernel."""
    torch._foreach_add_(into, values)
