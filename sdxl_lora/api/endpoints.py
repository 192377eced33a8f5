"""One endpoint said once: what Starlette routes to it and what the OpenAPI document says of it are made from this."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from sdxl_lora.api.access import Caller
from sdxl_lora.api.bodies import Body, Given
from sdxl_lora.api.service import Service

JSON = "application/json"
EVENTS = "text/event-stream"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request, let in and checked."""

    request: Request
    service: Service
    caller: Caller
    given: Given

    @property
    def values(self) -> dict[str, Any]:
        """The fields of the body."""
        return self.given.values


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What comes back where all is well."""

    says: str
    content: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # media type -> JSON schema
    headers: Mapping[str, str] = field(default_factory=dict)  # name -> what it says


@dataclass(frozen=True, kw_only=True)
class Query:
    """One parameter after the question mark."""

    name: str
    schema: Mapping[str, Any]
    says: str


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A path, a method, and what answers."""

    method: str
    path: str  # {name} is taken from the path
    run: Callable[[Call], Awaitable[Response]]
    summary: str
    answers: Mapping[int, Answer]
    body: Body | None = None
    query: tuple[Query, ...] = ()
    headers: tuple[Query, ...] = ()  # of the request
    public: bool = False  # asked by anybody, without a token
    draws: bool = False  # may also fail as drawing does


def json_answer(says: str, schema: Mapping[str, Any], **more: Any) -> Answer:
    """An answer of JSON."""
    return Answer(says=says, content={JSON: schema}, **more)
