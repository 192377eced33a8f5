"""Which contents a name stands for: SHA-256 of LoRA files and of whole models, so that nothing old is taken for new.

A file is read once and then known by its path, size and times of change, as git's index does it; one that changed just
now is read again, because clocks of file systems are coarse. Large files are remembered across processes, in
`SDXL_LORA_HOME/cache/contents.json`, and files of the hub's cache are named by their contents already. Knows nothing
of what is in a file.
"""

import contextlib
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sdxl_lora import files, plain_json
from sdxl_lora.config import home
from sdxl_lora.errors import LoraError, ModelUnavailableError, RequestError, StorageError
from sdxl_lora.models import architecture, hub, lora_place, registry
from sdxl_lora.request import LoraSpec

SETTLED = 2.0  # seconds after a change from which size and times tell one content from another
REMEMBERED = 16 * 2**20  # bytes from which a file's hash is worth keeping for the next process
_BLOB = re.compile(r"[0-9a-f]{64}")

_Stamp = tuple[int, int, int]  # size in bytes, mtime in ns, ctime in ns
_known: dict[str, tuple[_Stamp, str]] = {}
_read_from: set[Path] = set()  # remembered hashes that were taken over into `_known`
_lock = threading.Lock()


def of_file(path: Path) -> str:
    """SHA-256 of a file's contents, in hexadecimal. Raises `OSError`."""
    real = path.resolve()
    if real.parent.name == "blobs" and _BLOB.fullmatch(real.name):
        return real.name  # the hub's cache names a large file by its SHA-256
    with _lock:
        _take_over_remembered()
        found = _known.get(str(real))
    before = _stamp(real)
    if found is not None and found[0] == before:
        return found[1]
    with real.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if _stamp(real) == before and time.time() - max(before[1:]) / 1e9 > SETTLED:
        with _lock:
            _known[str(real)] = (before, digest)
            if before[0] >= REMEMBERED:
                _remember(str(real), before, digest)
    return digest


def of_model(info: registry.ModelInfo) -> str:
    """One hash for everything of a model that is loaded: index, configurations, tokenizers, weights.

    Raises `ModelUnavailableError` if it is not on this machine or cannot be read.
    """
    if info.folder is None:
        raise ModelUnavailableError(f"{info.name} is not on this machine; run `models fetch {info.name}`")
    total = hashlib.sha256()
    try:
        for name, path in _files(info, info.folder):
            total.update(f"{name}\0{of_file(path)}\n".encode())
    except OSError as error:
        raise ModelUnavailableError(
            f"{info.name} cannot be read from {info.folder}: {error.strerror or error}"
        ) from error
    return total.hexdigest()


def of_lora(spec: LoraSpec) -> str:
    """SHA-256 of the file that a LoRA's path means. Raises `LoraError`."""
    path = lora_place.find(spec)
    try:
        return of_file(path)
    except OSError as error:
        raise LoraError(f"LoRA {spec.path} cannot be read: {error.strerror or error}") from error


def pinned(specs: Iterable[LoraSpec]) -> tuple[LoraSpec, ...]:
    """The LoRAs with the hashes of their contents. Raises `LoraError`, also where one is not what its hash says."""
    found = []
    for spec in specs:
        digest = of_lora(spec)
        if spec.sha256 not in ("", digest):
            raise LoraError(
                f"LoRA {spec.path} has changed since this was asked for; ask again to use the new one"
            )
        found.append(replace(spec, sha256=digest))
    return tuple(found)


def check_model(info: registry.ModelInfo, sha256: str) -> str:
    """The hash of a model, which must be `sha256` unless that is empty. Raises `RequestError`."""
    digest = of_model(info)
    if sha256 not in ("", digest):
        raise RequestError(
            f"model {info.name} has changed since this was asked for; ask again to use the new one"
        )
    return digest


def _files(info: registry.ModelInfo, folder: Path) -> list[tuple[str, Path]]:
    """(name, path) of every file that decides what the model draws, in a fixed order."""
    parts = sorted(
        {*architecture.read(folder).components, *(p.name for p in folder.glob("tokenizer*")), "scheduler"}
    )
    inside = [path for part in parts for path in sorted((folder / part).glob("*")) if path.is_file()]
    files = [(path.relative_to(folder).as_posix(), path) for path in (folder / "model_index.json", *inside)]
    fixed = hub.cached_component(info.half_precision_vae) if info.half_precision_vae else None
    if fixed is not None:  # takes the place of the model's own in half precision
        files += [
            (f"half_precision_vae/{path.name}", path) for path in sorted(fixed.glob("*")) if path.is_file()
        ]
    return files


def _stamp(path: Path) -> _Stamp:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _memory() -> Path:
    return home() / "cache" / "contents.json"


def _take_over_remembered() -> None:
    """What earlier processes found out; a file that cannot be read costs only time."""
    path = _memory()
    if path in _read_from:
        return
    _read_from.add(path)
    for name, entry in _read(path).items():
        if isinstance(entry, list) and len(entry) == 4 and isinstance(entry[3], str):
            _known.setdefault(name, ((entry[0], entry[1], entry[2]), entry[3]))


def _remember(name: str, stamp: _Stamp, digest: str) -> None:
    """For the next process; a disk that refuses costs only time."""
    path = _memory()
    values = {**_read(path), name: [*stamp, digest]}
    with contextlib.suppress(StorageError):
        files.write_atomically(path, json.dumps(values).encode())


def _read(path: Path) -> dict[str, Any]:
    try:
        values = plain_json.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
