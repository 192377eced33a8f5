"""`serve --no-ui --ray` as a process of its own: OpenAI's client over HTTP, pictures drawn by a worker of a cluster."""

import base64
import io
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

import pytest
from openai import OpenAI
from PIL import Image

from sdxl_lora.records import Store, metadata
from tests.api.conftest import wait_until

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

STARTS = 240  # seconds, on a busy machine


@contextmanager
def served(home: Path, *flags: str) -> Iterator[str]:
    """Address of a server on that folder; it is stopped by a signal, says nothing of errors and leaves nothing."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "sdxl_lora", "serve", "--no-ui", "--port", str(port), *flags]
    environment = {**os.environ, "SDXL_LORA_HOME": str(home), "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, **pipes) as process:  # type: ignore[call-overload]  # of pipes

        def healthy() -> bool:
            assert process.poll() is None, process.communicate()[1].decode()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
                    return bool(answer.status == 200)
            except (URLError, OSError):
                return False

        try:
            wait_until(healthy, STARTS)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=120)
    assert (
        abs(process.returncode) == signal.SIGTERM
    )  # as the signal asked; Ray turns it into an exit of that number
    assert b"Traceback" not in said, said.decode()


def asked(address: str) -> tuple[list[bytes], list[str]]:
    """Pixels of three pictures, and what a stream of another tells on its way."""
    with OpenAI(base_url=address, api_key="none", max_retries=0, timeout=STARTS) as client:
        answer = client.images.generate(prompt="a navy jacket", n=3, extra_body={"seed": 7, "steps": 4})
        pixels = []
        for made in answer.data or []:
            data = base64.b64decode(made.b64_json or "")
            assert metadata.read(io.BytesIO(data)).request.prompt == "a navy jacket"
            with Image.open(io.BytesIO(data)) as image:
                pixels.append(image.tobytes())
        stream = client.images.generate(
            prompt="a red cap", stream=True, partial_images=2, extra_body={"seed": 8, "steps": 150}
        )
        return pixels, [event.type for event in stream]


def test_openais_client_gets_the_same_pixels_from_a_server_with_a_cluster_as_from_one_without(
    home: Path, tmp_path: Path, bundled: Path
) -> None:
    with served(home, "--ray", "local", "--workers", "1", "--threads", "1") as address:
        there, told = asked(address)
    with served(tmp_path / "alone") as address:
        here, told_here = asked(address)
    assert len({*there}) == 3
    assert there == here
    assert told[-1] == told_here[-1] == "image_generation.completed"
    assert "image_generation.partial_image" in told
    assert "image_generation.partial_image" in told_here
    with Store(home) as store:
        assert store.count() == 4
