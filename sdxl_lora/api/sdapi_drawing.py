"""AUTOMATIC1111's txt2img and img2img, how far they are, and stopping them.

What its clients send beside the fields known here is passed over, as AUTOMATIC1111 does; what would change the picture
and is not done here is refused, so that nobody gets another picture than was asked for without a word.
"""

import contextlib
import json
import re
from collections.abc import Sequence
from typing import Any

from anyio import to_thread
from starlette.responses import JSONResponse, Response

from sdxl_lora.api import events, images, pictures, schemas, sent, wishes
from sdxl_lora.api.bodies import Body
from sdxl_lora.api.endpoints import Call, Endpoint, json_answer
from sdxl_lora.api.problems import Problem
from sdxl_lora.api.settings import Limits
from sdxl_lora.errors import Cancelled, UnknownNameError
from sdxl_lora.jobs.job import Job
from sdxl_lora.models import schedulers
from sdxl_lora.records import Record, a1111, samplers
from sdxl_lora.request import GenerationRequest, LoraSpec
from sdxl_lora.request.start import MAX_FEATHER

_LORA = re.compile(r"\s*<lora:([^:<>]+)(?::([^:<>]*))?[^<>]*>")
_NOT_DONE = {  # field -> what it is for, in the words of A1111's own pages
    "enable_hr": "Hires. fix",
    "restore_faces": "face restoration",
    "tiling": "tiling",
    "subseed_strength": "variation seeds",
    "script_name": "scripts",
    "alwayson_scripts": "extensions",
    "styles": "prompt styles",
    "refiner_checkpoint": "refiners",
}
_OWN_NAMES = ("", "own", "automatic", "default")


def endpoints(limits: Limits) -> list[Endpoint]:
    """What this module answers."""
    drawn = json_answer(
        "Pictures in base64, and a text of JSON that says how they were made.",
        schemas.thing(
            {
                "images": schemas.listed({"type": "string"}),
                "parameters": {"type": "object"},
                "info": {"type": "string"},
            }
        ),
    )
    stopped = json_answer("Nothing more.", {"type": "object"})
    return [
        Endpoint(
            method="POST",
            path="/sdapi/v1/txt2img",
            run=_txt2img,
            summary="AUTOMATIC1111: draw, and wait",
            body=Body(schema=_schema(limits)),
            answers={200: drawn},
            draws=True,
        ),
        Endpoint(
            method="POST",
            path="/sdapi/v1/img2img",
            run=_img2img,
            summary="AUTOMATIC1111: change a picture, and wait",
            body=Body(schema=_schema(limits, start=True), pictures=True),
            answers={200: drawn},
            draws=True,
        ),
        Endpoint(
            method="GET",
            path="/sdapi/v1/progress",
            run=_progress,
            summary="AUTOMATIC1111: how far this token's drawing is",
            answers={200: json_answer("Progress.", _PROGRESS)},
        ),
        *(
            Endpoint(
                method="POST",
                path=f"/sdapi/v1/{name}",
                run=_interrupt,
                summary="AUTOMATIC1111: stop what this token has drawn",
                answers={200: stopped},
            )
            for name in ("interrupt", "skip")
        ),
    ]


_PROGRESS = schemas.thing(
    {
        "progress": {"type": "number"},
        "eta_relative": {"type": "number"},
        "state": {"type": "object"},
        "current_image": {"type": ["string", "null"]},
        "textinfo": {"type": ["string", "null"]},
    }
)


def _schema(limits: Limits, *, start: bool = False) -> dict[str, Any]:
    text, whole, number = {"type": "string"}, {"type": "integer"}, {"type": "number"}
    count = {**whole, "minimum": 1, "maximum": limits.pictures}
    fields: dict[str, Any] = {
        "prompt": schemas.wish_fields(limits)["negative_prompt"]["anyOf"][0],
        "negative_prompt": schemas.wish_fields(limits)["negative_prompt"]["anyOf"][0],
        "seed": {**whole, "minimum": -1, "maximum": 2**63 - 1},
        "steps": {**whole, "minimum": 1, "maximum": limits.steps},
        "cfg_scale": {**number, "minimum": 0, "maximum": 30},
        "width": {**whole, "minimum": 64, "maximum": 4096},
        "height": {**whole, "minimum": 64, "maximum": 4096},
        "n_iter": count,
        "batch_size": count,
        "sampler_name": text,
        "sampler_index": text,
        "scheduler": text,
        "override_settings": {"type": "object"},
        "send_images": {"type": "boolean"},
    }
    if start:
        fields |= {
            "init_images": {"type": "array", "items": text, "minItems": 1},
            "mask": text,
            "mask_blur": {**whole, "minimum": 0},
            "inpainting_mask_invert": {"type": ["integer", "boolean"]},
            "denoising_strength": {**number, "minimum": 0, "maximum": 1},
        }
    schema = schemas.thing(
        {name: schemas.open_field(field, f"As AUTOMATIC1111 has {name}.") for name, field in fields.items()},
        optional=tuple(fields),
        open_ended=True,
    )
    return {**schema, "required": ["init_images"]} if start else schema


async def _txt2img(call: Call) -> Response:
    return await _draw(call, await to_thread.run_sync(_request, call, {}))


async def _img2img(call: Call) -> Response:
    def read() -> GenerationRequest:
        values = call.values
        first = (values.get("init_images") or [None])[0]
        if first is None:
            raise Problem(422, "init_images is empty; send a picture", param="init_images")
        begin: dict[str, Any] = {
            "start_picture": sent.start_picture(sent.decoded(first, "init_images"), "init_images"),
            "strength": values.get("denoising_strength"),
        }
        if values.get("mask"):
            inverted = bool(values.get("inpainting_mask_invert"))
            mask = sent.decoded(values["mask"], "mask")
            begin["mask"] = sent.mask_of_white(mask, "mask", inverted=inverted)
            begin["mask_feather"] = min(values.get("mask_blur") or 0, MAX_FEATHER)
        return _request(call, begin)

    return await _draw(call, await to_thread.run_sync(read))


def _request(call: Call, begin: dict[str, Any]) -> GenerationRequest:
    """Raises `InputError`, `Problem`."""
    service, caller = call.service, call.caller
    values = {name: value for name, value in call.values.items() if value is not None}
    for name, what in _NOT_DONE.items():
        if values.get(name):
            raise Problem(422, f"{name}: {what} are not done here; leave it out", code="not_done", param=name)
    words, loras = _loras(call, values.get("prompt", ""))
    seed, count = values.get("seed", -1), values.get("n_iter", 1) * values.get("batch_size", 1)
    if count > service.limits.pictures:
        raise Problem(422, f"{count} pictures are more than {service.limits.pictures}", param="n_iter")
    override = values.get("override_settings", {}).get("sd_model_checkpoint")
    chosen = str(override or service.chosen_models.get(caller.user, "auto"))
    request = GenerationRequest(
        prompt=words,
        negative_prompt=values.get("negative_prompt", ""),
        seed=None if seed < 0 else seed,
        steps=values.get("steps"),
        guidance=values.get("cfg_scale"),
        width=values.get("width"),
        height=values.get("height"),
        count=count,
        scheduler=_sampler(values),
        model=service.library.model(chosen),
        loras=loras,
        **begin,
    )
    wishes.check(request, service.limits)
    return request


def _loras(call: Call, prompt: str) -> tuple[str, tuple[LoraSpec, ...]]:
    """The prompt without `<lora:name:weight>`, and these. Raises `InputError`."""
    found = []
    for name, weight in _LORA.findall(prompt):
        spec = LoraSpec.parse(f"{name}:{weight or 1}")
        found.append(LoraSpec(path=call.service.library.lora(name), weight=spec.weight))
    return _LORA.sub("", prompt).strip(), tuple(found)


def _sampler(values: dict[str, Any]) -> str | None:
    """Our name of a sampler. Raises `UnknownNameError`."""
    name = values.get("sampler_name") or values.get("sampler_index") or ""
    if name.lower() in _OWN_NAMES:
        return None
    found = samplers.ours(name, values.get("scheduler") or "")
    if found is None:
        raise UnknownNameError("sampler", name, schedulers.NAMES)
    return found


async def _draw(call: Call, request: GenerationRequest) -> Response:
    """Raises `StudioError`, `HungUpError`."""
    service, user = call.service, call.caller.user
    drawing = service.sd_jobs.setdefault(user, set())

    async def draw() -> list[Record]:
        async with images.awaited(call, wishes.spec(request, call.caller)) as job:
            drawing.add(job.id)
            try:
                over = await service.watch.last_state(job.id)
            finally:
                drawing.discard(job.id)
        with contextlib.suppress(Cancelled):  # by interrupt: what is finished is handed out
            over.raise_error()
        return await to_thread.run_sync(images.records_of, call, over)

    with service.turnstile.passing(user, request.count):
        records = await events.unless_gone(call.request, draw())
        return JSONResponse(await to_thread.run_sync(_answer, call, request, records))


def _answer(call: Call, request: GenerationRequest, records: Sequence[Record]) -> dict[str, Any]:
    call.service.measures.pictures.labels(call.request.url.path).inc(len(records))
    hidden = ("init_images", "mask")
    parameters = {name: None if name in hidden else value for name, value in call.values.items()}
    first = records[0].request if records else request
    seeds = [record.request.seed for record in records]
    info = {
        "prompt": request.prompt,
        "all_prompts": [record.request.prompt for record in records],
        "negative_prompt": request.negative_prompt,
        "seed": seeds[0] if seeds else -1,
        "all_seeds": seeds,
        "steps": first.steps,
        "cfg_scale": first.guidance,
        "width": records[0].width if records else request.width,
        "height": records[0].height if records else request.height,
        "batch_size": len(records),
        "sampler_name": first.scheduler,
        "sd_model_name": first.model,
        "denoising_strength": request.strength,
        "infotexts": [a1111.write(record.request, (record.width, record.height)) for record in records],
        "ids": [record.id for record in records],
    }
    sends = call.values.get("send_images", True) is not False
    files = [pictures.text(pictures.data(call.service.store, record, "png")) for record in records if sends]
    return {"images": files, "parameters": parameters, "info": json.dumps(info, ensure_ascii=False)}


async def _progress(call: Call) -> Response:
    def look() -> dict[str, Any]:
        queue = call.service.queue
        ids = tuple(call.service.sd_jobs.get(call.caller.user, ()))
        jobs = [job for job in map(queue.get, ids) if job is not None and job.active]
        running = next((job for job in jobs if job.state == "running"), jobs[0] if jobs else None)
        return _how_far(call, running, len(jobs))

    return JSONResponse(await to_thread.run_sync(look))


def _how_far(call: Call, job: Job | None, jobs: int) -> dict[str, Any]:
    drawn = [one for one in job.pictures if one.record_id is None] if job else []
    index = max(drawn, key=lambda one: one.step).index if drawn else 0
    look = call.service.queue.preview(job.id, index) if job else None
    return {
        "progress": job.progress if job else 0.0,
        "eta_relative": (job.eta or 0.0) if job else 0.0,
        "state": {
            "skipped": False,
            "interrupted": False,
            "job": job.id if job else "",
            "job_count": jobs,
            "job_timestamp": "",
            "job_no": index,
            "sampling_step": job.pictures[index].step if job else 0,
            "sampling_steps": job.pictures[index].steps if job else 0,
        },
        "current_image": pictures.text(pictures.encoded(look, "png")) if look else None,
        "textinfo": None,
    }


async def _interrupt(call: Call) -> Response:
    def stop() -> None:
        for job_id in tuple(call.service.sd_jobs.get(call.caller.user, ())):
            call.service.queue.cancel(job_id)

    await to_thread.run_sync(stop)
    return JSONResponse({})
