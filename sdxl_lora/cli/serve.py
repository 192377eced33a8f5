"""`serve`: the HTTP API, with the page or alone, until it is stopped."""

import argparse
import contextlib
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from sdxl_lora import config
from sdxl_lora.cli import machines
from sdxl_lora.errors import InputError, RequestError

if TYPE_CHECKING:
    from sdxl_lora.cluster.ray import Pool

_APP = Path(__file__).parents[2] / "app.py"  # only in a clone of the repository


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Limits come from the environment, see docs/guide/api.md."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen at: 127.0.0.1 = this machine alone, 0.0.0.0 = all networks, which takes a token",
    )
    parser.add_argument("--port", type=int, default=8501, metavar="N", help="port to listen at (8501)")
    parser.add_argument("--no-ui", action="store_true", help="only the API, without the page")
    machines.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Returns when it is stopped. Raises `InputError`, `StorageError`."""
    if not 1 <= arguments.port <= 65_535:
        raise RequestError(f"port {arguments.port} is not between 1 and 65535")
    from sdxl_lora.api import access
    from sdxl_lora.api.tokens import Tokens

    if not access.is_loopback(arguments.host) and not Tokens(config.home()).all():
        raise InputError(
            f"whoever reaches {arguments.host} could use the API; make a token first:"
            " python -m sdxl_lora tokens make NAME"
        )
    pool = machines.pool(arguments)
    if arguments.no_ui:
        return _alone(arguments, pool)
    if pool is not None:
        raise InputError("a cluster draws for the API alone; add --no-ui")
    return _with_the_page(arguments)


def _with_the_page(arguments: argparse.Namespace) -> NoReturn:
    """Becomes Streamlit, as `make run` starts it."""
    if not _APP.is_file():
        raise InputError("the page is in a clone of the repository only; add --no-ui for the API alone")
    _find_free(arguments.host, arguments.port).close()
    words = [sys.executable, "-m", "streamlit", "run", str(_APP)]
    words += ["--server.address", arguments.host, "--server.port", str(arguments.port)]
    os.chdir(_APP.parent)  # where its settings are
    os.execv(sys.executable, words)


def _alone(arguments: argparse.Namespace, pool: "Pool | None") -> int:
    import uvicorn

    from sdxl_lora.api.app import alone

    with _find_free(arguments.host, arguments.port) as listening, contextlib.ExitStack() as cluster:
        elsewhere = None
        if pool is not None:
            from sdxl_lora.cluster import fleet

            elsewhere = cluster.enter_context(fleet.elastic(pool))
        server = uvicorn.Server(
            uvicorn.Config(
                alone(config.home(), elsewhere=elsewhere),
                host=arguments.host,
                port=arguments.port,
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=10,
            )
        )
        print(f"http://{arguments.host}:{arguments.port}/v1", flush=True)
        server.run(sockets=[listening])
    return 0 if server.started else 2


def _find_free(host: str, port: int) -> socket.socket:
    """A socket bound to the port. Raises `RequestError` if it is taken."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, reuse_port=False)
    except OSError as error:
        raise RequestError(
            f"cannot listen at {host} port {port}: {error.strerror or error}; choose another --port"
        ) from error
