"""AUTOMATIC1111's other endpoints: what there is to choose from, what a picture says, and enlarging."""

import io
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from anyio import to_thread
from PIL import Image
from starlette.responses import JSONResponse, Response

from sdxl_lora import later
from sdxl_lora.api import pictures, schemas, sent
from sdxl_lora.api.bodies import Body
from sdxl_lora.api.endpoints import Call, Endpoint, json_answer
from sdxl_lora.api.problems import Problem
from sdxl_lora.api.settings import Limits
from sdxl_lora.data import images
from sdxl_lora.errors import UnknownNameError
from sdxl_lora.models import schedulers
from sdxl_lora.records import a1111, carriers, samplers

_NETWORK = "waifu2x photo"
_PLAIN = {"Lanczos": Image.Resampling.LANCZOS, "Nearest": Image.Resampling.NEAREST}
_UPSCALERS = ("None", *_PLAIN, _NETWORK)
_NOTHING: dict[str, Any] = {  # what A1111 has lists of, and this studio does not
    "scripts": {"txt2img": [], "img2img": []},
    "cmd-flags": {},
    "embeddings": {"loaded": {}, "skipped": {}},
    "hypernetworks": [],
    "face-restorers": [],
    "realesrgan-models": [],
    "prompt-styles": [],
    "sd-vae": [],
    "latent-upscale-modes": [],
}
_ANY = {"type": ["object", "array", "null"]}
_LIST = {"type": "array", "items": {"type": "object"}}


def endpoints(limits: Limits) -> list[Endpoint]:
    """What this module answers."""
    text = {"type": "string"}
    told: dict[str, Callable[[Call], Any]] = {
        "sd-models": _models,
        "samplers": _samplers,
        "schedulers": lambda _: [{"name": name, "label": name} for name in ("automatic", "karras")],
        "upscalers": _upscalers,
        "loras": lambda call: [
            {"name": name, "alias": name, "path": name, "metadata": {}}
            for name in call.service.library.loras()
        ],
        "options": _options,
        "memory": lambda _: {"ram": _memory(), "cuda": {}},
        **{name: partial(_always, value) for name, value in _NOTHING.items()},
    }
    listed = [_get(name, run) for name, run in told.items()]
    return [
        *listed,
        Endpoint(
            method="POST",
            path="/sdapi/v1/options",
            run=_choose,
            summary="AUTOMATIC1111: sd_model_checkpoint chooses the model of this token's next pictures",
            body=Body(schema={"type": "object", "properties": {"sd_model_checkpoint": text}}),
            answers={200: json_answer("Nothing more.", {"type": "null"})},
            draws=True,
        ),
        Endpoint(
            method="POST",
            path="/sdapi/v1/refresh-checkpoints",
            run=_nothing,
            summary="AUTOMATIC1111: does nothing, since models are looked up each time",
            answers={200: json_answer("Nothing more.", {"type": "null"})},
        ),
        Endpoint(
            method="POST",
            path="/sdapi/v1/png-info",
            run=_png_info,
            summary="AUTOMATIC1111: what a picture says about itself",
            body=Body(schema=schemas.thing({"image": text}, open_ended=True), pictures=True),
            answers={
                200: json_answer(
                    "Its texts.",
                    schemas.thing(
                        {"info": text, "items": {"type": "object"}, "parameters": {"type": "object"}}
                    ),
                )
            },
            draws=True,
        ),
        Endpoint(
            method="POST",
            path="/sdapi/v1/extra-single-image",
            run=_enlarge,
            summary="AUTOMATIC1111: enlarge a picture",
            body=Body(schema=_enlarging(), pictures=True),
            answers={200: json_answer("The picture.", schemas.thing({"html_info": text, "image": text}))},
            draws=True,
        ),
    ]


def _always(value: Any, _call: Call) -> Any:
    return value


def _get(name: str, tell: Callable[[Call], Any]) -> Endpoint:
    async def run(call: Call) -> Response:
        return JSONResponse(await to_thread.run_sync(tell, call))

    answer: Callable[[Call], Awaitable[Response]] = run
    return Endpoint(
        method="GET",
        path=f"/sdapi/v1/{name}",
        run=answer,
        summary=f"AUTOMATIC1111: {name.replace('-', ' ')}",
        answers={200: json_answer("As its clients read it.", _ANY)},
    )


def _models(call: Call) -> list[dict[str, Any]]:
    names = call.service.library.models()
    facts = {"hash": None, "sha256": None, "config": None}
    return [{"title": name, "model_name": name, "filename": name, **facts} for name in names]


def _samplers(_call: Call) -> list[dict[str, Any]]:
    return [{"name": samplers.theirs(name), "aliases": [name], "options": {}} for name in schedulers.NAMES]


def _upscalers(_call: Call) -> list[dict[str, Any]]:
    facts = {"model_path": None, "model_url": None, "scale": 4}
    return [{"name": name, "model_name": None, **facts} for name in _UPSCALERS]


def _memory() -> dict[str, int]:
    """Bytes of main memory."""
    page = os.sysconf("SC_PAGE_SIZE")
    total, free = page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
    return {"free": free, "used": total - free, "total": total}


def _options(call: Call) -> dict[str, Any]:
    usual = next(iter(call.service.library.models()), "")
    chosen = call.service.chosen_models.get(call.caller.user, usual)
    return {"sd_model_checkpoint": chosen, "sd_checkpoint_hash": "", "samples_format": "png"}


async def _choose(call: Call) -> Response:
    name = call.values.get("sd_model_checkpoint")
    if name is not None:
        await to_thread.run_sync(call.service.library.model, name)  # known, or refused
        call.service.chosen_models[call.caller.user] = name
    return JSONResponse(None)


async def _nothing(_call: Call) -> Response:
    return JSONResponse(None)


async def _png_info(call: Call) -> Response:
    def read() -> dict[str, Any]:
        data = sent.decoded(call.values["image"], "image")
        sent.pixels(data, "image")  # a picture, and not too large
        with Image.open(io.BytesIO(data), formats=images.FORMATS) as image:
            texts = carriers.texts_of(image)
        info = texts.get(carriers.PARAMETERS, "")
        return {"info": info, "items": texts, "parameters": a1111.settings_of(info)}

    return JSONResponse(await to_thread.run_sync(read))


def _enlarging() -> dict[str, Any]:
    whole: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": 16_384}
    fields: dict[str, dict[str, Any]] = {
        "resize_mode": {"type": "integer", "minimum": 0, "maximum": 1},
        "upscaling_resize": {"type": "number", "minimum": 0.1, "maximum": 8},
        "upscaling_resize_w": whole,
        "upscaling_resize_h": whole,
        "upscaler_1": {"type": "string"},
    }
    found = {
        name: schemas.open_field(field, f"As AUTOMATIC1111 has {name}.") for name, field in fields.items()
    }
    return schemas.thing({"image": {"type": "string"}, **found}, optional=tuple(found), open_ended=True)


async def _enlarge(call: Call) -> Response:
    def work() -> dict[str, Any]:
        image = sent.pixels(sent.decoded(call.values["image"], "image"), "image", alpha=True)
        larger = _larger(call, image)
        return {"html_info": "", "image": pictures.text(pictures.encoded(larger, "png"))}

    with call.service.turnstile.passing(call.caller.user, 1):
        return JSONResponse(await to_thread.run_sync(work))


def _larger(call: Call, image: Image.Image) -> Image.Image:
    """Raises `InputError`, `Problem`."""
    values = {name: value for name, value in call.values.items() if value is not None}
    factor = values.get("upscaling_resize", 2)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    if values.get("resize_mode") == 1:
        size = (values.get("upscaling_resize_w", image.width), values.get("upscaling_resize_h", image.height))
    if size[0] * size[1] > call.service.limits.pixels:
        most = f"{call.service.limits.pixels:,} pixels"
        raise Problem(422, f"{size[0]} x {size[1]} are more than {most}", code="too_large")
    name = values.get("upscaler_1", "Lanczos")
    if name == "None":
        return image
    if name in _PLAIN:
        return image.resize(size, _PLAIN[name])
    if name != _NETWORK:
        raise UnknownNameError("upscaler", name, _UPSCALERS)
    least = max(size[0] / image.width, size[1] / image.height)
    with later.importing():
        from sdxl_lora.editing.upscale import upscale
    made = upscale(image, 2 if least <= 2 else 4)
    return made if made.size == size else made.resize(size, Image.Resampling.LANCZOS)
