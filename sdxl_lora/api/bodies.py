"""The bodies of requests: read up to a limit of bytes and of time, and held against the schema that is published.

What the OpenAPI document says is therefore exactly what is taken.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from sdxl_lora import plain_json
from sdxl_lora.api.problems import Problem
from sdxl_lora.api.settings import MEGABYTE, Limits
from sdxl_lora.errors import UnknownNameError

JSON = "application/json"
FORM = "multipart/form-data"
_MOST_FILES = 17  # 16 pictures and a mask
_SHOWN = 60  # characters of a value in an error


@dataclass(frozen=True, kw_only=True)
class Body:
    """What a request may carry."""

    schema: Mapping[str, Any]
    kind: str = JSON
    files: tuple[str, ...] = ()  # fields of a form that are pictures
    pictures: bool = False  # whether pictures are in it, so that it may be large
    required: bool = True


@dataclass
class Given:
    """What a request carried."""

    values: dict[str, Any] = field(default_factory=dict)
    files: dict[str, list[bytes]] = field(default_factory=dict)


async def read(request: Request, body: Body, limits: Limits) -> Given:
    """The body of `request`, checked. Raises `Problem`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    if not has_body and not body.required:
        return Given()
    if kind != body.kind:
        raise Problem(
            415, f"send {body.kind}, not {kind[:_SHOWN] or 'nothing'}", code="unsupported_media_type"
        )
    most = limits.body_bytes if body.pictures else limits.json_bytes
    try:
        async with asyncio.timeout(limits.seconds_to_send):
            if body.kind == FORM:
                return await _form(request, body, most)
            data = await _bytes(request, most)
    except TimeoutError:
        raise Problem(
            408, f"the body did not come within {limits.seconds_to_send:g} s", code="timeout"
        ) from None
    except ClientDisconnect:
        raise Problem(400, "the client hung up before its request was whole", code="hung_up") from None
    try:
        values = plain_json.parse(data)
    except ValueError as error:
        raise Problem(
            400, f"the body is no JSON: {str(error).splitlines()[0]}", code="invalid_json"
        ) from None
    check(values, body.schema)
    return Given(values=_whole_numbers(values))


def check(values: Any, schema: Mapping[str, Any]) -> None:
    """Raises `Problem` 400 that names the field."""
    error = best_match(_validator(_Key(schema)).iter_errors(values))
    if error is not None:
        raise _problem(_inner(error), schema)


def _inner(error: ValidationError) -> ValidationError:
    """What is wrong with a value that could also have been null."""
    while error.validator == "anyOf":
        real = [one for one in error.context if one.schema != {"type": "null"}]
        if len({one.schema_path[0] for one in real}) != 1:
            break
        error = real[0]
    return error


def _problem(error: ValidationError, schema: Mapping[str, Any]) -> Problem:
    param = ".".join(str(part) for part in error.absolute_path) or None
    known = schema.get("properties", {})
    if (
        error.validator == "additionalProperties"
        and not error.absolute_path
        and isinstance(error.instance, dict)
    ):
        unknown = sorted(set(error.instance) - set(known))
        return Problem(
            400,
            str(UnknownNameError("field", unknown[0][:_SHOWN], known)),
            code="unknown_parameter",
            param=unknown[0][:_SHOWN],
        )
    if error.validator == "required":
        missing = sorted(set(error.validator_value) - set(error.instance))
        return Problem(
            400, f"the field {missing[0]!r} is missing", code="missing_required_parameter", param=missing[0]
        )
    if error.validator == "anyOf" and not error.absolute_path:
        name = error.validator_value[0]["required"][0]
        return Problem(400, f"the field {name!r} is missing", code="missing_required_parameter", param=name)
    shown = repr(error.instance)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    wanted = _wanted(error, known.get(str(param).partition(".")[0], {}))
    return Problem(400, f"{param or 'the body'}: {shown} {wanted}", code="invalid_value", param=param)


def _wanted(error: ValidationError, field: Mapping[str, Any]) -> str:
    """What is wrong with a value of the top-level `field`."""
    limit = error.validator_value
    match error.validator:
        case "type":
            names = limit if isinstance(limit, list) else [limit]
            return f"is not of type {' or '.join(names)}"
        case "enum":
            return f"is not one of {', '.join(map(str, limit))}"
        case "minimum":
            return f"is less than {limit}"
        case "maximum":
            return f"is more than {limit}"
        case "multipleOf":
            return f"is not a multiple of {limit}"
        case "maxLength" | "maxItems":
            return f"is longer than {limit}"
        case "minLength" | "minItems":
            return "is too short"
        case _:
            says = field.get("description", "see /openapi.json").rstrip(".")
            return f"cannot be used here: {says}"


class _Key:
    """A schema as a key of a cache: by identity, since schemas are made once."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.schema is self.schema


@lru_cache(maxsize=256)
def _validator(key: _Key) -> Draft202012Validator:
    return Draft202012Validator(key.schema)


def _properties(body: Body) -> Mapping[str, Any]:
    found: Mapping[str, Any] = body.schema.get("properties", {})
    return found


def _whole_numbers(value: Any) -> Any:
    """20.0 as 20: JSON knows one kind of number, and a schema's integer may be written either way."""
    if isinstance(value, dict):
        return {key: _whole_numbers(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _too_large(most: int) -> Problem:
    return Problem(413, f"the body is larger than {most // MEGABYTE} MB", code="too_large")


async def _bytes(request: Request, most: int) -> bytes:
    _check_length(request, most)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise _too_large(most)
        parts.append(part)
    return b"".join(parts)


def _check_length(request: Request, most: int) -> None:
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > most:
        raise _too_large(most)


async def _form(request: Request, body: Body, most: int) -> Given:
    _check_length(request, most)
    size = 0

    async def counted() -> Message:
        nonlocal size
        message = await request.receive()
        size += len(message.get("body", b""))
        if size > most:
            raise _too_large(most)
        return message

    counting = Request(request.scope, counted)
    given = Given()
    raw: dict[str, Any] = {}
    try:
        async with counting.form(max_files=_MOST_FILES, max_fields=100, max_part_size=MEGABYTE) as form:
            for name, value in form.multi_items():
                if not isinstance(value, str):
                    if name not in body.files:
                        known = ", ".join(body.files)
                        raise Problem(
                            400,
                            f"no picture is taken in the field {name[:_SHOWN]!r}; known: {known}",
                            code="unknown_parameter",
                            param=name[:_SHOWN],
                        )
                    given.files.setdefault(name, []).append(await value.read())
                else:
                    _put(raw, name, value)
    except HTTPException as error:  # what Starlette makes of a form that cannot be read
        raise Problem(400, f"the form cannot be read: {error.detail}", code="invalid_form") from None
    given.values = {name: _typed(value, _properties(body).get(name, {})) for name, value in raw.items()}
    check({**given.values, **dict.fromkeys(given.files, "")}, body.schema)
    return given


def _put(raw: dict[str, Any], name: str, value: str) -> None:
    """A field of a form; `slots[colour]` and `lora[]` are how clients write what JSON would nest."""
    outer, bracket, inner = name.partition("[")
    inner, before = inner.removesuffix("]"), raw.get(outer)
    if bracket and inner and isinstance(before, dict | None):
        raw[outer] = {**(before or {}), inner: value}
    elif before is not None:
        raw[outer] = [*(before if isinstance(before, list) else [before]), value]
    else:
        raw[outer] = [value] if bracket else value


def _typed(value: Any, schema: Mapping[str, Any]) -> Any:
    """The text of a form's field as its schema has it: a number, a truth value, JSON, or the text itself."""
    parts = schema.get("anyOf", [schema])
    items = next((part["items"] for part in parts if part.get("type") == "array"), None)
    if isinstance(value, list):
        return [_typed(one, items or {}) for one in value]
    if not isinstance(value, str):
        return value
    if any(part.get("type") == "string" or isinstance(part.get("enum", [0])[0], str) for part in parts):
        return value
    try:
        parsed = _whole_numbers(plain_json.parse(value))
    except ValueError:
        return value
    alone = items is not None and isinstance(parsed, dict) and items.get("type") == "object"
    takes_objects = any(part.get("type") == "object" for part in parts)
    return [parsed] if alone and not takes_objects else parsed  # a list of one is written as one field
