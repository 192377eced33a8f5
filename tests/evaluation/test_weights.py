"""Weights are fetched once, whole, checked by SHA-256, and refused when they are others."""

import dataclasses
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from sdxl_lora.errors import ModelUnavailableError, UnknownNameError
from sdxl_lora.evaluation import weights

CONTENT = bytes(range(256)) * 1_000


class Server(ThreadingHTTPServer):
    """Serves `files`, notes ranges that were asked for, and can break off in the middle."""

    files: dict[str, bytes]
    ranges: list[str | None]
    stop_after: int | None
    tag: str

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.ranges, self.stop_after, self.tag = {}, [], None, ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        body = self.server.files.get(self.path)
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if body is None:
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body) - start))
        if self.server.tag:
            self.send_header("X-Linked-Etag", f'"{self.server.tag}"')
        self.end_headers()
        stop = self.server.stop_after
        self.wfile.write(body[start : stop if stop is not None else len(body)])

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def alexnet(server: Server, monkeypatch: pytest.MonkeyPatch) -> weights.Weights:
    """The entry of AlexNet, but served here and with other content."""
    server.files["/alexnet.pth"] = CONTENT
    entry = dataclasses.replace(
        weights.CATALOGUE["alexnet"],
        url=f"{server.url}/alexnet.pth",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )
    monkeypatch.setitem(weights.CATALOGUE, "alexnet", entry)
    return entry


def test_without_weights_the_command_that_fetches_them_is_named() -> None:
    with pytest.raises(ModelUnavailableError, match="models fetch metrics"):
        weights.locate("inception")


@pytest.mark.usefixtures("alexnet")
def test_fetched_weights_are_found_and_not_fetched_again(server: Server, home: Path) -> None:
    progress: list[tuple[str, int, int]] = []
    [path] = weights.fetch(lambda *values: progress.append(values), ("alexnet",))
    assert path.read_bytes() == CONTENT
    assert path.parent == home / "metrics"
    assert progress[-1] == ("alexnet.pth", len(CONTENT), len(CONTENT))
    assert weights.fetch(keys=("alexnet",)) == [path] == [weights.locate("alexnet")]
    assert len(server.ranges) == 1


@pytest.mark.usefixtures("alexnet")
def test_an_interrupted_download_goes_on_where_it_stopped(server: Server) -> None:
    server.stop_after = 150_000
    with pytest.raises(ModelUnavailableError, match="could not be fetched"):
        weights.fetch(keys=("alexnet",))
    server.stop_after = None
    [path] = weights.fetch(keys=("alexnet",))
    assert server.ranges == [None, f"bytes={2 * 65_536}-"]  # whole blocks were kept
    assert path.read_bytes() == CONTENT


@pytest.mark.usefixtures("alexnet")
def test_other_content_than_published_is_refused_and_leaves_nothing(server: Server, home: Path) -> None:
    server.files["/alexnet.pth"] = CONTENT[::-1]
    with pytest.raises(ModelUnavailableError, match="SHA-256 differs"):
        weights.fetch(keys=("alexnet",))
    assert list((home / "metrics").iterdir()) == []


@pytest.mark.usefixtures("alexnet")
def test_weights_damaged_afterwards_are_noticed() -> None:
    [path] = weights.fetch(keys=("alexnet",))
    path.write_bytes(CONTENT + b"!")
    with pytest.raises(ModelUnavailableError, match="is damaged"):
        weights.locate("alexnet")


def test_an_unreachable_server_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = dataclasses.replace(weights.CATALOGUE["alexnet"], url="http://127.0.0.1:9/alexnet.pth")
    monkeypatch.setitem(weights.CATALOGUE, "alexnet", entry)
    with pytest.raises(ModelUnavailableError, match="could not be fetched") as error:
        weights.fetch(keys=("alexnet",))
    assert str(error.value).endswith(
        "http://127.0.0.1:9/alexnet.pth, which cannot be reached; check the network and HTTPS_PROXY,"
        " or give files of your own with --weights NETWORK=PATH"
    )


@pytest.mark.usefixtures("alexnet")
def test_a_local_file_is_taken_if_it_is_the_published_one(tmp_path: Path) -> None:
    own = tmp_path / "mine.pth"
    own.write_bytes(CONTENT)
    assert weights.locate("alexnet", {"alexnet": own}) == own
    own.write_bytes(b"another")
    with pytest.raises(ModelUnavailableError, match="its SHA-256 is not"):
        weights.locate("alexnet", {"alexnet": own})
    with pytest.raises(ModelUnavailableError, match="does not exist"):
        weights.locate("alexnet", {"alexnet": tmp_path / "none"})


def test_a_hub_model_is_checked_against_the_hash_the_hub_publishes_and_kept_as_safetensors(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = torch.arange(4.0)
    torch.save({"one": shared, "tied": shared}, tmp_path / "model.bin")
    entry = weights.CATALOGUE["blip"]
    base = "/Salesforce/blip-itm-base-coco/resolve/main/"
    server.files = {base + name: b"{}" for name in entry.others}
    server.files[base + entry.filename] = (tmp_path / "model.bin").read_bytes()
    server.tag = "0" * 64
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    with pytest.raises(ModelUnavailableError, match="SHA-256 differs"):
        weights.fetch(keys=("blip",))
    # the tag is that of the weights; the small files carry none
    server.tag = ""
    [folder] = weights.fetch(keys=("blip",))
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*entry.others, "fetched.json", "model.safetensors"]
    )
    from safetensors.torch import load_file

    assert torch.equal(load_file(folder / "model.safetensors")["tied"], shared)
    assert weights.locate("blip") == folder


def test_an_unknown_network_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'inception'"):
        weights.locate("inceptoin")
