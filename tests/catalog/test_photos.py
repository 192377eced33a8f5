"""Photos that rows name: found beside the table and nowhere else, used as they are unless a row says how strongly."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdxl_lora import inputs
from sdxl_lora.catalog import runs
from sdxl_lora.catalog.filling import fill
from sdxl_lora.catalog.photos import UNKNOWN, Photos
from sdxl_lora.catalog.planning import Settings, plan
from sdxl_lora.catalog.tables import parse
from sdxl_lora.errors import InputError
from sdxl_lora.jobs.front_door import FrontDoor
from tests.export.drawing import encoded, garment


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A folder with a table's photos, and a secret beside it."""
    folder = tmp_path / "shelf"
    (folder / "sub").mkdir(parents=True)
    photo = encoded(garment((256, 256), fill=0.7, background=230), "PNG")
    (folder / "a.png").write_bytes(photo)
    (folder / "sub" / "b.png").write_bytes(photo)
    (folder / "text.png").write_text("no picture")
    (tmp_path / "secret.png").write_bytes(photo)
    os.symlink(tmp_path / "secret.png", folder / "link.png")
    return folder


def test_a_photo_beside_the_table_becomes_an_input_picture(shelf: Path) -> None:
    photos = Photos(shelf)
    assert inputs.open(photos("a.png")).size == (256, 256)
    assert photos("sub/b.png") == photos("sub\\b.png") == photos("a.png")
    assert Photos(shelf, keep=False)("a.png") == UNKNOWN
    assert Photos(files={"A.PNG": (shelf / "a.png").read_bytes()})("photos/a.png") == photos("a.png")


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png",
        "link.png",
        "/etc/hostname",
        "C:\\x.png",
        "gone.png",
        "sub",
        "text.png",
        "a\0.png",
        "x" * 5_000,
    ],
)
@pytest.mark.parametrize("keep", [True, False])
def test_what_leads_out_of_the_folder_is_not_there_or_no_picture_is_one_line(
    shelf: Path, name: str, keep: bool
) -> None:
    if name == "text.png" and not keep:
        return  # a dry run looks whether it is there, and not into it
    with pytest.raises(InputError) as caught:
        Photos(shelf, keep=keep)(name)
    assert "\n" not in str(caught.value)


def test_a_row_without_its_photo_is_a_problem_of_its_own(shelf: Path) -> None:
    table = parse(b"sku,photo,strength\nA,a.png,\nB,../secret.png,\nC,a.png,0.5\n", "a.csv")
    found = plan(table, Settings(template="jacket"), photos=Photos(shelf))
    assert [(item.sku, item.request.strength) for item in found.items] == [("A", 0), ("C", 0.5)]
    assert "is not in" in found.problems[3]
    without = plan(parse(b"sku,photo\nA,a.png\n", "a.csv"), Settings())
    assert "no photo 'a.png'" in without.problems[2]


def test_photos_are_finished_and_not_redrawn(
    shelf: Path, door: FrontDoor, tmp_path: Path, begin: Callable[..., object]
) -> None:
    settings = Settings(request={"model": "mini", "background": "white"}, presets=("amazon",))
    run = runs.create(tmp_path / "out", b"sku,photo\nA,a.png\n", "p.csv", settings, Photos(shelf))
    assert list(fill(run, door))[-1].done == 1
    with Image.open(run.folder / "A.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    before = np.asarray(Image.open(io.BytesIO((shelf / "a.png").read_bytes())).convert("RGB"))
    assert np.array_equal(pixels[120:136, 120:136], before[120:136, 120:136])
    assert (pixels[:8] == 255).all()
    assert run.made[0].exports["amazon"]["left"] == []
