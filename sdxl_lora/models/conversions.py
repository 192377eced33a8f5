"""Networks converted for OpenVINO: where they lie, which are ready, and the child process that makes one.

A conversion belongs to the contents of a model and its LoRAs, a size, a version of OpenVINO and a kind of
processor. It is made once, in a process of its own, because OpenVINO can crash the process that it compiles in; what
was compiled and tried there is only read here. `SDXL_LORA_HOME/cache/openvino/KEY/` holds the compiled network and
what it takes, `KEY.failed` why there is none. Knows nothing of torch and of OpenVINO's interface.
"""

import functools
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sdxl_lora import plain_json
from sdxl_lora.config import home
from sdxl_lora.request import ResolvedRequest

NETWORK_FILE = "unet.blob"
FACTS_FILE = "facts.json"
RETRY_AFTER = 24 * 3600.0  # seconds: what failed for want of memory or disk may succeed another day
_FORMAT = 1  # of what the child writes; another one is converted anew
_LIMIT = 4e9  # bytes of all conversions; the newest stays, however large it is
_LONGEST_REASON = 200  # characters

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What a converted network is for."""

    model: str  # name, folder or hub id
    model_sha256: str
    loras: tuple[tuple[str, float, str], ...]  # (path, weight, SHA-256), merged before the conversion
    width: int  # px
    height: int  # px

    @classmethod
    def of(cls, request: ResolvedRequest) -> "Conversion":
        """The conversion that can draw `request`."""
        return cls(
            model=request.model,
            model_sha256=request.model_sha256,
            loras=tuple((lora.path, lora.weight, lora.sha256) for lora in request.loras),
            width=request.width,
            height=request.height,
        )

    @property
    def folder(self) -> Path:
        """Where it is kept. Models and LoRAs count by their contents, not by their names."""
        loras = sorted((sha256, weight) for _, weight, sha256 in self.loras if weight != 0)
        processor = f"{platform.machine()} {platform.processor()} {_flags()}"
        facts = (
            _FORMAT,
            version(),
            processor,
            self.model_sha256,
            loras,
            self.width,
            self.height,
        )
        return cache() / hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]

    @property
    def ready(self) -> bool:
        """Whether it has been made, and tried."""
        return (self.folder / FACTS_FILE).is_file()

    @property
    def failure(self) -> str:
        """Why there is none and none is tried for now; empty = nothing is known against it."""
        file = self.folder.with_suffix(".failed")
        try:
            if time.time() - file.stat().st_mtime > RETRY_AFTER:
                return ""
            return file.read_text(encoding="utf-8")
        except OSError:
            return ""

    def facts(self) -> dict[str, Any]:
        """What the child wrote of it; marks it as used. Raises `OSError`, `ValueError`."""
        file = self.folder / FACTS_FILE
        values = plain_json.parse(file.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError(f"{file} is not a JSON object")
        os.utime(file)
        return values

    def fail(self, reason: str) -> None:
        """Remembers that it cannot be used, and drops what there is of it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        try:
            cache().mkdir(parents=True, exist_ok=True)
            self.folder.with_suffix(".failed").write_text(reason[:_LONGEST_REASON], encoding="utf-8")
        except OSError as error:  # it will be tried again, that is all
            log.warning("the failed conversion cannot be noted: %s", error)

    def to_json(self) -> str:
        """For the child."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Conversion":
        """Inverse of `to_json`."""
        values = plain_json.parse(text)
        return cls(**{**values, "loras": tuple(tuple(lora) for lora in values["loras"])})


def cache() -> Path:
    """The folder of all conversions."""
    return home() / "cache" / "openvino"


@functools.cache
def version() -> str:
    """OpenVINO's; empty = it is not installed."""
    try:
        return importlib.metadata.version("openvino")
    except importlib.metadata.PackageNotFoundError:
        return ""


def _flags() -> str:
    """The processor's abilities, which decide what a compiled network may use."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("flags")), "")


_lock = threading.Lock()
_child: threading.Thread | None = None


def begin(conversion: Conversion) -> None:
    """Starts a conversion in the background, unless one is running; it goes on if this process ends."""
    global _child
    with _lock:
        if _child is not None and _child.is_alive():
            return
        command = [sys.executable, "-m", "sdxl_lora.models.openvino_conversion", conversion.to_json()]
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,  # Ctrl-C ends the pictures, not what later ones gain from
                env=_environment(),
            )
        except OSError as error:
            conversion.fail(f"no process could be started: {error.strerror}")
            return
        _child = threading.Thread(target=_watch, args=(process, conversion), daemon=True, name="conversion")
        _child.start()


def wait(timeout: float | None = None) -> None:
    """Until the conversion that is running has ended, or `timeout` seconds are over."""
    child = _child
    if child is not None:
        child.join(timeout)


def clean(limit: float | None = None) -> None:
    """Deletes the conversions that were not used the longest, until all are within `limit` bytes, but the newest."""
    limit = (
        float(os.environ.get("SDXL_LORA_OPENVINO_CACHE_GB") or _LIMIT / 1e9) * 1e9 if limit is None else limit
    )
    entries = sorted(cache().glob(f"*/{FACTS_FILE}"), key=lambda file: file.stat().st_mtime, reverse=True)
    total = 0
    for number, entry in enumerate(entries):
        total += sum(file.stat().st_size for file in entry.parent.iterdir())
        if number and total > limit:
            shutil.rmtree(entry.parent, ignore_errors=True)


def _environment() -> dict[str, str]:
    """One thread and torch alone: pictures are drawn beside it."""
    paths = [path for path in sys.path if path] + [str(Path.cwd())]
    own = {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths), "SDXL_LORA_ENGINE": "torch"}
    return {**os.environ, **own}


def _watch(process: "subprocess.Popen[str]", conversion: Conversion) -> None:
    _, said = process.communicate()
    if process.returncode == 0:
        return
    lines = [line for line in said.splitlines() if line.strip()]
    crashed = f"the process ended with signal {-process.returncode}" if process.returncode < 0 else ""
    conversion.fail(crashed or (lines[-1].strip() if lines else f"exit status {process.returncode}"))
