"""/v1/jobs: asked for now, fetched whenever."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from sdxl_lora.api.service import Service
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.request import GenerationRequest
from tests.api.conftest import PATIENCE, finished, wait_until

Http = Callable[..., requests.Response]
LONG = {"prompt": "a long one", "steps": 150, "n": 4}


def submit(http: Http, body: dict[str, Any], key: str = "") -> requests.Response:
    return http("POST", "/v1/jobs", json=body, headers={"Idempotency-Key": key} if key else {})


def told(address: str, path: str) -> list[tuple[str, dict[str, Any]]]:
    """(name, data) of all events of a stream."""
    with requests.get(address + path, stream=True, timeout=PATIENCE) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-accel-buffering"] == "no"
        blocks = answer.text.strip().split("\n\n")
    lines = [block.split("\n") for block in blocks if not block.startswith(":")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in lines]


def test_a_job_is_accepted_at_once_and_its_pictures_are_fetched_later(http: Http, address: str) -> None:
    accepted = submit(http, {"prompt": "a cap", "n": 2, "seed": 11, "steps": 2})
    assert accepted.status_code == 202
    path = accepted.headers["Location"]
    job = wait_until(lambda: (now := http("GET", path).json())["status"] == "done" and now)
    assert (job["progress"], job["error"], job["request"]["seed"]) == (1.0, None, 11)
    files = [http("GET", picture["url"]) for picture in job["pictures"]]
    assert [file.headers["content-type"] for file in files] == ["image/png"] * 2


def test_events_tell_of_a_job_from_where_it_is_to_its_end(http: Http, address: str) -> None:
    path = submit(http, {"prompt": "a cap", "steps": 20}).headers["Location"]
    events = told(address, f"{path}/events?previews=true")
    assert [name for name, _ in events[:-1]] == ["job"] * (len(events) - 1)
    name, last = events[-1]
    assert (name, last["status"], len(last["pictures"])) == ("done", "done", 1)
    progress = [job["progress"] for _, job in events]
    assert progress == sorted(progress)
    assert any(job.get("previews") for _, job in events)
    assert [name for name, _ in told(address, f"{path}/events")] == ["done"]


def test_a_cancelled_job_stops_and_keeps_what_is_done(http: Http, service: Service) -> None:
    path = submit(http, LONG).headers["Location"]
    assert http("DELETE", path).status_code == 200
    finished(service, "api")
    job = http("GET", path).json()
    assert job["status"] == "cancelled"
    assert job["error"]["code"] == "cancelled"
    assert http("DELETE", path).json() == job


def test_who_stops_listening_cancels_nothing(http: Http, address: str, service: Service) -> None:
    path = submit(http, {"prompt": "goes on", "steps": 60}).headers["Location"]
    with requests.get(f"{address}{path}/events", stream=True, timeout=PATIENCE) as answer:
        next(answer.iter_lines())
    wait_until(lambda: service.turnstile.inside == 0)
    assert wait_until(lambda: http("GET", path).json()["status"] == "done")


def test_the_same_key_is_the_same_job(http: Http) -> None:
    body = {"prompt": "once", "steps": 1}
    first, second = submit(http, body, "order-17"), submit(http, body, "order-17")
    assert first.json()["id"] == second.json()["id"]
    other = submit(http, {**body, "steps": 2}, "order-17")
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
    assert submit(http, body, "order-18").json()["id"] != first.json()["id"]


@pytest.mark.parametrize("key", ["", "a b", "x" * 201])
def test_a_key_that_is_none_is_refused(http: Http, key: str) -> None:
    answer = http("POST", "/v1/jobs", json={"prompt": "a cap"}, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "Idempotency-Key")


def test_the_place_in_line_is_told(http: Http, service: Service) -> None:
    running = submit(http, LONG).json()
    waiting = submit(http, {"prompt": "waits", "steps": 1}).json()
    assert waiting["position"] >= 1
    http("DELETE", f"/v1/jobs/{running['id']}")
    http("DELETE", f"/v1/jobs/{waiting['id']}")
    finished(service, "api")


def test_jobs_are_listed_the_latest_first(http: Http) -> None:
    made = [submit(http, {"prompt": f"number {n}", "steps": 1}).json()["id"] for n in range(3)]
    listed = http("GET", "/v1/jobs?limit=2").json()
    assert [job["id"] for job in listed["data"]] == made[:0:-1]
    assert listed["has_more"] is True
    wait_until(lambda: http("GET", "/v1/jobs?status=queued").json()["data"] == [])
    assert http("GET", "/v1/jobs?limit=0").status_code == 400
    assert http("GET", "/v1/jobs?status=gone").status_code == 400


def test_jobs_of_the_pages_are_not_told_of(http: Http, service: Service) -> None:
    own = service.queue.submit(
        JobSpec(request=GenerationRequest(prompt="of the page", steps=1), user="a browser")
    )
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/events")):
        assert http(method, f"/v1/jobs/{own.id}{path}").status_code == 404
    assert own.id not in http("GET", "/v1/jobs").text
    done = service.queue.wait(own.id, PATIENCE)
    assert done is not None
    assert done.state == "done"


def test_what_only_an_answer_at_once_can_do_is_not_taken(http: Http) -> None:
    answer = submit(http, {"prompt": "a cap", "stream": True})
    assert answer.json()["error"]["code"] == "unknown_parameter"


def test_jobs_are_found_by_the_number_of_the_product(http: Http) -> None:
    made = submit(http, {"prompt": "a cap", "steps": 1, "sku": "CAP-17/navy"}).json()
    assert made["sku"] == "CAP-17/navy"
    listed = http("GET", "/v1/jobs", params={"sku": "CAP-17/navy"}).json()
    assert [job["id"] for job in listed["data"]] == [made["id"]]
    assert submit(http, {"prompt": "a cap", "sku": "a\nb"}).status_code == 400
