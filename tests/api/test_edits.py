"""OpenAI's own client changes a picture; jobs name pictures that were kept before."""

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import openai
import pytest
import requests
from openai import OpenAI
from PIL import Image

from sdxl_lora.api.service import Service
from tests import tiny
from tests.api.conftest import wait_until

Http = Callable[..., requests.Response]
SIDES = (tiny.SIDE, tiny.SIDE)


def file_of(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def pixels(encoded: str | None) -> Any:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded or ""))).convert("RGB"))


PHOTO = Image.effect_noise(SIDES, 60).convert("RGB")
HALF = Image.new("RGBA", SIDES, (0, 0, 0, 255))
HALF.paste((0, 0, 0, 0), (0, 0, tiny.SIDE // 2, tiny.SIDE))  # the left half is to be drawn anew


def test_a_picture_is_changed_and_the_request_says_from_what(client: OpenAI, service: Service) -> None:
    answer = client.images.edit(
        image=("photo.jpg", file_of(PHOTO, "JPEG")),
        prompt="a red cap",
        extra_body={"strength": 0.5, "steps": 4, "seed": 3, "slots": {}},
    )
    [made] = answer.data or []
    record = service.store.get(made.model_extra["id"])  # type: ignore[index]
    assert (record.request.strength, record.request.seed, record.request.mask) == (0.5, 3, "")
    assert len(record.request.start_picture) == 64
    assert pixels(made.b64_json).shape == (*SIDES, 3)


def test_only_what_the_mask_leaves_transparent_is_drawn_anew(client: OpenAI) -> None:
    answer = client.images.edit(
        image=[("photo.png", file_of(PHOTO))],
        mask=("mask.png", file_of(HALF)),
        prompt="a red cap",
        extra_body={"steps": 3, "mask_feather": 0},
    )
    [made] = answer.data or []
    changed = (pixels(made.b64_json) != np.asarray(PHOTO)).any(axis=2)
    assert changed[:, : tiny.SIDE // 2].mean() > 0.9
    assert not changed[:, tiny.SIDE // 2 :].any()


def test_a_change_is_streamed(client: OpenAI) -> None:
    stream = client.images.edit(
        image=file_of(PHOTO), prompt="a cap", stream=True, partial_images=1, extra_body={"steps": 12}
    )
    assert [event.type for event in stream][-1] == "image_edit.completed"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"image": b"no picture"}, "cannot be read as a picture"),
        ({"image": [file_of(PHOTO), file_of(PHOTO)]}, "one picture is changed at a time"),
        ({"mask": file_of(PHOTO)}, "has no transparency"),
        ({"mask": file_of(HALF.resize((32, 32)))}, "draw it on that very picture"),
        ({"mask": file_of(Image.new("RGBA", SIDES, "white"))}, "the mask is empty"),
        ({"extra_body": {"strength": 2}}, "is more than 1"),
        ({"extra_body": {"steps": "x"}}, "is not of type integer"),
        ({"extra_body": {"start_picture": "0" * 64}}, "no field named 'start_picture'"),
        ({"image": file_of(Image.new("RGB", (8, 8)))}, "its sides need 64 px"),
    ],
)
def test_what_cannot_be_changed_is_said(client: OpenAI, change: dict[str, Any], says: str) -> None:
    with pytest.raises((openai.BadRequestError, openai.UnprocessableEntityError), match=says):
        client.images.edit(**{"image": file_of(PHOTO), "prompt": "a cap", **change})


def test_a_form_without_a_picture_and_one_that_is_damaged_are_said(http: Http) -> None:
    without = http("POST", "/v1/images/edits", files={"prompt": (None, "a cap")})
    assert (without.status_code, without.json()["error"]["param"]) == (400, "image")
    as_text = http("POST", "/v1/images/edits", files={"prompt": (None, "a cap"), "image": (None, "x")})
    assert as_text.status_code == 422
    broken = http(
        "POST",
        "/v1/images/edits",
        data=b"--x\r\nnonsense",
        headers={"Content-Type": "multipart/form-data"},
    )
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, "invalid_form")
    elsewhere = http("POST", "/v1/images/edits", files={"prompt": (None, "a"), "photo": file_of(PHOTO)})
    assert elsewhere.json()["error"]["param"] == "photo"


def test_a_job_begins_from_a_picture_that_was_kept_before(http: Http, service: Service) -> None:
    kept = http("POST", "/v1/inputs", files={"file": file_of(PHOTO, "WEBP")}).json()
    assert (kept["kind"], kept["width"]) == ("png", tiny.SIDE)
    body = {"prompt": "a cap", "start_picture": kept["hash"], "strength": 0.5, "steps": 4}
    path = http("POST", "/v1/jobs", json=body).headers["Location"]
    job = wait_until(lambda: (now := http("GET", path).json())["status"] == "done" and now)
    record = service.store.get(job["pictures"][0]["id"])
    assert record.request.start_picture == kept["hash"]
    unknown = http("POST", "/v1/jobs", json={**body, "start_picture": "0" * 64})
    assert unknown.status_code == 404


def test_a_drawing_is_kept_as_it_is_and_nothing_else_is(http: Http) -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8"/></svg>'
    kept = http("POST", "/v1/inputs", files={"file": svg}).json()
    assert (kept["kind"], kept["width"]) == ("svg", 0)
    assert http("POST", "/v1/inputs", files={"file": b"<html></html>"}).status_code == 422
    assert http("POST", "/v1/inputs", files={"file": b""}).status_code == 422
