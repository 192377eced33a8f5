"""What the page's server does besides showing pages: answering the HTTP API, and opening the browser.

Streamlit opens no browser for an application with routes of its own, so this does what it does for others. What draws
is imported in the background, because it takes seconds that nobody shall wait for who only looks at a page: once a page
was out and nothing was asked for a moment, since an import takes the interpreter from everybody else, or soon after the
start where nobody looks.
"""

import logging
import threading
import time
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any
from urllib.parse import quote

import streamlit as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from sdxl_lora import config, later
from sdxl_lora.api.app import ApiRoutes
from sdxl_lora.api.service import Service
from sdxl_lora.catalog import packing, runs
from sdxl_lora.errors import RequestError, StudioError
from sdxl_lora.jobs.front_door import import_what_draws
from sdxl_lora.ui import catalogs, shared

log = logging.getLogger(__name__)

_PAUSE = 0.3  # seconds until the server listens
_STILL = 2.0  # seconds without a look at a page, after the first
_UNSEEN = 5.0  # seconds from the start without any
_GLANCE = 0.05  # seconds between asking for that

_looks: dict[str, float] = {}  # "last" -> moment of the last look at a page, on the monotonic clock


def looked() -> None:
    """Somebody looks at a page, or has just been shown it."""
    _looks["last"] = time.monotonic()


def _first_page_is_out() -> None:
    """Returns once that is so, and it is still; or where nobody comes."""
    began = time.monotonic()
    while True:
        last = _looks.get("last")
        quiet = time.monotonic() - (began if last is None else last)
        if quiet >= (_UNSEEN if last is None else _STILL):
            return
        time.sleep(_GLANCE)


@cache
def _service() -> Service:
    """A setting that is wrong ends the program with one line, as the command line does."""
    try:
        return Service(config.home(), shared.front_door)
    except RequestError as error:
        raise SystemExit(f"error: {error}") from None


def routes() -> list[BaseRoute]:
    """The HTTP API on the queue and records of the pages, and catalogues as they are packed.

    A catalogue's address has its random number in it, which only its page says.
    """
    return [ApiRoutes(_service()), Route("/catalogs/{folder}/{identifier}.zip", _catalogue)]


def _catalogue(request: Request) -> Response:
    """The ZIP of a catalogue in pieces, so that a large one needs no memory."""
    name = request.path_params["folder"]
    try:
        found = catalogs.packed(name, request.path_params["identifier"])
    except StudioError as error:
        return PlainTextResponse(str(error), status_code=500)
    if found is None:
        return PlainTextResponse("there is no such catalogue; it may have been deleted", status_code=404)
    headers = {"Content-Disposition": f"attachment; filename*=utf-8''{quote(name)}.zip"}
    return StreamingResponse(packing.stream(*found), media_type="application/zip", headers=headers)


def _go_on() -> None:
    try:
        catalogs.makers()
    except StudioError as error:
        log.warning("catalogues wait until their page is opened: %s", error)


@asynccontextmanager
async def lifespan(_app: Any) -> AsyncIterator[None]:
    """From the start of the server to its end."""
    later.in_background(import_what_draws, when=_first_page_is_out)
    if not st.get_option("server.headless"):
        address = st.get_option("browser.serverAddress")
        timer = threading.Timer(_PAUSE, webbrowser.open, [f"http://{address}:{st.get_option('server.port')}"])
        timer.daemon = True
        timer.start()
    if any(
        info.running for _, info in runs.all_runs()
    ):  # catalogues that a restart has cut off go on by themselves
        threading.Thread(target=_go_on, name="catalogues", daemon=True).start()
    with _service().closing.on_signals():
        try:
            yield
        finally:
            _service().closing.begin()
