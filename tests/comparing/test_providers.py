"""OpenAI and Google through their own clients, against a server on this machine; where the key goes."""

import base64
import importlib.util
import io
import logging
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sdxl_lora.comparing import engine, providers
from sdxl_lora.comparing.columns import of_pictures, of_provider
from sdxl_lora.comparing.engine import Filled, Stopped
from sdxl_lora.comparing.prompts import EXAMPLES, Row
from sdxl_lora.errors import ModelUnavailableError
from sdxl_lora.provenance import certificate, reading, signing
from sdxl_lora.records.comparisons import ComparisonStore
from sdxl_lora.records.iptc import SourceType
from tests.comparing.conftest import Stub, encoded, file_of

KEY = "sk-a-secret-nobody-may-see-0123456789"
ROWS = (Row(key="one", prompt="a red hoodie"), Row(key="two", prompt="a blue cap"))


def openai_answer(_: str, __: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return 200, {"created": 1, "data": [{"b64_json": encoded()}]}


def gemini_answer(_: str, __: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    part = {"inlineData": {"mimeType": "image/png", "data": encoded()}}
    return 200, {"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}]}


def imagen_answer(_: str, __: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return 200, {"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": encoded()}]}


def openai_error(status: int, message: str, code: str = "") -> Any:
    return lambda *_: (status, {"error": {"message": message, "type": "error", "code": code}})


def google_error(status: int, message: str, name: str = "INVALID_ARGUMENT") -> Any:
    return lambda *_: (status, {"error": {"code": status, "message": message, "status": name}})


CASES = [
    ("openai", "gpt-image-2.5-sunburst", openai_answer, "/v1/images/generations", "authorization"),
    ("google", "gemini-3.1-flash-image", gemini_answer, ":generateContent", "x-goog-api-key"),
    ("google", "imagen-4.0-generate-001", imagen_answer, ":predict", "x-goog-api-key"),
]


@pytest.mark.parametrize(
    ("kind", "model", "answer", "path", "header"), CASES, ids=[case[1] for case in CASES]
)
def test_a_prompt_becomes_a_picture_by_the_protocol_of_each_provider(
    stub: Stub, kind: str, model: str, answer: Any, path: str, header: str
) -> None:
    stub.answer = answer
    data = providers.open_provider(kind, model, KEY).picture("a red hoodie, logo on chest")
    assert Image.open(io.BytesIO(data)).getpixel((0, 0)) == (255, 0, 0)
    [(asked, headers, body)] = stub.requests
    assert asked.split("?")[0].endswith(path)
    assert KEY in headers[header]
    assert KEY not in asked
    assert "a red hoodie, logo on chest" in str(body)
    assert model in f"{asked} {body}"


@pytest.mark.parametrize(
    ("kind", "error", "expected"),
    [
        (
            "openai",
            openai_error(400, "Your request was rejected", "moderation_blocked"),
            "request was rejected",
        ),
        ("google", google_error(400, "This prompt is not allowed"), "not allowed"),
        ("google", lambda *_: (200, {"promptFeedback": {"blockReason": "SAFETY"}}), "SAFETY"),
        ("google", lambda *_: (200, {"candidates": [{"finishReason": "IMAGE_SAFETY"}]}), "IMAGE_SAFETY"),
        ("openai", lambda *_: (200, {"created": 1, "data": []}), "without a picture"),
        ("openai", lambda *_: (200, {"created": 1, "data": [{"b64_json": "%%%"}]}), "cannot be decoded"),
    ],
)
def test_a_refused_prompt_says_why(stub: Stub, kind: str, error: Any, expected: str) -> None:
    stub.answer = error
    with pytest.raises(providers.Refused, match=expected):
        providers.open_provider(kind, providers.SERVICES[kind].default_model, KEY).picture("x")


@pytest.mark.parametrize(
    ("kind", "error", "expected"),
    [
        ("openai", openai_error(401, f"Incorrect API key provided: {KEY}"), "does not accept this key"),
        ("openai", openai_error(404, "no such model"), "no model"),
        ("openai", openai_error(429, f"slow down, {KEY}"), "too many requests, or no credit"),
        ("openai", openai_error(500, f"oops {KEY}"), "answered 500"),
        ("google", google_error(400, f"API key not valid: {KEY}"), "does not accept this key"),
        ("google", google_error(404, "models/x is not found", "NOT_FOUND"), "no model"),
        ("google", google_error(403, f"{KEY} was reported", "PERMISSION_DENIED"), "does not accept this key"),
    ],
)
def test_every_failure_is_one_line_without_the_key(stub: Stub, kind: str, error: Any, expected: str) -> None:
    stub.answer = error
    with pytest.raises(ModelUnavailableError, match=expected) as caught:
        providers.open_provider(kind, providers.SERVICES[kind].default_model, KEY).picture("x")
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_provider_that_cannot_be_reached_says_so(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "RETRIES", 0)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:9")
    for kind in providers.SERVICES:
        with pytest.raises(ModelUnavailableError, match="cannot be reached"):
            providers.open_provider(kind, providers.SERVICES[kind].default_model, KEY).picture("x")


def test_the_key_comes_from_the_environment_unless_it_is_given(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.answer = openai_answer
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    providers.open_provider("openai", "gpt-image-2").picture("x")
    providers.open_provider("openai", "gpt-image-2", KEY).picture("x")
    assert [headers["authorization"] for _, headers, _ in stub.requests] == [
        "Bearer sk-of-the-environment",
        f"Bearer {KEY}",
    ]


@pytest.mark.parametrize(
    ("key", "expected"), [("", "no key; set OPENAI_API_KEY"), ("sk-ä\x07", "no key has")]
)
def test_a_missing_or_broken_key_is_said_before_anything_is_asked(
    stub: Stub, key: str, expected: str
) -> None:
    with pytest.raises(ModelUnavailableError, match=expected):
        providers.open_provider("openai", "gpt-image-2", key)
    assert stub.requests == []


def test_without_the_client_the_message_names_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelUnavailableError, match=r"requirements-extra\.txt"):
        providers.open_provider("google", "gemini-3.1-flash-image", KEY)


def test_a_key_is_in_no_file_no_log_and_no_record(
    stub: Stub, store: ComparisonStore, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stub.answer = lambda path, body: (openai_answer if path.startswith("/v1/images") else gemini_answer)(
        path, body
    )
    systems = [of_provider("A", "openai"), of_provider("B", "google")]
    record = engine.begin(store, ROWS, systems)
    events = list(engine.fill(store, record, keys={0: KEY, 1: KEY}))
    assert [type(event) for event in events] == [Filled] * 4
    assert len(stub.requests) == 4
    assert KEY not in repr(store.get(record.id))
    assert KEY not in caplog.text
    written = [path for path in home.rglob("*") if path.is_file()]
    assert len(written) >= 6
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []


def test_the_credentials_of_a_provider_stay_byte_for_byte(
    stub: Stub, store: ComparisonStore, tmp_path: Path, home: Path
) -> None:
    """A changed byte would turn a valid signature of theirs into one that says: tampered with."""
    who = certificate.own(tmp_path / "provider")
    drawn = base64.b64decode(encoded())
    theirs = signing.sign(drawn, "image/png", who, source_type=SourceType.GENERATED)
    answer = {"created": 1, "data": [{"b64_json": base64.b64encode(theirs).decode()}]}
    stub.answer = lambda *_: (200, answer)
    record = engine.begin(store, ROWS, [of_provider("A", "openai"), of_provider("B", "openai")])
    list(engine.fill(store, record, keys={0: KEY, 1: KEY}))
    kept = [cell.path.read_bytes() for cell in store.get(record.id).cells.values() if cell.path]
    assert kept == [theirs] * 4
    assert reading.read(kept[0], "image/png", home).state == "unknown signer"


def test_a_refused_prompt_settles_its_cell_and_is_not_asked_again(stub: Stub, store: ComparisonStore) -> None:
    refusal = openai_error(400, "not this one", "moderation_blocked")
    stub.answer = lambda path, body: (refusal if "hoodie" in body["prompt"] else openai_answer)(path, body)
    files = {"1.png": file_of("navy"), "2.png": file_of("black")}
    record = engine.begin(
        store, ROWS, [of_provider("A", "openai"), of_pictures("B", files, ROWS, source="B")]
    )
    list(engine.fill(store, record, keys={0: KEY}))
    record = store.get(record.id)
    assert "not this one" in record.cells[0, 0].reason
    assert record.missing == []
    assert list(engine.fill(store, record, keys={0: KEY})) == []
    assert len(stub.requests) == 2
    scores = engine.score(store, record)
    assert (scores["rows"], scores["left_out"]) == (["two"], ["one"])


def test_a_provider_that_stops_halfway_goes_on_later_without_asking_twice(
    stub: Stub, store: ComparisonStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "RETRIES", 0)
    stub.answer = lambda *_: openai_answer("", {}) if len(stub.requests) == 1 else openai_error(429, "busy")()
    record = engine.begin(store, ROWS, [of_provider("A", "openai"), of_provider("B", "google")])
    events = list(engine.fill(store, record, keys={0: KEY}))
    assert [type(event) for event in events] == [Filled, Stopped, Stopped]  # and Google has no key
    stub.answer = openai_answer
    record = store.get(record.id)
    assert record.missing == [(0, 1), (1, 0), (1, 1)]
    list(engine.fill(store, record, keys={0: KEY}))
    assert [body["prompt"] for _, _, body in stub.requests] == ["a red hoodie", "a blue cap", "a blue cap"]


def test_the_examples_are_the_five_prompts_of_the_original() -> None:
    from sdxl_lora.mini import captions

    assert [row.prompt for row in EXAMPLES] == list(captions._EXAMPLES[1:])
