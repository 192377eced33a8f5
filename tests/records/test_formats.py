"""`docs/formats.md` names every table and file that there is."""

import re
from pathlib import Path

import pytest

from sdxl_lora.records import Store
from sdxl_lora.records.tables import Base
from sdxl_lora.records.votes import Votes
from tests.records.shared import add

FORMATS = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("table", sorted(Base.metadata.tables))
def test_every_table_is_explained(table: str) -> None:
    assert f"`{table}`" in FORMATS.split("## Database")[1].split("\n## ")[0]


def test_every_file_of_a_data_folder_is_explained(home: Path) -> None:
    with Store(home) as store, Votes(store.database) as votes:
        record = add(store)
        store.thumbnail(record)
        store.mark_favourite(record.id)
        votes.cast(record.id, approved=True, model="m", features=[1.0])
    explained = set(re.findall(r"`([\w.]+)[/`]", FORMATS.split("\n## ")[0]))
    assert {path.name for path in home.iterdir()} <= explained
