"""OpenVINO itself: imported where it is used, without its telemetry, which would send a note of every conversion."""

import importlib
import io
import sys
from typing import Any


def load() -> Any:
    """The package. Raises `ImportError` where it is not installed."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # "not there", to whoever imports it
    return importlib.import_module("openvino")


def read(blob: bytes, *, threads: int, streams: int) -> Any:
    """A compiled network from what its `export_model` gave; `streams` requests run at once. Raises `RuntimeError`."""
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": streams,
        "ENABLE_CPU_PINNING": False,  # other programs want the cores, too
    }
    return load().Core().import_model(io.BytesIO(blob), "CPU", settings)
