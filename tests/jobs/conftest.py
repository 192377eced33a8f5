"""Jobs are tested on tiny real models, and on a database of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sdxl_lora.jobs.store import JobStore
from sdxl_lora.records import Database
from tests.stand_in import bundled, tiny_mini

__all__ = ["bundled", "tiny_mini"]


@pytest.fixture
def store(home: Path) -> Iterator[JobStore]:
    with Database(home) as database:
        yield JobStore(database)
