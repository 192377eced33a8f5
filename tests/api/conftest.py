"""The API on a real server and a tiny real model, and clients of it."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import uvicorn
from openai import OpenAI
from starlette.applications import Starlette

from sdxl_lora.api.app import alone
from sdxl_lora.api.service import Service
from sdxl_lora.api.settings import Limits
from sdxl_lora.jobs.job import Job
from tests.stand_in import bundled, tiny_mini

__all__ = ["bundled", "tiny_mini"]

PATIENCE = 30.0  # seconds, on a busy machine


@contextmanager
def serving(app: Starlette) -> Iterator[str]:
    """Address of `app` on a free port, in a thread."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="error", access_log=False, timeout_graceful_shutdown=5)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE)


def wait_until(holds: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What `holds` gives once it gives something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(0.02)
    raise AssertionError("waited in vain")


def finished(service: Service, user: str) -> list[Job]:
    """The jobs of `user` once all are over."""
    return list(
        wait_until(
            lambda: (jobs := service.queue.jobs(user)) and not any(job.active for job in jobs) and jobs
        )
    )


@pytest.fixture(scope="session")
def api_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of the shared server."""
    return tmp_path_factory.mktemp("api-home")


@pytest.fixture(scope="session")
def app(api_home: Path, tiny_mini: Path) -> Starlette:
    limits = Limits(per_minute=100_000, at_once=32, pictures=4)
    return alone(api_home, limits=limits)


@pytest.fixture(scope="session")
def address(app: Starlette) -> Iterator[str]:
    """Of the shared server, which asks for no token."""
    with serving(app) as found:
        yield found


@pytest.fixture
def service(app: Starlette, address: str) -> Service:
    found: Service = app.state.service
    return found


@pytest.fixture
def client(address: str) -> Iterator[OpenAI]:
    """OpenAI's own client, which is not told that this is not OpenAI."""
    with OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as found:
        yield found


@pytest.fixture
def http(address: str) -> Iterator[Callable[..., requests.Response]]:
    """`http("GET", "/v1/jobs", ...)`."""
    with requests.Session() as session:
        yield lambda method, path, **more: session.request(method, address + path, timeout=PATIENCE, **more)
