"""The optimizers by name, and the state in which their weights are to be used.

prodigyopt, schedulefree and bitsandbytes are optional packages; a missing one is one line, before weights
are loaded.
"""

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import torch
from torch.nn import Parameter

from sdxl_lora.errors import InputError
from sdxl_lora.training.config import TrainingConfig
from sdxl_lora.training.ema import kept

_DEFAULT_RATE = next(item.default for item in fields(TrainingConfig) if item.name == "learning_rate")
_PACKAGES = {"adamw8bit": "bitsandbytes", "prodigy": "prodigyopt", "schedulefree": "schedulefree"}


def name_of(config: TrainingConfig) -> str:
    """The optimizer, whichever flag named it."""
    return "adamw8bit" if config.use_8bit_adam else config.optimizer


def require_package(config: TrainingConfig, device: torch.device) -> None:
    """Raises `InputError` when the optimizer's package or device is missing, or a schedule does not fit it."""
    name = name_of(config)
    package = _PACKAGES.get(name)
    if package and importlib.util.find_spec(package) is None:
        raise InputError(f"the optimizer {name} needs a package: pip install {package}")
    if name == "adamw8bit" and device.type != "cuda":
        raise InputError(f"the optimizer adamw8bit needs a CUDA GPU, and this is {device.type}; use adamw")
    if name == "schedulefree" and config.lr_scheduler not in ("constant", "constant_with_warmup"):
        raise InputError(f"schedulefree replaces --lr_scheduler {config.lr_scheduler}; leave that out")


def rate(config: TrainingConfig, warn: Callable[[str], None]) -> float:
    """The learning rate: as set, or what suits the optimizer where it was left at its default; warns of an odd one."""
    name = name_of(config)
    if name == "prodigy":
        if config.learning_rate == _DEFAULT_RATE:
            warn("prodigy finds its rate itself: --learning_rate is 1, by which it multiplies that")
            return 1.0
        low, high = 0.1, 10.0
    else:
        low, high = 1e-6, 1e-2
    if config.learning_rate and not low <= config.learning_rate <= high:
        warn(
            f"--learning_rate {config.learning_rate:g} is unusual for {name}, "
            f"which works between {low:g} and {high:g}"
        )
    return config.learning_rate


def groups(
    config: TrainingConfig, named: Sequence[tuple[str, Parameter]], learning_rate: float
) -> list[dict[str, Any]]:
    """The trained parameters by their learning rate: one group, or those of the UNet and of the text encoders."""
    if config.text_encoder_lr is None:
        return [{"params": [parameter for _, parameter in named], "lr": learning_rate}]
    scale = learning_rate / config.learning_rate if config.learning_rate else 1.0  # of --scale_lr
    text = config.text_encoder_lr * scale
    return [
        {"params": [p for name, p in named if name.startswith("unet.") == of_unet], "lr": rate_}
        for of_unet, rate_ in ((True, learning_rate), (False, text))
    ]


def build(config: TrainingConfig, parameters: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
    """The optimizer over the groups of `groups`, with every setting of `config`."""
    common: dict[str, Any] = {
        "lr": parameters[0]["lr"],
        "betas": (config.adam_beta1, config.adam_beta2),
        "eps": config.adam_epsilon,
        "weight_decay": config.adam_weight_decay,
    }
    match name_of(config):
        case "adamw8bit":
            from bitsandbytes.optim import AdamW8bit

            optimizer: torch.optim.Optimizer = AdamW8bit(parameters, **common)
        case "prodigy":
            from prodigyopt import Prodigy

            # the settings of diffusers' advanced script
            optimizer = Prodigy(
                parameters, **common, decouple=True, use_bias_correction=True, safeguard_warmup=True
            )
        case "schedulefree":
            from schedulefree import AdamWScheduleFree

            warmup = config.lr_warmup_steps if config.lr_scheduler == "constant_with_warmup" else 0
            schedule_free = AdamWScheduleFree(parameters, **common, warmup_steps=warmup)
            schedule_free.train()
            optimizer = schedule_free
        case _:
            one_kernel = parameters[0]["params"][0].device.type in (
                "cpu",
                "cuda",
            )  # instead of ten for every matrix
            optimizer = torch.optim.AdamW(parameters, **common, fused=one_kernel)
    return optimizer


@contextmanager
def averaged(optimizer: torch.optim.Optimizer, parameters: Sequence[Parameter]) -> Iterator[None]:
    """Inside, a schedule-free optimizer's parameters are its average; afterwards as before, bit for bit."""
    switch: Any = optimizer
    if not hasattr(switch, "eval"):
        yield
        return
    with kept(parameters):
        switch.eval()
        try:
            yield
        finally:
            switch.train()
