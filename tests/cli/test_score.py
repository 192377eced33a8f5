"""`score`, and the loop's flags of `generate`, on the tiny model."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdxl_lora import cli, prompts
from sdxl_lora.records import Store
from sdxl_lora.search.calibration import Calibrations

QUICK = ("--steps", "2", "--width", "64", "--height", "64", "--model", "mini")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    return path


def test_score_prints_score_and_attributes(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["score", str(picture), "--prompt", "a navy cap, 8K", "--also", "sharpness"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{picture}  mini-CLIP cosine ")
    assert lines[0].endswith("'a navy cap'")
    assert lines[1].startswith("  colour: navy 0.")
    assert lines[-1].startswith("  sharpness (1 - blur effect) 0.")


def test_score_reads_every_kind_of_file_as_evaluate_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 4), dtype=np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6
    colour = Image.fromarray(noise[..., :3])
    (tmp_path / "in").mkdir()
    colour.save(tmp_path / "in" / "turned.jpg", exif=turned)
    Image.fromarray(noise).save(tmp_path / "in" / "alpha.png")
    Image.fromarray(noise[..., 0].astype(np.uint16) * 257).save(tmp_path / "in" / "sixteen.png")
    colour.convert("CMYK").save(tmp_path / "in" / "cmyk.jpg")
    files = sorted((tmp_path / "in").iterdir())
    (tmp_path / "c.json").write_text(json.dumps({path.name: "a navy cap" for path in files}))
    assert cli.main(["score", *map(str, files), "--prompt", "a navy cap", "--json"]) == 0
    printed = capsys.readouterr()
    scored = [image["score"] for image in json.loads(printed.out)["images"]]
    assert f"{tmp_path / 'in' / 'turned.jpg'}: turned upright (EXIF)" in printed.err
    command = ["evaluate", "--generated", str(tmp_path / "in"), "--captions", str(tmp_path / "c.json")]
    assert cli.main([*command, "--metrics", "clip_mini", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    values = report["metrics"]["clip_mini"]["per_image"]
    assert values == pytest.approx([2.5 * max(score, 0) for score in scored], abs=1e-5)


def test_json_is_one_object_without_nan(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    black = tmp_path / "black.png"
    Image.new("RGB", (64, 64)).save(black)
    assert cli.main(["score", str(picture), str(black), "--prompt", "a navy cap", "--json"]) == 0
    one, blank = json.loads(capsys.readouterr().out)["images"]
    assert -1 <= one["score"] <= 1
    assert [finding["wanted"] for finding in one["attributes"]] == ["navy", "cap"]
    assert blank["score"] is None
    assert blank["gates"][0]["name"] == "blank"


def test_pictures_of_the_studio_know_their_prompt(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert cli.main(["generate", "a red cap", *QUICK]) == 0
    capsys.readouterr()
    [path] = home.rglob("*.png")
    assert cli.main(["score", str(path)]) == 0
    assert "'a red cap'" in capsys.readouterr().out


def test_missing_weights_are_said_and_the_rest_is_scored(
    picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["score", str(picture), "--prompt", "a cap", "--also", "blip"]) == 0
    captured = capsys.readouterr()
    assert "mini-CLIP cosine" in captured.out
    assert "python -m sdxl_lora models fetch metrics" in captured.err


def test_a_held_out_judge_is_reported_or_said_to_be_missing(
    picture: Path, tiny_clip: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["score", str(picture), "--prompt", "a cap", "--also", "held-out"]
    assert cli.main(words) == 0
    captured = capsys.readouterr()
    assert "HPS v2 (held out) is left out" in captured.err
    assert "hf download adams-story/HPSv2-hf" in captured.err
    monkeypatch.setenv("SDXL_LORA_HELD_OUT", str(tiny_clip))
    assert cli.main(words) == 0
    assert f"{tiny_clip.name} (held out) " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "start"),
    [
        ([], "name the pictures to score"),
        (["nowhere.png"], "nowhere.png cannot be opened: No such file"),
        (["{picture}"], "{picture} does not say what it should show; give --prompt"),
        (["{picture}", "--prompt", " "], "the prompt is empty"),
        (["--calibrate"], "--calibrate makes its own pictures"),
        (["--calibrate", "--template", "jackt"], "no template named 'jackt'; did you mean 'jacket'?"),
        (["--calibrate", "--template", "jacket", "--count", "3"], "--count 3 is not between 8 and 1000"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    words: list[str], start: str, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["score", *(word.format(picture=picture) for word in words)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: {start.format(picture=picture)}")
    assert (captured.out, captured.err.count("\n")) == ("", 1)


def test_all_templates_are_calibrated_in_one_go(
    capsys: pytest.CaptureFixture[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = {name: prompts.get(name) for name in ("dress", "jacket")}
    monkeypatch.setattr(prompts, "templates", lambda: two)
    assert (
        cli.main(["score", "--calibrate", "--template", "all", "--count", "8", "--model", "mini", "--json"])
        == 0
    )
    found = json.loads(capsys.readouterr().out)["calibrations"]
    assert [one["template"] for one in found] == ["dress", "jacket"]
    assert [one.template for one in Calibrations(home)] == ["dress", "jacket"]


def test_calibrate_keeps_a_threshold_and_tells_how_well_sketches_foretell(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    words = [
        "--calibrate",
        "--template",
        "jacket",
        "--model",
        "mini",
        "--count",
        "8",
        "--steps",
        "10",
        "--json",
    ]
    assert cli.main(["score", *words]) == 0
    told = json.loads(capsys.readouterr().out)
    found = Calibrations(home).find("mini", "jacket", "mini-CLIP cosine")
    assert found is not None
    assert told["threshold"] == pytest.approx(found.threshold())
    assert (told["steps"], [sketch["steps"] for sketch in told["sketches"]]) == (10, [2, 3])
    assert all(-1 <= sketch["rank_correlation"] <= 1 for sketch in told["sketches"])
    assert told["sketching"] == (None if found.sketching(10) is None else vars(found.sketching(10)))
    assert not list(home.rglob("*.png"))


# ---------------------------------------------------------------- generate


def test_a_least_score_makes_attempts_and_keeps_the_best(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    words = ["a navy cap", "--seed", "5", "--min-score", "0.99", "--max-attempts", "2", "--json", *QUICK]
    assert cli.main(["generate", *words]) == 0
    captured = capsys.readouterr()
    [image] = json.loads(captured.out)["images"]
    assert [attempt["seed"] for attempt in image["attempts"]] == [5, 6]
    best = max(attempt["scores"]["clip"]["value"] for attempt in image["attempts"])
    assert image["scores"]["clip"]["value"] == best
    assert "none of 2 attempts reached 0.990" in captured.err
    with Store(home) as store:
        assert store.count() == 1


@pytest.mark.parametrize(
    ("words", "start"),
    [
        (["--max-attempts", "0"], "a budget of 0 attempts makes no picture"),
        (["--max-attempts", "999"], "a budget of 999 attempts is too many"),
        (["--min-score", "nan"], "a least score of nan is no number"),
    ],
)
def test_a_loop_that_makes_no_sense_is_refused(
    words: list[str], start: str, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    assert cli.main(["generate", "a cap", *words, *QUICK]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: {start}")
    assert not list(home.rglob("*.png"))


def test_choices_become_pictures_whose_number_is_said_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["generate", "a {red|navy} cap", "--json", *QUICK]) == 0
    captured = capsys.readouterr()
    assert captured.err.splitlines()[0] == "note: 2 pictures: 2 prompts, 1 each"
    assert [image["prompt"] for image in json.loads(captured.out)["images"]] == ["a red cap", "a navy cap"]


def test_too_many_choices_are_refused_before_anything_is_made(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    assert cli.main(["generate", "__colours__ __colours__ cap", *QUICK]) == 2
    assert "stands for 289 prompts" in capsys.readouterr().err
    assert not home.exists() or not list(home.rglob("*.png"))
