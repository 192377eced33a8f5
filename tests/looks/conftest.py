"""Pictures of four garments in a data folder, and the bundled CLIP to look at them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from sdxl_lora.looks.looking import Looks
from sdxl_lora.records import Record, Store
from sdxl_lora.scoring.base import default_scorer
from sdxl_lora.ui.examples import EXAMPLES
from tests.records.shared import request


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    with Store(home) as opened:
        yield opened


@pytest.fixture
def looks(store: Store) -> Looks:
    return Looks(store.database, clip=default_scorer)


@pytest.fixture
def made(store: Store) -> dict[str, Record]:
    """What the examples show -> their pictures, whose requests say nothing of it."""
    found = {}
    for example in EXAMPLES:
        with Image.open(example.picture) as image:
            found[example.key] = store.add(image.convert("RGB"), request=request("a picture"))
    return found


def pixels(record: Record) -> tuple[str, Image.Image]:
    with Image.open(record.path) as image:
        return record.id, image.convert("RGB")
