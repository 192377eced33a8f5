"""`export`: the checklist of a shop on the command line, and mended copies."""

import json
from pathlib import Path
from typing import Any

import pytest

from sdxl_lora import cli
from tests.export.drawing import encoded, garment, made_by_a_model


def as_json(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert cli.main(["export", *words, "--json"]) == 0
    out: dict[str, Any] = json.loads(capsys.readouterr().out)
    return out


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "shirt.png"
    path.write_bytes(encoded(garment((300, 300), fill=0.6, background=250), "PNG"))
    return path


def test_without_an_output_files_are_only_checked(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(picture.parent.iterdir())
    [image] = as_json(capsys, str(picture), "--preset", "amazon")["images"]
    assert {one["check"] for one in image["findings"] if one["state"] == "fail"} == {
        "longest_side",
        "background",
        "fill",
    }
    assert "output" not in image
    assert sorted(picture.parent.iterdir()) == before
    assert cli.main(["export", str(picture), "--preset", "amazon"]) == 0
    assert "FAIL    background 250, wants 255" in capsys.readouterr().out


def test_mended_copies_pass_and_say_what_was_done(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = picture.parent / "new" / "amazon"
    [image] = as_json(capsys, str(picture), "--preset", "amazon", "--output", str(folder), "--format", "jpg")[
        "images"
    ]
    assert Path(image["output"]) == folder / "shirt.jpg"
    assert image["done"][:2] == ["background made pure white", "product framed at 88%"]
    assert {one["state"] for one in image["after"]} == {"ok"}
    [again] = as_json(capsys, image["output"], "--preset", "amazon")["images"]
    assert {one["state"] for one in again["findings"]} == {"ok"}


def test_the_presets_are_listed_with_their_sources(capsys: pytest.CaptureFixture[str]) -> None:
    known = as_json(capsys, "--list")["presets"]
    assert all(rule["source"] and rule["read"] for one in known.values() for rule in one["rules"])
    assert cli.main(["export", "--list"]) == 0
    said = capsys.readouterr().out
    assert "sellercentral.amazon.com" in said
    assert "longest side 1,000 px to 10,000 px (" in said
    assert "bytes at most 10.0 MB (" in said
    assert "e+0" not in said


def test_bad_input_is_one_line(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (picture.parent / "text.png").write_text("no picture")
    other = picture.parent / "other" / "shirt.png"
    other.parent.mkdir()
    other.write_bytes(made_by_a_model())
    folder = str(picture.parent)
    for words in (
        [],
        [str(picture), "--preset", "amzon"],
        [str(picture.parent / "gone.png")],
        [folder],
        [str(picture.parent / "text.png")],
        [str(picture), "--output", folder],  # would overwrite it
        [str(picture), "--output", str(picture)],
        [str(picture), str(other), "--output", str(picture.parent / "new")],  # one name for two
        [str(picture), "--output", folder + "/x", "--format", "tiff"],
        [str(picture), "--output", folder + "/x", "--quality", "0"],
    ):
        before = picture.read_bytes()
        assert cli.main(["export", *words]) == 2, words
        told = capsys.readouterr().err
        assert told.startswith("error: ")
        assert told.count("\n") == 1
        assert picture.read_bytes() == before
