"""A model hub in a hundred lines: enough of the protocol for huggingface_hub to list and fetch files."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "b" * 40


class LocalHub(ThreadingHTTPServer):
    """Serves folders as repositories."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Path] = {}
        self.fetched: list[str] = []  # files asked for, in order

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serve() -> Iterator[LocalHub]:
    """A running hub on a free port."""
    server = LocalHub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: LocalHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _answer(self, with_body: bool) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            self._list("/".join(parts[2:4]))
        elif len(parts) > 4 and parts[2] == "resolve":
            self._file("/".join(parts[:2]), "/".join(parts[4:]), with_body)
        else:
            self._missing("EntryNotFound")

    def _list(self, repository: str) -> None:
        folder = self.server.repositories.get(repository)
        if folder is None:
            return self._missing("RepoNotFound")
        files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
        siblings = [
            {"rfilename": file.relative_to(folder).as_posix(), "size": file.stat().st_size} for file in files
        ]
        body = json.dumps({"id": repository, "modelId": repository, "sha": COMMIT, "siblings": siblings})
        return self._send(body.encode(), {"Content-Type": "application/json"}, with_body=True)

    def _file(self, repository: str, name: str, with_body: bool) -> None:
        folder = self.server.repositories.get(repository)
        if folder is None or not (folder / name).is_file():
            return self._missing("RepoNotFound" if folder is None else "EntryNotFound")
        content = (folder / name).read_bytes()
        if with_body:
            self.server.fetched.append(name)
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        return self._send(content, headers, with_body)

    def _send(self, body: bytes, headers: dict[str, str], with_body: bool) -> None:
        self.send_response(200)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _missing(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()
