"""The OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.0), made from the endpoints: it says what is taken."""

import re
from collections.abc import Iterable
from typing import Any

from sdxl_lora import __version__
from sdxl_lora.api import schemas
from sdxl_lora.api.bodies import Body
from sdxl_lora.api.endpoints import JSON, Answer, Endpoint, Query

_SAYS = {
    400: "The request has another form than is said here.",
    401: "A token is needed, or this one is not known.",
    403: "A page of another site sent this.",
    404: "Not there, or of another token.",
    408: "The body did not come in time.",
    409: "Cancelled meanwhile.",
    413: "The body is too large.",
    415: "The body is of another kind.",
    421: "Called by a name that is not this machine's.",
    422: "Of the right form, but it cannot be drawn: the line says why.",
    429: "Too much at once or in a minute; come back after Retry-After seconds.",
    500: "Something unexpected; the details are in the server's log.",
    503: "Not now: shutting down, weights that are not here, or a disk that takes nothing.",
}
_TITLE = "SDXL LoRA studio"


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The whole document, JSON-ready."""
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": _TITLE,
            "version": __version__,
            "summary": "Branded clothing pictures, over HTTP.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {}],
        "paths": paths,
        "components": {
            "schemas": {"Error": schemas.ERROR},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`python -m sdxl_lora tokens make NAME`. Without any token made, none is needed"
                    " on the studio's own machine.",
                }
            },
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    name = re.sub(r"\W+", "_", f"{endpoint.method.lower()}{endpoint.path}").strip("_")
    answers = {str(status): _answer(answer) for status, answer in endpoint.answers.items()}
    answers |= {str(status): _problem(status) for status in _problems(endpoint)}
    found: dict[str, Any] = {"operationId": name, "summary": endpoint.summary, "responses": answers}
    parameters = [*_path(endpoint), *map(_query, endpoint.query)]
    parameters += [{**_query(one), "in": "header"} for one in endpoint.headers]
    if parameters:
        found["parameters"] = parameters
    if endpoint.body is not None:
        found["requestBody"] = _body(endpoint.body)
    if endpoint.public:
        found["security"] = []
    return found


def _problems(endpoint: Endpoint) -> list[int]:
    found = {500, 503}
    if not endpoint.public:
        found |= {401, 403, 421}
    if "{" in endpoint.path:
        found.add(404)
    if endpoint.query or endpoint.headers:
        found.add(400)
    if endpoint.body is not None:
        found |= {400, 408, 413, 415}
    if endpoint.draws:
        found |= {404, 409, 422, 429}
    if endpoint.path.endswith("/events"):
        found.add(429)
    return sorted(found)


def _problem(status: int) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": _SAYS[status],
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    if status == 429:
        answer["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return answer


def _answer(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = {"description": answer.says}
    if answer.content:
        found["content"] = {kind: {"schema": schema} for kind, schema in answer.content.items()}
    if answer.headers:
        found["headers"] = {
            name: {"schema": {"type": "string"}, "description": says} for name, says in answer.headers.items()
        }
    return found


def _path(endpoint: Endpoint) -> list[dict[str, Any]]:
    names = re.findall(r"\{(\w+)\}", endpoint.path)
    text = {"type": "string", "minLength": 1}
    return [{"name": name, "in": "path", "required": True, "schema": text} for name in names]


def _query(query: Query) -> dict[str, Any]:
    return {"name": query.name, "in": "query", "schema": query.schema, "description": query.says}


def _body(body: Body) -> dict[str, Any]:
    return {"required": body.required, "content": {body.kind: {"schema": body.schema}}}
