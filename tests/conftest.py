"""What all tests share: a data folder of their own, no network, tiny models of the real classes.

Torch is imported by fixtures only: the process that hands tests to the others would wait for it and use none of it.
"""

import gc
import os
import sqlite3
import sys
import tempfile

# before anything imports the hub's client, which reads these once
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="sdxl-lora-empty-hub-cache-")
os.environ.pop("SDXL_LORA_MINI", None)
os.environ.pop("DATABASE_URL", None)
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["SDXL_LORA_ENGINE"] = "torch"  # nothing is converted in the background unasked

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import hypothesis
import pytest

_REPORTED = ("torch", "diffusers", "transformers", "peft", "streamlit")

# how long an example takes says how busy the machine is, not whether the code is right; in CI the examples are the
# same every time, so that a change is judged by what it changed
hypothesis.settings.register_profile(
    "studio",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
hypothesis.settings.load_profile("studio")


def pytest_report_header() -> str:
    return ", ".join(f"{name} {version(name)}" for name in _REPORTED)


def pytest_collection_finish() -> None:
    """What was imported by now stays: the garbage collector need not look through it again and again."""
    gc.freeze()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of this test; it does not exist until something is written there."""
    folder = tmp_path / "home"
    monkeypatch.setenv("SDXL_LORA_HOME", str(folder))
    return folder


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """Streamlit makes a page `__main__`, which processes that multiprocessing starts later would run, and end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "__main__", sys.modules["__main__"])
        yield


@pytest.fixture(scope="session", autouse=True)
def smallest_int8_layer() -> Iterator[int]:
    """How many numbers it has outside tests. Here any layer is int8: tiny models have none that is large."""
    from sdxl_lora.models import int8

    with pytest.MonkeyPatch.context() as patch:
        real = int8.SMALLEST
        patch.setattr(int8, "SMALLEST", 0)
        yield real


@pytest.fixture(scope="session", autouse=True)
def nothing_waits_for_the_disk() -> Iterator[None]:
    """What tests write need not outlive a power cut: a flush takes milliseconds, and there are thousands."""
    from sdxl_lora.records import sqlite

    connected = sqlite._connected

    def connect(connection: sqlite3.Connection, record: object) -> None:
        connected(connection, record)
        connection.execute("PRAGMA synchronous=OFF")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(sqlite, "_connected", connect)
        yield


@pytest.fixture(scope="session")
def tiny_sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a tiny SDXL. Read-only: copy it before changing anything."""
    from tests import tiny

    return tiny.save_sdxl(tmp_path_factory.mktemp("models") / "tiny-sdxl")


@pytest.fixture(scope="session")
def tiny_sd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a tiny Stable Diffusion 1.x. Read-only: copy it before changing anything."""
    from tests import tiny

    return tiny.save_sd(tmp_path_factory.mktemp("models") / "tiny-sd")


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a tiny CLIP model and processor, 32 px pictures."""
    from tests import tiny

    return tiny.save_clip(tmp_path_factory.mktemp("models") / "tiny-clip")
