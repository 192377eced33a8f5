"""OpenAI's image endpoints: /v1/images/generations, and the pictures themselves.

Who hangs up does not want its pictures any more: what is not drawn yet is cancelled, what is drawn stays in the
gallery.
"""

import contextlib
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

from anyio import to_thread
from starlette.responses import JSONResponse, Response

from sdxl_lora.api import events, pictures, schemas, wishes
from sdxl_lora.api.bodies import Body
from sdxl_lora.api.endpoints import EVENTS, Answer, Call, Endpoint
from sdxl_lora.api.problems import Problem
from sdxl_lora.api.problems import body as problem_body
from sdxl_lora.api.problems import of as problem_of
from sdxl_lora.api.settings import Limits
from sdxl_lora.api.wishes import Output, Wish
from sdxl_lora.errors import StudioError
from sdxl_lora.jobs.job import Job
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.models import registry
from sdxl_lora.records import Record
from sdxl_lora.request import GenerationRequest

_NO_TOKENS = {
    "input_tokens": 0,
    "output_tokens": 0,
    "total_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
}


def endpoints(limits: Limits) -> list[Endpoint]:
    """What this module answers."""
    png = {kind: {"type": "string", "contentMediaType": kind} for kind in pictures.MEDIA_TYPES.values()}
    return [
        Endpoint(
            method="POST",
            path="/v1/images/generations",
            run=_generate,
            summary="Draw pictures, and wait for them",
            body=Body(schema=schemas.generation(limits)),
            answers={200: drawn("image_generation")},
            draws=True,
        ),
        Endpoint(
            method="GET",
            path="/v1/images/{id}",
            run=_picture,
            summary="A picture that this token asked for, as the PNG that was kept",
            answers={200: Answer(says="The file.", content={"image/png": png["image/png"]})},
        ),
    ]


def drawn(kind: str) -> Answer:
    """The answer of an endpoint that draws, whose events are called `kind`."""
    says = f"The pictures; with stream the events {kind}.partial_image and {kind}.completed."
    return Answer(says=says, content={"application/json": schemas.IMAGES, EVENTS: {"type": "string"}})


async def _generate(call: Call) -> Response:
    wish = await to_thread.run_sync(
        wishes.read, call.values, call.caller, call.service.library, call.service.limits
    )
    return await answer(call, wish, "image_generation")


async def answer(call: Call, wish: Wish, kind: str) -> Response:
    """Draws what is wished: a stream of events called `kind`, or all at once. Raises `StudioError`, `HungUpError`."""
    passing = contextlib.ExitStack()
    passing.enter_context(call.service.turnstile.passing(call.caller.user, wish.spec.request.count))
    if wish.output.stream:
        return events.stream(_told(call, wish, kind), passing.close)
    with passing:
        records = await events.unless_gone(call.request, _records(call, wish.spec))
        return JSONResponse(await to_thread.run_sync(_images, records, wish, call))


@contextlib.asynccontextmanager
async def awaited(call: Call, spec: JobSpec) -> AsyncIterator[Job]:
    """A job that is put in line, and cancelled at the end of the block if it is not over, whatever ended that.

    Raises `StudioError`.
    """
    queue = call.service.queue
    submitted: list[Job] = []  # a client that hangs up meanwhile does not make the thread forget it
    try:
        await to_thread.run_sync(lambda: submitted.append(queue.submit(spec)))
        _check_wait(submitted[0], call.service.limits.longest_wait)
        yield submitted[0]
    finally:
        for job in submitted:
            queue.cancel(job.id)  # nothing, where it is over


def _check_wait(job: Job, longest: float) -> None:
    """Raises `Problem` 429 where the line is longer than anybody waits for an answer."""
    if job.eta is not None and job.eta > longest:
        wait = math.ceil(max(1.0, job.eta - longest))
        raise Problem(
            429,
            f"the line is {job.eta:.0f} s long; try again in {wait} s, or ask for a job, which needs nobody to wait",
            code="rate_limit_exceeded",
            headers={"Retry-After": str(wait)},
        )


async def _records(call: Call, spec: JobSpec) -> list[Record]:
    """All pictures in their order. Raises what the job failed with."""
    async with awaited(call, spec) as job:
        over = await call.service.watch.last_state(job.id)
    over.raise_error()
    return await to_thread.run_sync(records_of, call, over)


def records_of(call: Call, job: Job) -> list[Record]:
    """The pictures of a job so far. Raises `NotFoundError`, `StorageError`."""
    return [call.service.store.get(identifier) for identifier in job.record_ids]


def _images(records: Sequence[Record], wish: Wish, call: Call) -> dict[str, Any]:
    output = wish.output
    call.service.measures.pictures.labels(call.request.url.path).inc(len(records))
    return {
        "created": int(time.time()),
        "data": [_image(record, output, call) for record in records],
        "output_format": output.format,
        "size": f"{records[0].width}x{records[0].height}",
        "background": "opaque",
        "usage": _NO_TOKENS,
    }


def _image(record: Record, output: Output, call: Call) -> dict[str, Any]:
    if output.by_url:
        place = {"url": str(call.request.base_url.replace(path=f"/v1/images/{record.id}"))}
    else:
        place = {
            "b64_json": pictures.text(
                pictures.data(call.service.store, record, output.format, output.quality)
            )
        }
    return {
        **place,
        "revised_prompt": record.request.prompt,
        "id": record.id,
        "seed": record.request.seed or 0,
        "score": record.card.score if record.card.scored else None,
        "scorer": record.card.scorer,
    }


async def _told(call: Call, wish: Wish, kind: str) -> AsyncGenerator[bytes]:
    """Events of a stream: looks at the pictures, the pictures, or what went wrong."""
    try:
        async with awaited(call, wish.spec) as job:
            async for told in _told_of_job(call, wish, kind, job):
                yield told
    except StudioError as error:
        yield events.event("error", {"type": "error", **problem_body(problem_of(error))})


async def _told_of_job(call: Call, wish: Wish, kind: str, job: Job) -> AsyncIterator[bytes]:
    service, output = call.service, wish.output
    shown: dict[int, int] = {}  # index of a picture -> looks at it so far
    done: set[str] = set()
    states = service.watch.states(job.id, idle=service.limits.keep_alive)
    async with contextlib.aclosing(states):
        async for state in states:
            if state is None:
                yield events.KEEP_ALIVE
                continue
            for picture in state.pictures:
                looks = shown.get(picture.index, 0)
                if picture.record_id is None and looks < output.partial_images:
                    share = (looks + 1) / (output.partial_images + 1)
                    look = service.queue.preview(job.id, picture.index)
                    if look is not None and picture.progress >= share:
                        shown[picture.index] = looks + 1
                        size = _size(wish.spec.request)
                        encoded = await to_thread.run_sync(pictures.look, look, size, output.format)
                        facts = {"b64_json": encoded, "partial_image_index": looks}
                        yield _event(f"{kind}.partial_image", facts, output, size)
            for record in await to_thread.run_sync(records_of, call, state):
                if record.id not in done:
                    done.add(record.id)
                    service.measures.pictures.labels(call.request.url.path).inc()
                    image = await to_thread.run_sync(_image, record, output, call)
                    size = (record.width, record.height)
                    yield _event(f"{kind}.completed", {**image, "usage": _NO_TOKENS}, output, size)
            state.raise_error()


def _event(name: str, facts: dict[str, Any], output: Output, size: tuple[int, int]) -> bytes:
    common = {
        "type": name,
        "created_at": int(time.time()),
        "background": "opaque",
        "output_format": output.format,
        "quality": "auto",
        "size": f"{size[0]}x{size[1]}",
    }
    return events.event(name, {**common, **facts})


def _size(request: GenerationRequest) -> tuple[int, int]:
    """(width, height) in px that the picture will have."""
    usual = registry.describe(request.model).defaults
    return request.width or usual.width, request.height or usual.height


async def _picture(call: Call) -> Response:
    def read() -> bytes:
        identifier = call.request.path_params["id"]
        store = call.service.store
        return pictures.data(store, pictures.own(store, identifier, call.caller.user), "png")

    data = await to_thread.run_sync(read)
    return Response(data, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})
