"""What goes wrong over HTTP: a status, and one line in the shape that OpenAI's clients read.

    {"error": {"message": "...", "type": "invalid_request_error", "param": "size", "code": "invalid_value"}}

Every failure leaves as one of these, never as a traceback.
"""

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from sdxl_lora.errors import (
    Cancelled,
    InputError,
    ModelUnavailableError,
    NotFoundError,
    ProvenanceError,
    StorageError,
    StudioError,
)

LONGEST = 500  # characters of a message: some repeat what they were given


class Problem(StudioError):
    """A request that is refused; raised by whoever answers it.

    Attributes:
        status: of HTTP.
        code: OpenAI's short name of the kind, for programs.
        param: the field that is wrong; None = no single one.
        headers: of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "invalid_request",
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param, self.headers = status, code, param, dict(headers or {})


def of(error: StudioError) -> Problem:
    """The problem that an error of any room is over HTTP.

    400 is a request of the wrong form; 422 one of the right form that cannot be drawn.
    """
    if isinstance(error, Problem):
        return error
    message = str(error)
    match error:
        case NotFoundError():
            return Problem(404, message, code="not_found")
        case InputError():
            return Problem(422, message, code="invalid_value")
        case ModelUnavailableError() | ProvenanceError():
            return Problem(503, message, code="unavailable")
        case StorageError():
            return Problem(503, message, code="storage_unavailable")
        case Cancelled():
            return Problem(409, message, code="cancelled")
        case _:
            return Problem(500, message, code="server_error")


def body(problem: Problem) -> dict[str, Any]:
    """The JSON of a problem."""
    kind = "server_error" if problem.status >= 500 else "invalid_request_error"
    kind = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}.get(
        problem.status, kind
    )
    message = " ".join(str(problem).split())
    if len(message) > LONGEST:
        message = f"{message[: LONGEST - 3]}..."
    return {"error": {"message": message, "type": kind, "param": problem.param, "code": problem.code}}


def response(problem: Problem) -> JSONResponse:
    """The answer that says what is wrong."""
    return JSONResponse(body(problem), problem.status, headers=problem.headers)
