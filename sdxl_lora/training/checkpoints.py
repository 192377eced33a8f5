"""Checkpoints that are complete or do not exist, and which one to go on from.

A checkpoint is a folder `checkpoint-N`, written under another name, flushed to disk and renamed; its
`manifest.json` lists the SHA-256 of every file and the identity of the run. Knows nothing of models: state
is a dictionary.
"""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sdxl_lora import plain_json
from sdxl_lora.errors import StorageError, TrainingError

MANIFEST = "manifest.json"
STATE = "training_state.pt"
_NAME = re.compile(r"checkpoint-(\d+)")
UNFINISHED = ".unfinished-"
_NO_SPACE = 1 << 22  # bytes

Identity = Mapping[str, Any]  # everything that decides what is learned: name -> JSON value
Warn = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A complete checkpoint."""

    path: Path
    step: int  # updates made
    identity: Identity

    def state(self) -> dict[str, Any]:
        """The training state. Raises `StorageError` when it cannot be read."""
        try:
            state: dict[str, Any] = torch.load(self.path / STATE, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError) as error:
            raise StorageError(f"{self.path / STATE} cannot be read: {str(error).splitlines()[0]}") from None
        return state


def save(
    output_dir: Path, step: int, state: Mapping[str, Any], identity: Identity, export: Callable[[Path], None]
) -> Path:
    """Writes `checkpoint-<step>`: the state, and whatever `export(folder)` puts beside it.

    Raises `StorageError` when the disk is full or read-only; nothing that was saved before is touched.
    """
    final = output_dir / f"checkpoint-{step}"
    work = output_dir / f"{UNFINISHED}{final.name}"
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        torch.save(dict(state), work / STATE)
        export(work)
        files = {str(p.relative_to(work)): _digest(p) for p in sorted(work.rglob("*")) if p.is_file()}
        manifest = {"step": step, "identity": dict(identity), "files": files}
        (work / MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")
        for path in [*work.rglob("*"), work]:
            _flush(path)
        if final.exists():  # left by a run of another length; the new one is complete already
            final.rename(work.with_name(f"{UNFINISHED}old-{final.name}"))
        work.rename(final)
        _flush(output_dir)
    except (
        OSError,
        RuntimeError,
    ) as error:  # torch.save reports a full disk as RuntimeError
        shutil.rmtree(work, ignore_errors=True)
        raise StorageError(
            f"{final} cannot be written: {reason(error, output_dir)}; earlier checkpoints are intact"
        ) from None
    clean(output_dir)
    return final


@contextmanager
def replaced_together(output_dir: Path) -> Iterator[Path]:
    """A folder to write files into; on leaving they move into `output_dir`, each replacing its namesake at
    once.
    """
    work = output_dir / f"{UNFINISHED}files"
    try:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        yield work
        for path in sorted(work.iterdir()):
            _flush(path)
            path.replace(output_dir / path.name)
        work.rmdir()
        _flush(output_dir)
    except OSError as error:
        raise StorageError(
            f"{output_dir} cannot be written: {reason(error, output_dir)}; the checkpoints are intact"
        ) from None


def clean(output_dir: Path) -> None:
    """Removes what an interrupted save left behind; a checkpoint that was being replaced comes back."""
    for path in output_dir.glob(f"{UNFINISHED}old-*"):
        final = output_dir / path.name.removeprefix(f"{UNFINISHED}old-")
        if not final.exists():
            path.rename(final)
    for path in output_dir.glob(f"{UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)


def rotate(output_dir: Path, limit: int | None, step: int) -> None:
    """Keeps the newest `limit` checkpoints up to `step`; `None` keeps all. Later ones are another run's."""
    mine = [path for path in candidates(output_dir) if int(path.name.rpartition("-")[2]) <= step]
    for path in mine[limit:] if limit else []:
        gone = path.with_name(f"{UNFINISHED}{path.name}")
        path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def candidates(output_dir: Path) -> list[Path]:
    """Folders named like checkpoints, newest first; other names are left alone."""
    if not output_dir.is_dir():
        return []
    found = [(int(match[1]), path) for path in output_dir.iterdir() if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found, reverse=True) if path.is_dir()]


def read(path: Path) -> Checkpoint:
    """A checkpoint whose files are all there and unchanged. Raises `StorageError` saying what is wrong."""
    try:
        manifest = plain_json.parse((path / MANIFEST).read_text(encoding="utf-8"))
        step, identity, files = int(manifest["step"]), manifest["identity"], manifest["files"]
    except OSError as error:
        raise StorageError(f"{path} is not a complete checkpoint: {MANIFEST}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise StorageError(f"{path} is not a complete checkpoint: {MANIFEST} is damaged") from None
    for name, digest in files.items():
        if not (path / name).is_file():
            raise StorageError(f"{path} is not a complete checkpoint: {name} is missing")
        if _digest(path / name) != digest:
            raise StorageError(f"{path} is not a complete checkpoint: {name} was changed after it was saved")
    return Checkpoint(path=path, step=step, identity=identity)


def find(wanted: str | None, output_dir: Path, *, strict: bool, warn: Warn) -> Checkpoint | None:
    """The checkpoint to go on from; `None` starts afresh.

    `wanted` is `latest` (the newest complete one), a name in `output_dir`, or a path. One that is not there
    is warned about and starts afresh, or raises `TrainingError` if `strict`.
    """
    if not wanted:
        return None
    if wanted == "latest":
        for path in candidates(output_dir):
            try:
                return read(path)
            except StorageError as error:
                warn(f"passed over: {error}")
        _start_afresh(f"there is no complete checkpoint in {output_dir}", strict, warn)
        return None
    place = _locate(wanted, output_dir)
    if place is None:
        there = ", ".join(path.name for path in candidates(output_dir))
        hint = f" (in {output_dir}: {there})" if there else ""
        _start_afresh(f"there is no checkpoint {wanted}{hint}", strict, warn)
        return None
    return read(place)


def require_same(checkpoint: Checkpoint, identity: Identity) -> None:
    """Raises `TrainingError` naming the differences between a checkpoint's run and this one."""
    now = json.loads(json.dumps(dict(identity)))  # as it would be read back: tuples are lists
    then = checkpoint.identity
    names = [
        name
        for name in dict.fromkeys([*now, *then])
        if (name in now, now.get(name)) != (name in then, then.get(name))
    ]
    if names:
        differences = [
            f"{n} was {_short(checkpoint.identity.get(n))} and is now {_short(now.get(n))}" for n in names
        ]
        raise TrainingError(
            f"{checkpoint.path} is of another run: {', '.join(differences)}; give the same, or another --output_dir"
        )


def _locate(wanted: str, output_dir: Path) -> Path | None:
    """`wanted` as a path, else inside `output_dir`. A folder of checkpoints stands for its newest complete
    one.
    """
    for path in (Path(wanted).expanduser(), output_dir / wanted):
        if (path / MANIFEST).is_file() or (path.is_dir() and _NAME.fullmatch(path.resolve().name)):
            return path
        for inner in candidates(path):
            if (inner / MANIFEST).is_file():
                return inner
    return None


def _start_afresh(reason: str, strict: bool, warn: Warn) -> None:
    if strict:
        raise TrainingError(f"{reason}; leave --resume_strict out to start a new run")
    warn(f"{reason}; starting a new training run")


def _short(value: Any) -> str:
    text = str(value)
    return f"{text[:12]}..." if re.fullmatch(r"[0-9a-f]{64}", text) else text


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reason(error: BaseException, folder: Path) -> str:
    """Why nothing could be written to `folder`, in words. PyTorch tells of a full disk as of any other failure."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if isinstance(error, RuntimeError):
        full = shutil.disk_usage(folder).free < _NO_SPACE
    if full:
        return "the disk is full"
    return (getattr(error, "strerror", None) or str(error)).splitlines()[0]
