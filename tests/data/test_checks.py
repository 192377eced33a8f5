"""The report names everything that would go wrong, before any model is loaded."""

import json

import pytest
from PIL import Image

from sdxl_lora import cli
from sdxl_lora.data import checks
from sdxl_lora.data.sources import open_source


@pytest.fixture
def messy(tmp_path, noise):
    """A folder in which everything is wrong once."""
    folder = tmp_path / "messy"
    folder.mkdir()
    noise(8, 8, 1).resize((70, 70)).save(folder / "good.png")
    noise(8, 8, 1).resize((72, 72)).save(folder / "again.jpg", quality=95)
    noise(20, 20, 2).save(folder / "tiny.png")
    noise(80, 60, 3).convert("RGBA").save(folder / "alpha.png")
    (folder / "broken.png").write_bytes(b"no picture")
    exif = Image.Exif()
    exif[0x0112] = 6
    noise(90, 60, 4).save(folder / "turned.jpg", exif=exif)
    for name in ("good", "again", "tiny", "alpha", "broken"):
        (folder / f"{name}.txt").write_text("top, " + "x" * (90 if name == "alpha" else 3))
    return folder


def test_everything_is_found(messy):
    source = open_source(str(messy), captions_required=False)
    report = checks.check(source, resolution=64, multiple=8, counters={"tokenizer": len}, token_limit=77)
    assert set(report.unreadable) == {"broken.png"}
    assert report.tiny == ["tiny.png"]
    assert [sorted(group) for group in report.duplicates] == [["again.jpg", "good.png"]]
    assert report.transparent == ["alpha.png"]
    assert report.modes == {"RGBA": 1}
    assert report.rotated == ["turned.jpg"]
    assert report.without_caption == ["turned.jpg"]
    assert report.too_long == {"tokenizer": {"alpha.png": 95}}
    assert report.classes == {"top": 5}
    assert report.upscaled == 1  # tiny
    assert report.problems == 3
    assert sum(count for _, count in report.buckets) == 5


def test_one_garment_in_two_colours_is_no_duplicate(tmp_path):
    for name, colour in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
        image = Image.new("RGB", (64, 64), "white")
        image.paste(colour, (16, 16, 48, 48))
        image.save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.txt").write_text("top")
    assert checks.check(open_source(str(tmp_path)), resolution=64, multiple=8).duplicates == []


def test_the_verb_counts_with_the_models_own_tokenizers_and_prints_json(messy, tiny_sdxl, capsys):
    assert cli.main(["check-data", str(messy), "--model", str(tiny_sdxl), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report["too_long"]) == {"tokenizer", "tokenizer_2"}
    assert report["problems"] == 3
    assert report["resolution"] == 64


def test_the_verb_prints_lines_for_a_person(messy, tiny_sdxl, capsys):
    assert cli.main(["check-data", str(messy), "--model", str(tiny_sdxl)]) == 0
    printed = capsys.readouterr().out
    assert "1 groups look the same" in printed
    assert "broken.png cannot be read as a picture" in printed
    assert "3 things to put right" in printed


def test_a_source_that_is_not_there_exits_with_2(capsys):
    assert cli.main(["check-data", "/nowhere"]) == 2
    assert "there is no data set at /nowhere" in capsys.readouterr().err


def test_blur_long_crops_common_words_and_rare_classes_are_found(tmp_path, noise):
    folder = tmp_path / "set"
    folder.mkdir()
    for number in range(12):
        picture = noise(256, 256, number)
        if number == 3:
            picture = noise(4, 4, 3).resize((256, 256), Image.Resampling.BICUBIC)
        if number == 4:
            picture = picture.resize((1600, 32))
        picture.save(folder / f"{number:02}.png")
        (folder / f"{number:02}.txt").write_text(
            f"{'cap' if number == 5 else 'top'}, a halden photo {number}"
        )
    report = checks.check(open_source(str(folder)), resolution=64, multiple=8)
    assert report.blurred == ["03.png"]
    assert report.cropped == ["04.png"]
    assert report.common_words == {"halden": 1.0, "top": 11 / 12}
    assert report.rare == ["cap"]
