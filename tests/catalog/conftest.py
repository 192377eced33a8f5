"""A tiny model with its CLIP stands in for the bundled one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdxl_lora.catalog.planning import Settings
from sdxl_lora.catalog.runs import Run, create
from sdxl_lora.jobs.front_door import FrontDoor, open_front_door
from tests.stand_in import bundled, tiny_mini

__all__ = ["bundled", "tiny_mini"]

QUICK = {"steps": 2, "width": 64, "height": 64, "model": "mini"}


@pytest.fixture
def door(home: Path) -> Iterator[FrontDoor]:
    with open_front_door(home) as opened:
        yield opened


@pytest.fixture
def begin(tmp_path: Path) -> Callable[..., Run]:
    """Begins a catalogue of so many lines of CSV in `tmp_path/out`, small and quick."""

    def new(text: str, **settings: object) -> Run:
        given = {"template": "jacket", **settings}
        request = {**QUICK, **dict(given.pop("request", {}))}  # type: ignore[call-overload]
        return create(tmp_path / "out", text.encode(), "products.csv", Settings(request=request, **given))  # type: ignore[arg-type]

    return new
