"""OpenAI's own client draws, streams, and is told what is wrong; what is drawn is what the studio would draw."""

import base64
import io
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest
import requests
from openai import OpenAI
from PIL import Image

from sdxl_lora.api.service import Service
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.records import metadata
from sdxl_lora.request import GenerationRequest
from tests import tiny
from tests.api.conftest import finished, wait_until


def picture(encoded: str | None) -> Image.Image:
    assert encoded is not None
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def test_a_picture_is_the_one_that_the_studio_draws_of_the_same_request(
    client: OpenAI, service: Service
) -> None:
    answer = client.images.generate(prompt="a navy jacket", extra_body={"seed": 7, "steps": 3})
    [made] = answer.data or []
    own = service.queue.submit(JobSpec(request=GenerationRequest(prompt="a navy jacket", seed=7, steps=3)))
    done = service.queue.wait(own.id, 30)
    assert done is not None
    [identifier] = done.record_ids
    with Image.open(service.store.get(identifier).path) as theirs:
        assert picture(made.b64_json).tobytes() == theirs.tobytes()
    assert answer.size == f"{tiny.SIDE}x{tiny.SIDE}"


def test_a_picture_carries_its_request_and_is_in_the_gallery(client: OpenAI, service: Service) -> None:
    answer = client.images.generate(prompt="a red cap", extra_body={"seed": 5, "negative_prompt": "dark"})
    [made] = answer.data or []
    found = metadata.read(io.BytesIO(base64.b64decode(made.b64_json or "")))
    assert (found.request.prompt, found.request.seed) == ("a red cap", 5)
    record = service.store.get(made.model_extra["id"])  # type: ignore[index]
    assert (record.session, record.request.negative_prompt) == ("api", "dark")


def test_seeds_of_several_pictures_count_up_and_people_at_browsers_go_first(
    client: OpenAI, service: Service
) -> None:
    answer = client.images.generate(prompt="three caps", n=3, extra_body={"seed": 40, "steps": 1})
    assert [one.model_extra["seed"] for one in answer.data or []] == [40, 41, 42]  # type: ignore[index]
    [job] = [job for job in service.queue.jobs("api") if job.request.prompt == "three caps"]
    assert (job.request.count, job.spec.priority) == (3, "batch")


def test_a_template_is_filled_and_words_are_added(client: OpenAI) -> None:
    extra = {"template": "jacket", "slots": {"colour": "navy"}, "steps": 1}
    [made] = client.images.generate(prompt="in the rain", extra_body=extra).data or []
    words = made.revised_prompt or ""
    assert "navy" in words
    assert words.endswith(", in the rain")
    again = client.images.generate(prompt="in the rain", extra_body={**extra, "slots": [["colour", "navy"]]})
    flags = client.images.generate(
        prompt="in the rain", extra_body={"template": "jacket", "set": "colour=navy"}
    )
    assert {one.revised_prompt for one in [*(again.data or []), *(flags.data or [])]} == {words}


def test_a_lora_is_named_and_never_a_path(client: OpenAI, api_home: Path) -> None:
    file = tiny.save_lora(api_home / "loras" / "crest.safetensors")
    plain, with_lora, in_full = (
        client.images.generate(prompt="a tee", extra_body={"seed": 1, "steps": 2, **more})
        for more in ({}, {"lora": "crest:0.9"}, {"loras": [{"path": "crest", "weight": 0.9}]})
    )
    pictures = [picture((answer.data or [])[0].b64_json).tobytes() for answer in (plain, with_lora, in_full)]
    assert pictures[0] != pictures[1] == pictures[2]
    with pytest.raises(openai.UnprocessableEntityError, match="no LoRA named"):
        client.images.generate(prompt="a tee", extra_body={"lora": str(file)})


@pytest.mark.parametrize("name", ["/etc", "owner/name", "https://example.org/model", "../mini"])
def test_a_model_is_named_and_never_a_path_or_an_address(client: OpenAI, name: str) -> None:
    with pytest.raises(openai.UnprocessableEntityError, match="no model named"):
        client.images.generate(prompt="a tee", model=name)


def test_the_best_of_several_attempts_is_one_job(client: OpenAI, service: Service) -> None:
    answer = client.images.generate(
        prompt="tried hard", n=2, extra_body={"level": "draft", "steps": 2, "seed": 9}
    )
    assert len(answer.data or []) == 2
    [job] = [job for job in service.queue.jobs("api") if job.request.prompt == "tried hard"]
    assert job.searches
    assert job.spec.effort.level == "draft"


def test_quality_says_how_hard_to_try_where_no_level_does(client: OpenAI, service: Service) -> None:
    client.images.generate(prompt="by quality", quality="medium", extra_body={"steps": 1})
    client.images.generate(prompt="by quality", quality="low", extra_body={"steps": 1})
    jobs = [job for job in service.queue.jobs("api") if job.request.prompt == "by quality"]
    assert [job.spec.effort.level for job in jobs] == ["draft", ""]


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_other_kinds_of_files_still_say_how_they_were_made_and_by_what(client: OpenAI, kind: Any) -> None:
    answer = client.images.generate(
        prompt="a cap",
        output_format=kind,
        output_compression=60,
        extra_body={"steps": 1},
    )
    [made] = answer.data or []
    assert answer.output_format == kind
    image = picture(made.b64_json)
    assert image.format == kind.upper()
    assert b"trainedAlgorithmicMedia" in image.info["xmp"]
    found = metadata.read(io.BytesIO(base64.b64decode(made.b64_json or "")))
    assert found.request.prompt == "a cap"


def test_a_picture_by_address_is_the_same_file(
    client: OpenAI, http: Callable[..., requests.Response], address: str
) -> None:
    by_url = client.images.generate(prompt="a cap", response_format="url", extra_body={"seed": 3, "steps": 1})
    [made] = by_url.data or []
    url = made.url or ""
    assert url.startswith(address)
    file = http("GET", url.removeprefix(address))
    assert (file.status_code, file.headers["content-type"]) == (200, "image/png")
    assert metadata.read(io.BytesIO(file.content)).request.seed == 3


def test_a_stream_shows_the_picture_on_its_way_and_then_whole(client: OpenAI) -> None:
    stream = client.images.generate(
        prompt="a cap", stream=True, partial_images=2, extra_body={"steps": 12, "seed": 2}
    )
    told = list(stream)
    assert told[-1].type == "image_generation.completed"
    looks = [event for event in told if event.type == "image_generation.partial_image"]
    assert [look.partial_image_index for look in looks] == list(range(len(looks)))
    assert 1 <= len(looks) <= 2
    assert {picture(event.b64_json).size for event in told} == {(tiny.SIDE, tiny.SIDE)}
    whole = client.images.generate(prompt="a cap", extra_body={"steps": 12, "seed": 2})
    expected = picture((whole.data or [])[0].b64_json)
    assert picture(told[-1].b64_json).tobytes() == expected.tobytes()


def test_a_stream_of_what_cannot_be_drawn_is_refused_before_it_begins(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="steps"):
        client.images.generate(prompt="a cap", stream=True, extra_body={"steps": 1000})


@pytest.mark.parametrize(
    ("wrong", "status", "param", "says"),
    [
        ({"prompt": ""}, 422, None, "the prompt is empty"),
        ({"prompt": "  \n"}, 422, None, "the prompt is empty"),
        ({"prompt": "x" * 5000}, 400, "prompt", "is longer than 4000"),
        ({"prompt": "a\x00b"}, 400, "prompt", "cannot be used"),
        ({"prompt": 5}, 400, "prompt", "is not of type string"),
        ({"n": 0}, 400, "n", "is less than 1"),
        ({"n": 99}, 400, "n", "is more than 4"),
        ({"size": "huge"}, 400, "size", "WIDTHxHEIGHT"),
        ({"size": "63x64"}, 422, None, "width 63 is not between"),
        ({"size": "2048x2048"}, 422, None, "too large"),
        ({"size": "64x64", "width": 64}, 400, "size", "not both"),
        ({"stepz": 3}, 400, "stepz", "did you mean 'steps'?"),
        ({"steps": "many"}, 400, "steps", "is not of type integer"),
        ({"guidance": 1e9}, 400, "guidance", "is more than 30"),
        ({"template": "jackett"}, 422, None, "did you mean 'jacket'?"),
        ({"slots": {"colour": "navy"}}, 422, None, "name the template"),
        ({"background": "transparent"}, 400, "background", "is not one of"),
        ({"scheduler": "eular"}, 422, None, "did you mean 'euler'?"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    http: Callable[..., requests.Response], wrong: dict[str, object], status: int, param: str, says: str
) -> None:
    answer = http("POST", "/v1/images/generations", json={"prompt": "a cap", **wrong})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (status, param)
    assert says in error["message"]
    assert "\n" not in error["message"]
    assert error["type"] == "invalid_request_error"


def test_nothing_to_draw_at_all_is_a_missing_prompt(http: Callable[..., requests.Response]) -> None:
    answer = http("POST", "/v1/images/generations", json={})
    assert answer.json()["error"]["code"] == "missing_required_parameter"


def test_pictures_of_others_are_not_told_of(http: Callable[..., requests.Response], service: Service) -> None:
    request = GenerationRequest(prompt="of the page", steps=1)
    own = service.queue.submit(JobSpec(request=request, user="a browser"))
    done = service.queue.wait(own.id, 30)
    assert done is not None
    assert http("GET", f"/v1/images/{done.record_ids[0]}").status_code == 404
    assert http("GET", "/v1/images/..%2F..%2Fetc%2Fpasswd").status_code == 404


def hang_up_after(address: str, body: dict[str, object], service: Service) -> None:
    """Sends a request as a client does that dies while its picture is drawn."""
    host, port = address.removeprefix("http://").split(":")
    data = json.dumps(body).encode()
    head = f"POST /v1/images/generations HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        wait_until(lambda: any(job.request.prompt == body["prompt"] for job in service.queue.jobs("api")))
        time.sleep(0.05)


@pytest.mark.parametrize("stream", [False, True])
def test_who_hangs_up_does_not_want_its_pictures_any_more(
    address: str, service: Service, stream: bool
) -> None:
    words = f"nobody waits for it {stream}"
    hang_up_after(address, {"prompt": words, "steps": 150, "n": 4, "stream": stream}, service)
    [job] = [job for job in finished(service, "api") if job.request.prompt == words]
    assert job.state == "cancelled"
    assert wait_until(lambda: service.turnstile.inside == 0)
