"""The ASGI application: every endpoint behind the same door, and every failure as one line of JSON.

Alone it is what `serve --no-ui` runs; beside the page it is one route of Streamlit's own server, in one process and on
one queue.
"""

import functools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from anyio import to_thread
from jsonschema import Draft202012Validator
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match, NoMatchFound, Route
from starlette.types import Receive, Scope, Send

from sdxl_lora import later, plain_json
from sdxl_lora.api import (
    about,
    bodies,
    durable,
    edits,
    images,
    memory,
    openapi,
    problems,
    sdapi,
    sdapi_drawing,
)
from sdxl_lora.api.access import Caller
from sdxl_lora.api.bodies import Given
from sdxl_lora.api.endpoints import Call, Endpoint, Query, json_answer
from sdxl_lora.api.events import HungUpError
from sdxl_lora.api.problems import Problem
from sdxl_lora.api.service import Service
from sdxl_lora.api.settings import Limits
from sdxl_lora.errors import StudioError
from sdxl_lora.jobs.front_door import Elsewhere, FrontDoor, import_what_draws, open_front_door

log = logging.getLogger(__name__)

_Handler = Callable[[Request], Awaitable[Response]]

_PREFIXES = ("/v1/", "/sdapi/")
_PATHS = ("/healthz", "/openapi.json")
_PAGES_TOO = ("/metrics",)  # also the address of a page: browsers get that
_SURPRISE = "something unexpected went wrong; the details are in the server's log"
_CLIENT_GONE = 499  # nginx's number for it; nobody reads it


def endpoints(limits: Limits) -> list[Endpoint]:
    """Everything that is answered, the OpenAPI document included."""
    found = [
        *images.endpoints(limits),
        *edits.endpoints(limits),
        *durable.endpoints(limits),
        *about.endpoints(),
        *sdapi_drawing.endpoints(limits),
        *sdapi.endpoints(limits),
    ]

    async def document(_call: Call) -> Response:
        return JSONResponse(openapi.document(found))

    found.append(
        Endpoint(
            method="GET",
            path="/openapi.json",
            run=document,
            summary="This document",
            answers={200: json_answer("OpenAPI 3.1.", {"type": "object"})},
            public=True,
        )
    )
    return found


def create_app(service: Service, *, lifespan: Callable[[Starlette], object] | None = None) -> Starlette:
    """The API as an application of its own. Called while the process starts, for it sets how memory is kept."""
    memory.use_few_arenas()
    paths: dict[str, dict[str, _Handler]] = {}
    for endpoint in endpoints(service.limits):
        paths.setdefault(endpoint.path, {})[endpoint.method] = _answering(service, endpoint)
    app = Starlette(
        routes=[Route(path, _by_method(found), methods=list(found)) for path, found in paths.items()],
        exception_handlers={HTTPException: _http_error, Exception: _surprise},
        lifespan=lifespan,  # type: ignore[arg-type]  # an asynccontextmanager
    )
    app.state.service = service
    return app


def alone(home: Path, *, limits: Limits | None = None, elsewhere: Elsewhere | None = None) -> Starlette:
    """The API with a front door of its own, which is open while the application runs.

    `elsewhere`: makes the runners that draw on other machines; None: this process draws.
    """
    opened: list[FrontDoor] = []

    def door() -> FrontDoor:
        return opened[0]

    service = Service(home, door, limits=limits)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        if elsewhere is None:  # the first picture shall not wait for what draws it
            later.in_background(import_what_draws, when=lambda: None)
        door = functools.partial(open_front_door, home, explain=True, serves=True, elsewhere=elsewhere)
        opened.append(await to_thread.run_sync(door))
        with service.closing.on_signals():
            try:
                yield
            finally:
                service.closing.begin()
                await to_thread.run_sync(opened.pop().close)

    return create_app(service, lifespan=lifespan)


class ApiRoutes(BaseRoute):
    """All paths of the API as one route of another application; each keeps its whole path."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._app = create_app(service)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        path = scope.get("path", "")
        ours = path in _PATHS or path.startswith(_PREFIXES)
        if path in _PAGES_TOO:
            ours = "text/html" not in Headers(scope=scope).get("accept", "")
        return (Match.FULL if ours and scope["type"] == "http" else Match.NONE), {}

    def url_path_for(self, name: str, /, **path_params: object) -> object:  # type: ignore[override]
        raise NoMatchFound(name, dict(path_params))

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _by_method(answers: dict[str, _Handler]) -> _Handler:
    """One handler of a path, so that what says that a method is not done names those that are."""

    async def answer(request: Request) -> Response:
        return await answers["GET" if request.method == "HEAD" else request.method](request)

    return answer


def _answering(service: Service, endpoint: Endpoint) -> _Handler:
    async def answer(request: Request) -> Response:
        started = time.perf_counter()
        try:
            response = await _answer(service, endpoint, request)
        except StudioError as error:
            response = problems.response(problems.of(error))
        except HungUpError:
            service.measures.hung_up.inc()
            response = Response(status_code=_CLIENT_GONE)
        seconds = time.perf_counter() - started
        service.measures.seconds.labels(endpoint.path).observe(seconds)
        service.measures.requests.labels(endpoint.method, endpoint.path, str(response.status_code)).inc()
        return response

    return answer


async def _answer(service: Service, endpoint: Endpoint, request: Request) -> Response:
    """Raises `StudioError`, `HungUpError`."""
    caller = Caller("")
    if not endpoint.public:
        client = request.client.host if request.client else None
        caller = service.access.caller(client, request.scope["headers"])
    for parameter in endpoint.query:
        _check_parameter(parameter, request.query_params.get(parameter.name))
    for parameter in endpoint.headers:
        _check_parameter(parameter, request.headers.get(parameter.name))
    given = Given()
    if endpoint.body is not None:
        given = await bodies.read(request, endpoint.body, service.limits)
    return await endpoint.run(Call(request=request, service=service, caller=caller, given=given))


def _check_parameter(parameter: Query, text: str | None) -> None:
    if text is None:
        return
    value: object = text
    if parameter.schema.get("type") != "string":
        try:
            value = plain_json.parse(text)
        except ValueError:
            value = text
    if not Draft202012Validator(parameter.schema).is_valid(value):
        raise Problem(
            400,
            f"{parameter.name}: {text[:60]!r} is not what it has to be",
            code="invalid_value",
            param=parameter.name,
        )


async def _http_error(request: Request, error: Exception) -> Response:
    """Paths that are not there, and methods that a path does not have."""
    assert isinstance(error, HTTPException)
    path = request.url.path[:60]
    if error.status_code == 405:
        message, code = f"{request.method} is not done with {path}", "method_not_allowed"
    elif error.status_code == 404:
        message, code = f"there is nothing at {path}; see /openapi.json", "not_found"
    else:
        message, code = str(error.detail), "invalid_request"
    return problems.response(Problem(error.status_code, message, code=code, headers=error.headers))


async def _surprise(_request: Request, error: Exception) -> Response:
    """A fault of this program; the server logs its traceback."""
    log.error("a request could not be answered: %s", type(error).__name__)
    return problems.response(Problem(500, _SURPRISE, code="server_error"))
