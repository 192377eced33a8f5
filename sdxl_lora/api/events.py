"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), and clients that hang up."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from sdxl_lora.api.endpoints import EVENTS

KEEP_ALIVE = b": keep-alive\n\n"
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}  # the second tells nginx not to collect them
T = TypeVar("T")


def event(name: str, values: dict[str, Any]) -> bytes:
    """One event; JSON has no line breaks, so that its data is one line."""
    return f"event: {name}\ndata: {json.dumps(values, ensure_ascii=False, allow_nan=False)}\n\n".encode()


class EventStream(StreamingResponse):
    """Tells events as they come; however it ends, the iterator is closed and `at_end` is called."""

    def __init__(self, events: AsyncGenerator[bytes], at_end: Callable[[], None]) -> None:
        super().__init__(events, media_type=EVENTS, headers=_HEADERS)
        self._events, self._at_end = events, at_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            try:
                await self._events.aclose()
            finally:
                self._at_end()


def stream(events: AsyncGenerator[bytes], at_end: Callable[[], None] = lambda: None) -> EventStream:
    """The answer that tells `events`, until they end or the client hangs up."""
    return EventStream(events, at_end)


class HungUpError(Exception):
    """The client is gone; nobody reads an answer."""


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives. Raises `HungUpError` as soon as the client has hung up, and stops the work."""
    working = asyncio.ensure_future(work)
    listening = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, listening}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise HungUpError
        return working.result()
    finally:
        for task in (working, listening):
            task.cancel()
        await asyncio.gather(working, listening, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
