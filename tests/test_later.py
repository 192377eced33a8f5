"""What is heavy is imported once, by one thread at a time, and those who need it wait."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdxl_lora import later


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package with a heavy module, which says how often it was imported."""
    folder = tmp_path / "slow_to_import"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from sdxl_lora import later\n__getattr__ = later.names(__name__, {'draw': 'heavy'})\n"
    )
    (folder / "heavy.py").write_text("def draw():\n    return 'drawn'\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder.name
    for name in [name for name in sys.modules if name.startswith(folder.name)]:
        del sys.modules[name]


def test_a_heavy_name_is_imported_when_it_is_asked_for(package: str) -> None:
    module = __import__(package)
    assert f"{package}.heavy" not in sys.modules
    assert module.draw() == "drawn"


def test_a_name_that_is_not_there_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'paint'"):
        __import__(package).paint  # noqa: B018


def test_who_needs_it_waits_for_the_thread_that_imports_it() -> None:
    begun, go_on, order = threading.Event(), threading.Event(), []

    def load() -> None:
        with later.importing():
            begun.set()
            go_on.wait(10)
            order.append("imported")

    def need() -> None:
        with later.importing():
            order.append("used")

    thread = later.in_background(load, when=lambda: None)
    assert begun.wait(10)
    assert later.coming()
    user = threading.Thread(target=need)
    user.start()
    go_on.set()
    later.wait()
    thread.join()
    user.join()
    assert (order, later.coming()) == (["imported", "used"], False)


def test_what_cannot_be_imported_in_the_background_is_waited_for_by_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)

    def load() -> None:
        raise ImportError("broken")

    later.in_background(load, when=lambda: None).join()
    assert not later.coming()
