"""OpenVINO itself: imported where it is used, without its telemetry, which would send a note of every conversion."""

import importlib
import io
import sys
import threading
from typing import Any

_FIRST = threading.Lock()


def load() -> Any:
    """The package. Raises `ImportError` where it is not installed.

    The first `Type.to_dtype` of a process builds a table inside a C++ static and may lose the interpreter meanwhile:
    two threads that begin at once would wait for each other for ever. So it is made here, by one.
    """
    with _FIRST:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # "not there", to its importers
        package = importlib.import_module("openvino")
        package.Type.f32.to_dtype()
    return package


def read(blob: bytes, *, threads: int, streams: int) -> Any:
    """A compiled network from what its `export_model` gave; `streams` requests run at once. Raises `RuntimeError`."""
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": streams,
        "ENABLE_CPU_PINNING": False,  # other programs want the cores, too
    }
    return load().Core().import_model(io.BytesIO(blob), "CPU", settings)
