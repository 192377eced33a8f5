"""Samplers by name: fresh instances over the noise schedule of a model.

diffusers' schedulers keep their position in the run and are not thread-safe, so every picture gets its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdxl_lora.errors import UnknownNameError
from sdxl_lora.request import OWN_SCHEDULER

if TYPE_CHECKING:
    from diffusers import SchedulerMixin

# name -> class in diffusers, by its name: pages list these before diffusers is imported
_TABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-a": ("EulerAncestralDiscreteScheduler", {}),
    "ddim": ("DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": False}),
    "dpm++ 2m": ("DPMSolverMultistepScheduler", {}),
    "dpm++ 2m karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "dpm++ 2m sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    # for LoRAs that draw in a few steps: Lightning and Hyper, LCM (arXiv:2310.04378)
    "euler trailing": ("EulerDiscreteScheduler", {"timestep_spacing": "trailing"}),
    "lcm": ("LCMScheduler", {}),
}
NAMES = tuple(_TABLE)


def check(name: str | None) -> None:
    """Raises `UnknownNameError` unless `name` is in the table, the model's own, or None."""
    if name is not None and name not in (*_TABLE, OWN_SCHEDULER):
        raise UnknownNameError("scheduler", name, (*NAMES, OWN_SCHEDULER))


def make(name: str, own: SchedulerMixin) -> SchedulerMixin:
    """A fresh scheduler named `name` with the noise schedule of `own`."""
    import diffusers

    check(name)
    if name == OWN_SCHEDULER:
        return type(own).from_config(own.config)
    kind, settings = _TABLE[name]
    made: SchedulerMixin = getattr(diffusers, kind).from_config(own.config, **settings)
    return made
