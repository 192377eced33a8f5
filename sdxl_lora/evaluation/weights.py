"""Where the published networks behind the metrics come from, how they are fetched, and that they are the
right ones.

Nothing is downloaded unasked: `locate` only looks, `fetch` downloads, and both compare SHA-256. A file given
by the user is taken instead of the folder's. What a network computes is not known here.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import requests

from sdxl_lora import config, plain_json
from sdxl_lora.errors import ModelUnavailableError, StorageError, UnknownNameError

Progress = Callable[[str, int, int], None]  # (file, bytes done, bytes in all; 0 if the server does not say)

FETCH_COMMAND = "python -m sdxl_lora models fetch metrics"
TIMEOUTS = (10.0, 60.0)  # seconds to connect, and between two blocks
_BY_HAND = "give files of your own with --weights NETWORK=PATH"
_HUB = "https://huggingface.co"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CLIP_FILES = (
    "config.json",
    "preprocessor_config.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "vocab.json",
)
_BLIP_FILES = (
    "config.json",
    "preprocessor_config.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "vocab.txt",
)
_LOCK = "fetched.json"
_BLOCK = 1 << 16  # bytes; what an interruption loses at most


@dataclass(frozen=True, kw_only=True)
class Weights:
    """One published network: a single file, or (with `others`) the folder of a hub model."""

    key: str
    title: str
    url: str  # of the weights; the other files lie beside it
    sha256: (
        str | None
    )  # of the weights; None: the hub publishes it beside the file, and it is kept from then on
    size: int  # bytes, approximately
    others: tuple[str, ...] = ()

    @property
    def filename(self) -> str:
        return self.url.rsplit("/", 1)[-1]

    @property
    def is_folder(self) -> bool:
        return bool(self.others)


def _hub_model(
    key: str,
    title: str,
    repository: str,
    revision: str,
    sha256: str | None,
    size: int,
    others: tuple[str, ...],
) -> Weights:
    url = f"{_HUB}/{repository}/resolve/{revision}/pytorch_model.bin"
    return Weights(key=key, title=title, url=url, sha256=sha256, size=size, others=others)


CATALOGUE = {
    weights.key: weights
    for weights in (
        Weights(
            key="inception",
            title="Inception-v3 2015-12-05 (FID, KID, precision, recall, density, coverage, diversity)",
            url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
            sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            size=95_628_359,
        ),
        Weights(
            key="alexnet",
            title="AlexNet (LPIPS)",
            url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
            sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
            size=244_408_911,
        ),
        _hub_model(
            "clip",
            "CLIP ViT-B/32 (CLIP score)",
            "openai/clip-vit-base-patch32",
            "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
            "a63082132ba4f97a80bea76823f544493bffa8082296d62d71581a4feff1576f",
            605_247_071,
            (*_CLIP_FILES, "merges.txt"),
        ),
        _hub_model(
            "clip336",
            "CLIP ViT-L/14 at 336 px (CMMD)",
            "openai/clip-vit-large-patch14-336",
            "ce19dc912ca5cd21c8a653c79e251e808ccabcd1",
            "c6032c2e0caae3dc2d4fba35535fa6307dbb49df59c7e182b1bc4b3329b81801",
            1_711_974_081,
            (*_CLIP_FILES, "merges.txt"),
        ),
        _hub_model(
            "blip",
            "BLIP ITM base, COCO (BLIP score)",
            "Salesforce/blip-itm-base-coco",
            "main",
            None,
            895_000_000,
            _BLIP_FILES,
        ),
    )
}


def folder() -> Path:
    """Where fetched networks lie: `SDXL_LORA_HOME/metrics`."""
    return config.home() / "metrics"


def locate(key: str, given: Mapping[str, Path] | None = None) -> Path:
    """The file or folder of a network: the given one, or the fetched one. Asks no network.

    A single file must be the published one. A given hub folder may be another model of the same kind; its
    weights' hash stands beside every number. Raises `ModelUnavailableError` with the command that helps.
    """
    weights = _entry(key)
    own = (given or {}).get(key)
    if own is not None:
        if not own.exists():
            raise ModelUnavailableError(f"{own}, given for {weights.title}, does not exist")
        if not weights.is_folder and sha256_of(own) != weights.sha256:
            raise ModelUnavailableError(f"{own} is not {weights.title}: its SHA-256 is not {weights.sha256}")
        return own
    path = folder() / (weights.key if weights.is_folder else weights.filename)
    if not path.exists():
        raise ModelUnavailableError(f"the weights of {weights.title} are not here: {FETCH_COMMAND}")
    if weights.is_folder:
        right = sha256_of(weights_file(path)) == _locked(path / _LOCK)
    else:
        right = sha256_of(path) == weights.sha256
    if not right:
        raise ModelUnavailableError(
            f"{path} is damaged (its SHA-256 is wrong); delete it, then: {FETCH_COMMAND}"
        )
    return path


def weights_file(model: Path) -> Path:
    """The safetensors in a model's folder."""
    path = model / "model.safetensors"
    if not path.is_file():
        raise ModelUnavailableError(
            f"{model} has no model.safetensors; give the folder of a transformers model"
        )
    return path


def fetch(progress: Progress | None = None, keys: tuple[str, ...] = ()) -> list[Path]:
    """Downloads what is missing (all networks, or those named), checks it, and returns where it lies.

    A download that was interrupted goes on where it stopped. Hub models are kept as safetensors only.
    Raises `ModelUnavailableError` for an unreachable server or a wrong hash, `StorageError` for a full disk.
    """
    return [_fetch(_entry(key), progress or _silent) for key in keys or tuple(CATALOGUE)]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, computed once per content date and size."""
    status = path.stat()
    return _sha256(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _sha256(path: Path, _modified: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _entry(key: str) -> Weights:
    if key not in CATALOGUE:
        raise UnknownNameError("network for metrics", key, CATALOGUE)
    return CATALOGUE[key]


def _locked(path: Path) -> str | None:
    """The SHA-256 that was noted when the folder was fetched; None where nothing legible was."""
    try:
        values = plain_json.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values.get("safetensors") if isinstance(values, dict) else None


def _fetch(weights: Weights, progress: Progress) -> Path:
    target = folder() / (weights.key if weights.is_folder else weights.filename)
    if target.exists():
        return locate(weights.key)
    with _failures(weights, target):
        if not weights.is_folder:
            _download(weights.url, target, weights.sha256, progress)
            return target
        staging = target.with_name(f"{target.name}.partial")
        base = weights.url.removesuffix(weights.filename)
        for name in weights.others:
            if not (staging / name).exists():
                _download(base + name, staging / name, None, progress)
        _download(weights.url, staging / weights.filename, weights.sha256, progress)
        published = sha256_of(staging / weights.filename)
        _to_safetensors(staging / weights.filename)
        lock = {
            "source": weights.url,
            "published": published,
            "safetensors": sha256_of(staging / "model.safetensors"),
        }
        (staging / _LOCK).write_text(json.dumps(lock, indent=2))
        staging.rename(target)
    return target


def _download(url: str, target: Path, sha256: str | None, progress: Progress) -> None:
    """Downloads to `target`, resuming a partial file; checks the given hash or the one the hub publishes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.part")
    have = partial.stat().st_size if partial.exists() else 0
    endpoint = os.environ.get("HF_ENDPOINT", _HUB).rstrip("/")
    url = url.replace(_HUB, endpoint, 1)
    headers = {"Range": f"bytes={have}-"} if have else {}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUTS) as response:
        response.raise_for_status()
        if response.status_code != requests.codes.partial_content:
            have = 0  # the server sends the whole file again
        total = have + int(response.headers.get("content-length", 0))
        sha256 = sha256 or _published(response)
        with partial.open("ab" if have else "wb") as file:
            for block in response.iter_content(_BLOCK):
                file.write(block)
                have += len(block)
                progress(target.name, have, total)
    if sha256 is not None and sha256_of(partial) != sha256:
        partial.unlink()
        raise ModelUnavailableError(
            f"what {url} sent is not the published file (SHA-256 differs); try again later"
        )
    partial.rename(target)


def _published(response: requests.Response) -> str | None:
    """The SHA-256 the hub states for a large file, in a header of the answer or of the redirect before it."""
    for answer in (*response.history, response):
        tag = answer.headers.get("x-linked-etag", "").strip('"')
        if _SHA256.fullmatch(tag):
            return tag
    return None


def _to_safetensors(path: Path) -> None:
    """Rewrites a checked pickle of tensors as safetensors beside it, and removes it."""
    import torch
    from safetensors.torch import save_file

    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    # tied tensors share memory, which the format does not allow
    save_file(
        {key: tensor.clone().contiguous() for key, tensor in state.items()},
        path.with_name("model.safetensors"),
    )
    path.unlink()


@contextmanager
def _failures(weights: Weights, target: Path) -> Iterator[None]:
    try:
        yield
    except requests.HTTPError as error:
        raise ModelUnavailableError(
            f"{weights.title} could not be fetched from {weights.url} (the server says"
            f" {error.response.status_code}); try again later, or {_BY_HAND}"
        ) from error
    except requests.RequestException as error:  # its own message is a paragraph about connection pools
        raise ModelUnavailableError(
            f"{weights.title} could not be fetched from {weights.url}, which cannot be reached;"
            f" check the network and HTTPS_PROXY, or {_BY_HAND}"
        ) from error
    except OSError as error:
        raise StorageError(
            f"{target} cannot be written ({error.strerror}); free space or set SDXL_LORA_HOME"
        ) from error


def _silent(_name: str, _done: int, _total: int) -> None:
    """Progress nobody watches."""
