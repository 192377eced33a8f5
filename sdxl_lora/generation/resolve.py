"""Decides what a request leaves open, so that the record of it makes the same picture again."""

import secrets
from dataclasses import fields, replace

from sdxl_lora.errors import RequestError
from sdxl_lora.generation import strides
from sdxl_lora.models import identity, registry, schedulers
from sdxl_lora.models.precision import choose_device, choose_precision
from sdxl_lora.request import OWN_SCHEDULER, GenerationRequest, ResolvedRequest

_SEEDS = 2**32  # drawn seeds stay short enough to read out; given ones may be larger


def resolve(request: GenerationRequest) -> ResolvedRequest:
    """`request` with everything decided: model and LoRAs by content, steps, guidance, seed, size, precision, sampler.

    One that is resolved is returned as it is, so that a job decides once. Fetches the model if it is not on this
    machine, loads no weights. Raises `InputError`, `ModelUnavailableError`.
    """
    check(request)
    if isinstance(request, ResolvedRequest):
        return request
    info = registry.fetch(request.model)
    loras = identity.pinned(replace(lora, sha256="") for lora in request.loras)
    return _decided(request, info, model_sha256=identity.of_model(info), loras=loras)


def check(request: GenerationRequest) -> None:
    """Raises `InputError` if it can be seen without the model's weights that `request` cannot be drawn."""
    info = registry.describe(request.model)
    schedulers.check(request.scheduler)
    decided = _decided(request, info)
    _check_area(decided, info.defaults, info.capabilities.largest_area)
    _check_multiple(decided, info.capabilities.multiple)
    strides.check(decided)


def _decided(request: GenerationRequest, info: registry.ModelInfo, **found: object) -> ResolvedRequest:
    """`request` with the model's defaults where it says nothing, and what was `found` about contents."""
    defaults = info.defaults
    decided = {
        "model": info.name,
        "steps": defaults.steps if request.steps is None else request.steps,
        "guidance": defaults.guidance if request.guidance is None else request.guidance,
        "guidance_end": defaults.guidance_end if request.guidance_end is None else request.guidance_end,
        "seed": secrets.randbelow(_SEEDS) if request.seed is None else request.seed,
        "width": defaults.width if request.width is None else request.width,
        "height": defaults.height if request.height is None else request.height,
        "precision": choose_precision(request.precision, choose_device()),
        "scheduler": request.scheduler or defaults.scheduler or OWN_SCHEDULER,
        "sketch_steps": request.sketch_steps or 0,
    }
    said = {field.name: getattr(request, field.name) for field in fields(GenerationRequest)}
    return ResolvedRequest(**{**said, **decided, **found})


def _check_area(request: ResolvedRequest, defaults: registry.ModelDefaults, largest: float) -> None:
    if request.width * request.height > largest * defaults.width * defaults.height:
        raise RequestError(
            f"{request.width} x {request.height} is too large for {request.model}, which draws at"
            f" {defaults.width} x {defaults.height}; stay within {largest:g} times that area"
        )


def _check_multiple(request: ResolvedRequest, multiple: int) -> None:
    for name, side in (("width", request.width), ("height", request.height)):
        if side % multiple:
            nearest = max(multiple, round(side / multiple) * multiple)
            raise RequestError(
                f"{name} {side} is not a multiple of {multiple}, as {request.model} needs; use {nearest}"
            )
