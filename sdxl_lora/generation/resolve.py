"""Decides what a request leaves open, so that the record of it makes the same picture again."""

import secrets
from dataclasses import replace

from sdxl_lora.errors import RequestError
from sdxl_lora.generation import strides
from sdxl_lora.models import registry, schedulers
from sdxl_lora.models.precision import choose_device, choose_precision
from sdxl_lora.request import GenerationRequest

_SEEDS = 2**32  # drawn seeds stay short enough to read out; given ones may be larger


def resolve(request: GenerationRequest) -> GenerationRequest:
    """`request` with every None decided: model, steps, guidance and its end, seed, size, precision.

    The scheduler may stay None, "the model's own". Loads no weights. Raises `InputError`.
    """
    info = registry.describe(request.model)
    schedulers.check(request.scheduler)
    defaults = info.defaults
    decided = replace(
        request,
        model=info.name,
        steps=defaults.steps if request.steps is None else request.steps,
        guidance=defaults.guidance if request.guidance is None else request.guidance,
        guidance_end=defaults.guidance_end if request.guidance_end is None else request.guidance_end,
        seed=secrets.randbelow(_SEEDS) if request.seed is None else request.seed,
        width=defaults.width if request.width is None else request.width,
        height=defaults.height if request.height is None else request.height,
        precision=choose_precision(request.precision, choose_device()),
        scheduler=defaults.scheduler if request.scheduler is None else request.scheduler,
    )
    _check_area(decided, defaults, info.capabilities.largest_area)
    _check_multiple(decided, info.capabilities.multiple)
    strides.check(decided)
    return decided


def _check_area(request: GenerationRequest, defaults: registry.ModelDefaults, largest: float) -> None:
    assert request.width is not None  # decided above
    assert request.height is not None
    if request.width * request.height > largest * defaults.width * defaults.height:
        raise RequestError(
            f"{request.width} x {request.height} is too large for {request.model}, which draws at"
            f" {defaults.width} x {defaults.height}; stay within {largest:g} times that area"
        )


def _check_multiple(request: GenerationRequest, multiple: int) -> None:
    for name, side in (("width", request.width), ("height", request.height)):
        assert side is not None  # decided above
        if side % multiple:
            nearest = max(multiple, round(side / multiple) * multiple)
            raise RequestError(
                f"{name} {side} is not a multiple of {multiple}, as {request.model} needs; use {nearest}"
            )
