"""A comparison of two folders of drawn pictures, and a server that speaks the providers' protocols."""

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sdxl_lora.records.comparisons import ComparisonStore
from tests.stand_in import bundled, tiny_mini

__all__ = ["bundled", "tiny_mini"]

Answer = tuple[int, dict[str, Any]]


def file_of(colour: str = "navy", side: int = 32, kind: str = "PNG") -> bytes:
    """A picture file's content."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, kind)
    return buffer.getvalue()


def encoded(colour: str = "red") -> str:
    return base64.b64encode(file_of(colour)).decode()


@dataclass
class Stub:
    """A server on this machine; `answer` decides by (path, body) what is sent back."""

    address: str
    answer: Callable[[str, dict[str, Any]], Answer]
    requests: list[tuple[str, dict[str, str], dict[str, Any]]] = field(
        default_factory=list
    )  # path, headers, body


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    """Both clients are sent to it, as their documentation says: by the environment."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found.requests.append(
                (self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            )
            status, values = found.answer(self.path, body)
            data = json.dumps(values).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("retry-after-ms", "1")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"http://127.0.0.1:{server.server_address[1]}"
    found = Stub(address, lambda path, body: (200, {}))
    monkeypatch.setenv("OPENAI_BASE_URL", f"{address}/v1")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", address)
    monkeypatch.setenv("GOOGLE_VERTEX_BASE_URL", address)
    for name in ("OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def store(home: Path) -> Iterator[ComparisonStore]:
    with ComparisonStore(home) as opened:
        yield opened
