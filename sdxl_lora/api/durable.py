"""/v1/jobs: asked for now, fetched whenever. Nobody has to wait, and who hangs up cancels nothing.

A job is answered at once with its place; it is looked at, listened to and cancelled by that. Tokens see their own jobs.
"""

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

from anyio import to_thread
from starlette.responses import JSONResponse, Response

from sdxl_lora.api import events, pictures, schemas, wishes
from sdxl_lora.api.bodies import Body
from sdxl_lora.api.endpoints import EVENTS, Answer, Call, Endpoint, Query, json_answer
from sdxl_lora.api.problems import Problem
from sdxl_lora.api.problems import body as problem_body
from sdxl_lora.api.problems import of as problem_of
from sdxl_lora.api.settings import Limits
from sdxl_lora.errors import RequestError, StudioError
from sdxl_lora.jobs.job import Job

_MOST = 200  # jobs in one list
_KEY = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"}
_PREVIEW_SIDE = 256  # px


def endpoints(limits: Limits) -> list[Endpoint]:
    """What this module answers."""
    job = json_answer("The job as it is now.", schemas.JOB)
    of_limit = {"type": "integer", "minimum": 1, "maximum": _MOST, "default": 50}
    return [
        Endpoint(
            method="POST",
            path="/v1/jobs",
            run=_submit,
            summary="Ask for pictures without waiting for them",
            body=Body(schema=schemas.job_body(limits)),
            headers=(
                Query(
                    name="Idempotency-Key",
                    schema=_KEY,
                    says="The same key with the same body is the same job, however often it is sent.",
                ),
            ),
            answers={
                202: json_answer("The job, in line.", schemas.JOB, headers={"Location": "Path of the job."})
            },
            draws=True,
        ),
        Endpoint(
            method="GET",
            path="/v1/jobs",
            run=_list,
            summary="The jobs of this token, the latest first",
            query=(
                Query(name="limit", schema=of_limit, says="At most so many."),
                Query(
                    name="status",
                    schema=schemas.JOB["properties"]["status"],
                    says="Only those in this state.",
                ),
                Query(name="sku", schema=schemas.SKU, says="Only those of this product."),
            ),
            answers={200: json_answer("Jobs.", schemas.JOBS)},
        ),
        Endpoint(
            method="GET", path="/v1/jobs/{id}", run=_get, summary="A job as it is now", answers={200: job}
        ),
        Endpoint(
            method="DELETE",
            path="/v1/jobs/{id}",
            run=_cancel,
            summary="Cancel a job: in line at once, running within one denoising step",
            answers={200: job},
        ),
        Endpoint(
            method="GET",
            path="/v1/jobs/{id}/events",
            run=_events,
            summary="A job whenever it changes: events called job, the last one done, failed or cancelled",
            query=(Query(name="previews", schema={"type": "boolean", "default": False}, says="With looks."),),
            answers={
                200: Answer(says="The first event is the job as it is.", content={EVENTS: {"type": "string"}})
            },
        ),
    ]


def described(job: Job) -> dict[str, Any]:
    """A job as JSON. It names no file of this machine."""
    try:
        job.raise_error()
        error = None
    except StudioError as failure:
        error = problem_body(problem_of(failure))["error"]
    request = job.request.to_dict()
    request["loras"] = [
        {"path": lora["path"].rsplit("/", 1)[-1], "weight": lora["weight"]} for lora in request["loras"]
    ]
    return {
        "id": job.id,
        "object": "job",
        "sku": job.spec.group or None,
        "status": job.state,
        "created_at": job.submitted,
        "position": job.position,
        "progress": job.progress,
        "eta_seconds": job.eta,
        "pictures": [
            {
                "index": picture.index,
                "step": picture.step,
                "steps": picture.steps,
                "attempts": len(picture.attempts),
                "id": picture.record_id,
                "url": None if picture.record_id is None else f"/v1/images/{picture.record_id}",
            }
            for picture in job.pictures
        ],
        "error": error,
        "notes": list(job.notes),
        "request": request,
    }


async def _submit(call: Call) -> Response:
    key = call.request.headers.get("idempotency-key", "")

    def submit() -> Job:
        service = call.service
        wish = wishes.read(call.values, call.caller, service.library, service.limits)
        service.turnstile.spend(call.caller.user, wish.spec.request.count)
        try:
            return service.queue.submit(replace(wish.spec, idempotency_key=key))
        except RequestError as error:
            raise Problem(422, str(error), code="idempotency_key_reused", param="Idempotency-Key") from None

    job = await to_thread.run_sync(submit)
    return JSONResponse(described(job), 202, headers={"Location": f"/v1/jobs/{job.id}"})


async def _list(call: Call) -> Response:
    query = call.request.query_params
    most, status, sku = int(query.get("limit", 50)), query.get("status"), query.get("sku")

    def find() -> list[Job]:
        jobs = call.service.queue.jobs(call.caller.user)
        of_sku = (job for job in reversed(jobs) if sku in (None, job.spec.group))
        return [job for job in of_sku if status in (None, job.state)]

    jobs = await to_thread.run_sync(find)
    return JSONResponse(
        {"object": "list", "data": [described(job) for job in jobs[:most]], "has_more": len(jobs) > most}
    )


async def _find(call: Call) -> Job:
    """The job of the path. Raises `Problem` 404, which tells nothing about others' jobs."""
    identifier = call.request.path_params["id"]
    job = await to_thread.run_sync(call.service.queue.get, identifier)
    if job is None or job.user != call.caller.user:
        raise Problem(404, f"there is no job {identifier[:60]!r} of this token", code="not_found")
    return job


async def _get(call: Call) -> Response:
    return JSONResponse(described(await _find(call)))


async def _cancel(call: Call) -> Response:
    job = await _find(call)
    await to_thread.run_sync(call.service.queue.cancel, job.id)
    return JSONResponse(described(await _find(call)))


async def _events(call: Call) -> Response:
    job = await _find(call)
    previews = call.request.query_params.get("previews") == "true"
    passing = contextlib.ExitStack()
    passing.enter_context(call.service.turnstile.passing(call.caller.user, 0))
    return events.stream(_told(call, job, previews), passing.close)


async def _told(call: Call, job: Job, previews: bool) -> AsyncGenerator[bytes]:
    service = call.service
    states = service.watch.states(job.id, idle=service.limits.keep_alive)
    try:
        async with contextlib.aclosing(states):
            async for state in states:
                if state is None:
                    yield events.KEEP_ALIVE
                    continue
                told = described(state)
                if previews and state.active:
                    told["previews"] = await to_thread.run_sync(_looks, call, state)
                yield events.event("job" if state.active else state.state, told)
    except Problem as problem:
        yield events.event("error", {"type": "error", **problem_body(problem)})


def _looks(call: Call, job: Job) -> list[dict[str, Any]]:
    found = ((one.index, call.service.queue.preview(job.id, one.index)) for one in job.pictures)
    looks = []
    for index, preview in found:
        if preview is not None:
            small = preview.copy()
            small.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE))
            looks.append({"index": index, "b64_json": pictures.text(pictures.encoded(small, "jpeg"))})
    return looks
