"""Bodies that are too large, too slow, of the wrong kind, or no JSON at all."""

import gzip
import json
import socket
import time
from collections.abc import Callable, Iterator

import pytest
import requests
from starlette.applications import Starlette

from sdxl_lora.api.app import alone
from sdxl_lora.api.settings import Limits
from sdxl_lora.errors import RequestError
from tests.api.conftest import serving, wait_until

Http = Callable[..., requests.Response]
PATH = "/v1/images/generations"


@pytest.mark.parametrize(
    ("data", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "invalid_json"),
        (b"", "application/json", 400, "invalid_json"),
        (b"\xff\xfe", "application/json", 400, "invalid_json"),
        (b"[" * 100_000, "application/json", 400, "invalid_json"),
        (b'{"prompt": "x", "seed": ' + b"9" * 5000 + b"}", "application/json", 400, "invalid_json"),
        (b'{"prompt": "x", "seed": 1e400}', "application/json", 400, "invalid_value"),
        (b'{"prompt": "x", "guidance": NaN}', "application/json", 422, "invalid_value"),
        (b'{"prompt": "\\ud800"}', "application/json", 422, "invalid_value"),
        (b"[]", "application/json", 400, "invalid_value"),
        (b"null", "application/json", 400, "invalid_value"),
        (b'"prompt"', "application/json", 400, "invalid_value"),
        (b'{"prompt": "x"}', "text/plain", 415, "unsupported_media_type"),
        (b"prompt=x", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (gzip.compress(b'{"prompt": "x"}', mtime=0), "application/json", 400, "invalid_json"),
    ],
)
def test_what_is_no_request_is_said_in_one_line(
    http: Http, data: bytes, kind: str, status: int, code: str
) -> None:
    answer = http("POST", PATH, data=data, headers={"Content-Type": kind})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert "\n" not in error["message"]
    assert len(error["message"]) <= 500


def test_unknown_paths_and_methods_are_said_in_the_same_form(http: Http) -> None:
    nowhere, wrong = http("GET", "/v1/nothing"), http("PUT", "/v1/jobs")
    assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
    assert set(wrong.headers["allow"].split(", ")) >= {"GET", "POST"}


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Starlette]]:
    """(address, application) of a server that allows little."""
    limits = Limits(json_bytes=2_000, body_bytes=50_000, seconds_to_send=0.4, per_minute=3, at_once=1)
    app = alone(tmp_path_factory.mktemp("narrow"), limits=limits)
    with serving(app) as address:
        yield address, app


def raw(address: str, head: str, *parts: bytes, pause: float = 0.0) -> bytes:
    """The beginning of the answer to a request written by hand."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\n{head}\r\n\r\n".encode())
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        return connection.recv(4_000)


def test_a_body_that_says_it_is_too_large_is_not_read(narrow: tuple[str, Starlette]) -> None:
    answer = raw(narrow[0], "Content-Type: application/json\r\nContent-Length: 99999999999")
    assert answer.startswith(b"HTTP/1.1 413")


def test_a_body_that_does_not_say_how_large_it_is_is_read_up_to_the_limit(
    narrow: tuple[str, Starlette],
) -> None:
    piece = b"400\r\n" + b" " * 0x400 + b"\r\n"
    answer = raw(narrow[0], "Content-Type: application/json\r\nTransfer-Encoding: chunked", *[piece] * 3)
    assert answer.startswith(b"HTTP/1.1 413")


def test_a_body_that_does_not_come_is_not_waited_for(narrow: tuple[str, Starlette]) -> None:
    answer = raw(narrow[0], "Content-Type: application/json\r\nContent-Length: 100", b"{")
    assert answer.startswith(b"HTTP/1.1 408")


def test_who_asks_for_too_much_is_told_when_to_come_back(narrow: tuple[str, Starlette]) -> None:
    address = narrow[0]
    body = {"prompt": "a cap", "steps": 1}
    statuses = [requests.post(address + "/v1/jobs", json=body, timeout=30) for _ in range(5)]
    assert [answer.status_code for answer in statuses] == [202, 202, 202, 429, 429]
    assert 1 <= int(statuses[-1].headers["retry-after"]) <= 60
    assert statuses[-1].json()["error"]["type"] == "rate_limit_error"


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "9999999999"])
def test_a_limit_that_is_no_number_is_said_at_the_start(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDXL_LORA_API_RATE", text)
    with pytest.raises(RequestError, match="SDXL_LORA_API_RATE"):
        Limits.from_environment()


def test_limits_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDXL_LORA_API_BODY_MB", "8")
    assert Limits.from_environment().body_bytes == 8 * 2**20
    assert json.dumps(Limits().json_bytes)


def test_a_line_that_is_longer_than_anybody_waits_is_said_at_once(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    app = alone(tmp_path_factory.mktemp("long-line"), limits=Limits(longest_wait=0.0))
    body = {"prompt": "a cap", "steps": 20}
    with serving(app) as address:
        first = requests.post(address + PATH, json=body, timeout=30)  # how long it takes is known from now on
        running = requests.post(address + "/v1/jobs", json={**body, "n": 10}, timeout=30).json()
        place = f"{address}/v1/jobs/{running['id']}"
        wait_until(lambda: requests.get(place, timeout=30).json()["eta_seconds"] is not None)
        answers = (requests.post(address + PATH, json=body, timeout=30) for _ in range(9))
        second = next(
            answer for answer in answers if answer.status_code != 200
        )  # a 200: nobody knew just then
        assert (first.status_code, second.status_code) == (200, 429)
        assert "Retry-After" in second.headers
        assert "ask for a job" in second.json()["error"]["message"]
        wait_until(lambda: app.state.service.queue.jobs("api")[-1].state == "cancelled")  # it may have begun
