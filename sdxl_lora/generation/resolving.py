"""Decides what a request leaves open, so that the record of it makes the same picture again."""

import secrets
from dataclasses import replace

from sdxl_lora import inputs
from sdxl_lora.errors import RequestError
from sdxl_lora.generation import cueing, handoff, starting
from sdxl_lora.models import engines, identity, lora_place, offloading, registry, schedulers
from sdxl_lora.models.device import choose_device
from sdxl_lora.models.precision import choose_precision
from sdxl_lora.request import FIELDS, GenerationRequest, ResolvedRequest

_SEEDS = 2**32  # drawn seeds stay short enough to read out; given ones may be larger


def resolve(request: GenerationRequest) -> ResolvedRequest:
    """`request` with everything decided: model and LoRAs by content, steps, guidance, seed, size, precision, sampler,
    engine.

    One that is resolved is returned as it is, so that a job decides once. Fetches the model if it is not on this
    machine, loads no weights. Raises `InputError`, `ModelUnavailableError`.
    """
    check(request)
    if isinstance(request, ResolvedRequest):
        return request
    info = registry.fetch(request.model)
    loras = identity.pinned(replace(spec, sha256="") for spec in request.loras)
    cues = cueing.pinned(request, info)
    return _decided(request, info, model_sha256=identity.of_model(info), loras=loras, **cues)


def check(request: GenerationRequest) -> None:
    """Raises `InputError` if it can be seen without the model's weights that `request` cannot be drawn."""
    info = registry.describe(request.model)
    schedulers.check(request.scheduler)
    starting.check(request)
    decided = _decided(request, info)
    starting.check_steps(decided)
    _check_area(decided, info.defaults, info.capabilities.largest_area)
    _check_multiple(decided, info.capabilities.multiple)
    _check_enlarged(decided)
    _check_finish(decided)
    _check_cleanup(decided, info)
    cueing.check(decided, info)
    handoff.check(decided)
    for spec in request.loras:
        lora_place.find_here(spec)


def _decided(request: GenerationRequest, info: registry.ModelInfo, **found: object) -> ResolvedRequest:
    """`request` with the model's defaults where it says nothing, and what was `found` about contents."""
    said = {field.name: getattr(request, field.name) for field in FIELDS}
    said |= starting.decided(request, info)
    for field in FIELDS:
        if said[field.name] is None:
            own = getattr(info.defaults, field.name) if field.from_model else None
            said[field.name] = field.otherwise if own is None else own
    device = choose_device()
    precision = choose_precision(request.precision, device, quantised=info.quantised)
    offloading.check(request.offload, device)
    decided = {
        "model": info.name,
        "seed": secrets.randbelow(_SEEDS) if request.seed is None else request.seed,
        "precision": precision,
        "engine": engines.choose(
            request.engine,
            device,
            precision,
            info.bytes,
            cached=request.cache_interval > 1,
            cued=request.is_cued,
        ),
    }
    resolved = ResolvedRequest(**{**said, **decided, **found})
    _check_offload(resolved)
    return resolved


def _check_offload(request: ResolvedRequest) -> None:
    for what, wanted in (
        ("step caching", request.cache_interval > 1),
        ("engine compiled", request.engine == "compiled"),
        ("a logo shown while drawing", request.is_cued),
    ):
        if wanted and request.offload != "none":
            raise RequestError(f"{what} needs the whole network on the GPU; leave out one of it and offload")


def _check_area(request: ResolvedRequest, defaults: registry.ModelDefaults, largest: float) -> None:
    if request.width * request.height > largest * defaults.width * defaults.height:
        raise RequestError(
            f"{request.width} x {request.height} is too large for {request.model}, which draws at"
            f" {defaults.width} x {defaults.height}; stay within {largest:g} times that area"
        )


def _check_finish(request: ResolvedRequest) -> None:
    """Raises `InputError` where the finishing of a picture cannot be meant, or a picture for it is not there."""
    if (request.fill or request.shadow) and not (request.background or request.product):
        what = "fill" if request.fill else "shadow"
        raise RequestError(f"{what} needs a new background; say which, for example white")
    if request.detail and request.upscale == 1:
        raise RequestError("detail is drawn into enlarged pictures; add upscale 2 or 4")
    if request.detail and int(request.steps * request.detail) < 1:
        raise RequestError(
            f"a detail of {request.detail:g} leaves none of {request.steps} steps; use more of one of them"
        )
    for digest in (request.product, request.background):
        if inputs.HASH.fullmatch(digest):
            inputs.size(digest)


def _check_cleanup(request: ResolvedRequest, info: registry.ModelInfo) -> None:
    if request.cleanup_timestep and info.capabilities.inpainting:
        raise RequestError(
            f"{info.name} always draws into a mask, and cleans nothing up; leave the clean-up at 0"
        )


def _check_enlarged(request: ResolvedRequest) -> None:
    own = request.start_picture and (request.mask or not request.is_drawn)
    sides = inputs.size(request.start_picture) if own else (request.width, request.height)
    width, height = sides[0] * request.upscale, sides[1] * request.upscale
    if request.upscale > 1 and width * height > inputs.MAX_PIXELS:
        raise RequestError(
            f"upscale {request.upscale} would make pictures of {width}x{height} px; at most"
            f" {inputs.MAX_PIXELS // 10**6} megapixels are made, so choose a smaller factor or size"
        )


def _check_multiple(request: ResolvedRequest, multiple: int) -> None:
    for name, side in (("width", request.width), ("height", request.height)):
        if side % multiple:
            nearest = max(multiple, round(side / multiple) * multiple)
            raise RequestError(
                f"{name} {side} is not a multiple of {multiple}, as {request.model} needs; use {nearest}"
            )
