"""Samplers by name: fresh instances over the noise schedule of a model.

diffusers' schedulers keep their position in the run and are not thread-safe, so every picture gets its own.
"""

from typing import Any

from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
    SchedulerMixin,
    UniPCMultistepScheduler,
)

from sdxl_lora.errors import UnknownNameError
from sdxl_lora.request import OWN_SCHEDULER

_TABLE: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "euler": (EulerDiscreteScheduler, {}),
    "euler-a": (EulerAncestralDiscreteScheduler, {}),
    "ddim": (DDIMScheduler, {"clip_sample": False, "set_alpha_to_one": False}),
    "dpm++ 2m": (DPMSolverMultistepScheduler, {}),
    "dpm++ 2m karras": (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
    "dpm++ 2m sde": (DPMSolverMultistepScheduler, {"algorithm_type": "sde-dpmsolver++"}),
    "unipc": (UniPCMultistepScheduler, {}),
    "heun": (HeunDiscreteScheduler, {}),
    # for LoRAs that draw in a few steps: Lightning and Hyper, LCM (arXiv:2310.04378)
    "euler trailing": (EulerDiscreteScheduler, {"timestep_spacing": "trailing"}),
    "lcm": (LCMScheduler, {}),
}
NAMES = tuple(_TABLE)


def check(name: str | None) -> None:
    """Raises `UnknownNameError` unless `name` is in the table, the model's own, or None."""
    if name is not None and name not in (*_TABLE, OWN_SCHEDULER):
        raise UnknownNameError("scheduler", name, (*NAMES, OWN_SCHEDULER))


def make(name: str, own: SchedulerMixin) -> SchedulerMixin:
    """A fresh scheduler named `name` with the noise schedule of `own`."""
    check(name)
    kind, settings = (type(own), {}) if name == OWN_SCHEDULER else _TABLE[name]
    return kind.from_config(own.config, **settings)
