"""An open store of its own for each test that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sdxl_lora.records import Store


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    with Store(home) as opened:
        yield opened
