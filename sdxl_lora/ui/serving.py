"""What the page's server does besides showing pages: answering the HTTP API, and opening the browser.

Streamlit opens no browser for an application with routes of its own, so this does what it does for others.
"""

import threading
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import streamlit as st
from starlette.routing import BaseRoute

from sdxl_lora import config
from sdxl_lora.api.app import ApiRoutes
from sdxl_lora.api.service import Service
from sdxl_lora.ui import shared

_PAUSE = 0.3  # seconds until the server listens


@cache
def _service() -> Service:
    return Service(config.home(), shared.front_door)


def routes() -> list[BaseRoute]:
    """The HTTP API on the queue and records of the pages."""
    return [ApiRoutes(_service())]


@asynccontextmanager
async def lifespan(_app: Any) -> AsyncIterator[None]:
    """From the start of the server to its end."""
    if not st.get_option("server.headless"):
        address = st.get_option("browser.serverAddress")
        timer = threading.Timer(_PAUSE, webbrowser.open, [f"http://{address}:{st.get_option('server.port')}"])
        timer.daemon = True
        timer.start()
    with _service().closing.on_signals():
        try:
            yield
        finally:
            _service().closing.begin()
