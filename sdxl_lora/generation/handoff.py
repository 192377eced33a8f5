"""Finishing a sketch: the steps of a coarse schedule up to a handoff step, then those of the full schedule.

A sketch is the same picture drawn in few steps. Layout is decided in the first half of denoising, where large steps do
little harm; what a sketch lacks is detail, which comes in the second. So a sketch is left at the handoff step, after
half of its steps, and its latents there, the prefix latents, are denoised on in the small steps of the full schedule:
the whole picture then costs only its second half, and is nearer to the sketch than one drawn anew. The request alone
(`sketch_steps`) makes the same picture again, from the start.

Only Euler's method (arXiv 2206.00364, algorithm 1 without churn) can change its step size on the way: it has one order
and no memory of earlier steps, and its timesteps can be given one by one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sdxl_lora.errors import RequestError
from sdxl_lora.lru_cache import LruCache
from sdxl_lora.request import FIELDS, OWN_SCHEDULER, ResolvedRequest

if TYPE_CHECKING:
    from diffusers import EulerDiscreteScheduler, SchedulerMixin
    from torch import Tensor

    from sdxl_lora.models.loading import LoadedModel

SAMPLER = "euler"  # its name in `models.schedulers`
# bytes of prefix latents: 64 of the bundled model, 32 of SDXL at 1024 px in half precision
_REMEMBERED = 4 * 2**20
_OTHER_SCHEDULES = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")

# what changes nothing before the handoff step, or is in the key otherwise
_LATER = ("steps", "sketch_steps", "guidance_end", "cleanup_timestep")
_DECIDING = tuple(f.name for f in FIELDS if f.latents and f.name not in _LATER)
_PREFIX = 0.5  # share of the steps that lies before the handoff step, at most

Key = tuple[object, ...]


def possible(scheduler: SchedulerMixin) -> bool:
    """Whether `scheduler` can change its step size after the handoff step."""
    from diffusers import EulerDiscreteScheduler

    return isinstance(scheduler, EulerDiscreteScheduler) and not any(
        scheduler.config.get(name) for name in _OTHER_SCHEDULES
    )


def check(request: ResolvedRequest) -> None:
    """Raises `RequestError` if it can be seen without the model that `request` finishes no sketch."""
    if not request.sketch_steps:
        return
    if request.sketch_steps >= request.steps:
        raise RequestError(
            f"a sketch of {request.sketch_steps} steps has no fewer than its picture of {request.steps}; choose fewer"
        )
    if request.scheduler not in (OWN_SCHEDULER, SAMPLER):
        raise _unable(request.scheduler)


def check_scheduler(scheduler: SchedulerMixin) -> None:
    """Raises `RequestError` unless `scheduler`, which may be the model's own, can change its step size."""
    if not possible(scheduler):
        raise _unable(type(scheduler).__name__)


def _unable(sampler: str) -> RequestError:
    return RequestError(
        f"the sampler {sampler} cannot finish a sketch; choose {SAMPLER}, or leave out the sketch steps"
    )


def can_finish_sketches(model: LoadedModel) -> bool:
    """Whether pictures of this model, with its own sampler, can be finished from sketches."""
    return possible(model.engine.new_scheduler())


def handoff_step(steps: int) -> int:
    """Steps of a sketch after which it is left."""
    return steps // 2


def finishing_steps(steps: int, sketch_steps: int) -> int:
    """About how many steps are left from the handoff step of a sketch to a whole picture of `steps`."""
    return math.ceil(steps * (sketch_steps - handoff_step(sketch_steps)) / sketch_steps)


def remaining_timesteps(scheduler: EulerDiscreteScheduler, steps: int, sketch_steps: int) -> list[float]:
    """Timesteps from the handoff step of a sketch on: its own there, then those of the full schedule below it."""
    scheduler.set_timesteps(sketch_steps)
    start = float(scheduler.timesteps[handoff_step(sketch_steps)])
    scheduler.set_timesteps(steps)
    return [start, *(float(t) for t in scheduler.timesteps if t < start)]


def prefix_latents(model: LoadedModel) -> LruCache[Key, Tensor]:
    """Latents at the handoff steps of the schedules that were run last, by `key_of`."""
    kept: LruCache[Key, Tensor] = model.base.cache.setdefault(
        "prefix_latents", LruCache(_REMEMBERED, size=lambda latents: latents.nbytes)
    )
    return kept


def key_of(request: ResolvedRequest, steps: int) -> Key:
    """What decides the prefix latents of a schedule of `steps`; `request` is of one picture.

    Where guidance ends after the handoff step does not: a sketch guided to its end and a picture that is not share
    them.
    """
    guided = min(request.guidance_end, _PREFIX)
    seen = request.logos if request.is_cued else ()
    return (*(getattr(request, name) for name in _DECIDING), seen, guided, steps)
