"""What takes seconds to import is imported when it is first used, once, and by one thread at a time.

torch, diffusers, transformers and peft take seven seconds, and a page, `--help` or a list of jobs needs none of them.
So modules that pages import name none of `HEAVY`, nor a module that does (`tests/test_first_page.py`). Where one of
their functions goes on to what draws, it says so at a door: a function imports within `importing()`, and a room whose
light and heavy names stand together gives the heavy ones by `names`. A server imports everything in the background
once its first page is out (`ui.serving`).

One thread at a time, because these libraries import in circles: a second thread that enters a circle elsewhere would
be given modules that are not whole. No module enters a door while it is imported itself, or two threads could wait for
each other.
"""

import importlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

HEAVY = (
    "accelerate",
    "cv2",
    "diffusers",
    "lpips",
    "matplotlib",
    "openvino",
    "peft",
    "ray",
    "scipy",
    "skimage",
    "sklearn",
    "torch",
    "torchvision",
    "transformers",
)
_lock = threading.RLock()
_arrived = threading.Event()  # cleared while everything is still to be imported in the background
_arrived.set()


def in_background(load: Callable[[], None], when: Callable[[], None]) -> threading.Thread:
    """Starts a thread that calls `load`, which imports what is heavy, once `when` has returned."""
    _arrived.clear()

    def run() -> None:
        try:
            when()
            load()
        finally:
            _arrived.set()

    thread = threading.Thread(target=run, name="importing", daemon=True)
    thread.start()
    return thread


def coming() -> bool:
    """Whether everything will be imported in the background, and is not there yet."""
    return not _arrived.is_set()


def wait() -> None:
    """Until nothing is to come from the background; at once where nothing is."""
    _arrived.wait()


@contextmanager
def importing() -> Iterator[None]:
    """Inside, this thread alone imports what is heavy; waits while another does."""
    with _lock:
        yield


def names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A package's `__getattr__`, which imports a name's module when somebody first asks for it.

    `homes`: name -> module of the package that defines it; no name may be that of a module.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        with importing():
            return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return get
