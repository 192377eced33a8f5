"""OpenAI's /v1/images/edits: a picture, perhaps a mask, and what is to become of it. And inputs that jobs can name."""

from typing import Any

from anyio import to_thread
from starlette.responses import JSONResponse, Response

from sdxl_lora import inputs
from sdxl_lora.api import images, schemas, sent, wishes
from sdxl_lora.api.bodies import FORM, Body
from sdxl_lora.api.endpoints import Call, Endpoint, json_answer
from sdxl_lora.api.problems import Problem
from sdxl_lora.api.settings import Limits
from sdxl_lora.api.wishes import Wish

_FILE = {"type": "string", "format": "binary"}


def endpoints(limits: Limits) -> list[Endpoint]:
    """What this module answers."""
    body = schemas.generation(limits)
    fields = {name: field for name, field in body["properties"].items() if name != "start_picture"}
    edit = {
        "image": {**_FILE, "description": "PNG, JPEG or WebP: the picture to begin from."},
        "image[]": {**_FILE, "description": "The same; OpenAI's clients name it so in a list of one."},
        "mask": {
            **_FILE,
            "description": "A PNG of the same size: what is transparent is drawn anew, nothing else.",
        },
        "input_fidelity": schemas.open_field(
            schemas.one_of("low", "high"), "Where no strength is given: high changes less.", "low"
        ),
    }
    picture = {"anyOf": [{"required": ["image"]}, {"required": ["image[]"]}]}
    schema = {**body, "properties": schemas.without_null({**fields, **edit}), "allOf": [picture]}
    return [
        Endpoint(
            method="POST",
            path="/v1/images/edits",
            run=_edit,
            summary="Change a picture, and wait for it",
            body=Body(schema=schema, kind=FORM, files=("image", "image[]", "mask"), pictures=True),
            answers={200: images.drawn("image_edit")},
            draws=True,
        ),
        Endpoint(
            method="POST",
            path="/v1/inputs",
            run=_keep,
            summary="Keep a picture or an SVG, for start_picture, mask and logos of a job",
            body=Body(
                schema=schemas.thing({"file": {**_FILE, "description": "PNG, JPEG, WebP or SVG."}}),
                kind=FORM,
                files=("file",),
                pictures=True,
            ),
            answers={200: json_answer("How it is named from now on.", schemas.INPUT)},
            draws=True,
        ),
    ]


_FIDELITY = {"low": 0.6, "high": 0.35}  # strength


async def _edit(call: Call) -> Response:
    def read() -> Wish:
        values = {name: value for name, value in call.values.items() if value is not None}
        files = call.given.files
        pictures = [*files.get("image", []), *files.get("image[]", [])]
        if len(pictures) != 1:
            raise Problem(
                422,
                f"one picture is changed at a time, and {len(pictures)} came; send one, in the field image",
                code="invalid_value",
                param="image",
            )
        fidelity = values.pop("input_fidelity", None)
        values["start_picture"] = sent.start_picture(pictures[0], "image")
        if masks := files.get("mask"):
            values["mask"] = sent.mask_of_alpha(masks[0], "mask")
        elif fidelity:
            values.setdefault("strength", _FIDELITY[fidelity])
        return wishes.read(values, call.caller, call.service.library, call.service.limits)

    return await images.answer(call, await to_thread.run_sync(read), "image_edit")


async def _keep(call: Call) -> Response:
    def keep() -> dict[str, Any]:
        files = call.given.files.get("file", [])
        if len(files) != 1:
            raise Problem(422, "send one file, in the field file", code="invalid_value", param="file")
        call.service.turnstile.spend(call.caller.user, 1)
        head = files[0][:512].lstrip()
        is_vector = head.startswith((b"<", b"\xef\xbb\xbf<"))
        kept = inputs.keep_vector(files[0]) if is_vector else inputs.keep(files[0], alpha=True, smallest=1)
        facts = {"hash": kept.hash, "kind": kept.kind, "width": kept.width, "height": kept.height}
        return {**facts, "notes": list(kept.notes)}

    return JSONResponse(await to_thread.run_sync(keep))
