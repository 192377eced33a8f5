"""`docs/formats.md` names everything that is written: tables and columns, files, keys of JSON and of headers."""

import io
import re
from dataclasses import fields
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from sdxl_lora.jobs.job import Job, Picture
from sdxl_lora.jobs.spec import Effort, JobSpec
from sdxl_lora.models.capabilities import Capabilities
from sdxl_lora.models.registry import ModelDefaults
from sdxl_lora.records import Store, metadata
from sdxl_lora.records.tables import Base
from sdxl_lora.records.votes import Votes
from sdxl_lora.request import GenerationRequest
from sdxl_lora.scoring import card
from sdxl_lora.training import export
from tests import documents
from tests.records.shared import add

FORMATS = documents.read("docs/formats.md")


def named(section: str) -> set[str]:
    """What stands in backticks in a section; of what is longer, the names in it."""
    text = FORMATS.split(f"## {section}\n")[1].split("\n## ")[0]
    return {name for words in documents.inline(text) for name in (words, *re.findall(r"[\w.]+", words))}


@pytest.mark.parametrize("table", sorted(Base.metadata.tables))
def test_every_table_is_explained(table: str) -> None:
    assert {table, *Base.metadata.tables[table].columns.keys()} <= named("Database")


def test_every_file_of_a_data_folder_is_explained(home: Path) -> None:
    with Store(home) as store, Votes(store.database) as votes:
        record = add(store)
        store.thumbnail(record)
        store.mark_favourite(record.id)
        votes.cast(record.id, approved=True, model="m", features=[1.0])
    explained = set(re.findall(r"`([\w.]+)[/`]", FORMATS.split("\n## ")[0]))
    assert {path.name for path in home.iterdir()} <= explained


def test_every_text_of_a_picture_is_explained() -> None:
    request = GenerationRequest(prompt="a cap", steps=1, guidance=1.0, seed=1, width=64, height=64)
    with Image.open(io.BytesIO(metadata.embed(Image.new("RGB", (8, 8)), request))) as image:
        assert isinstance(image, PngImageFile)
        assert set(image.text) <= named("Text in a PNG")
    assert set(card._OWN_KEYS) <= named("Text in a PNG")


@pytest.mark.parametrize("kind", [JobSpec, Effort, Job, Picture])
def test_every_key_of_a_job_is_explained(kind: type) -> None:
    assert {field.name for field in fields(kind)} <= named("Jobs")


def test_every_key_that_a_model_may_give_is_explained() -> None:
    from_other_files = {"multiple"}
    keys = {field.name for kind in (ModelDefaults, Capabilities) for field in fields(kind)}
    assert keys - from_other_files <= named("Models")


def test_every_key_in_the_header_of_a_lora_is_explained(tmp_path: Path) -> None:
    import torch
    from safetensors import safe_open

    facts = export.LoraFacts(
        title="t",
        architecture="sd",
        base_model="b",
        dataset="d",
        licence="l",
        pictures=1,
        resolution=8,
        rank=2,
        alpha=2,
        prediction_type="epsilon",
        layers_per_block=2,
        seed=1,
        step=1,
        trigger_words="w",
    )
    module = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    state = {f"{module}.lora_A.weight": torch.ones(2, 4), f"{module}.lora_B.weight": torch.ones(4, 2)}
    export.write_lora(tmp_path, state, {}, facts)
    for name in (export.DIFFUSERS_NAME, export.KOHYA_NAME):
        with safe_open(tmp_path / name, framework="pt") as file:
            assert {name, *file.metadata()} <= named("LoRA files")
