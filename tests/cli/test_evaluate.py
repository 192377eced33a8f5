"""`evaluate` from the shell: one JSON object or a table, reports where asked, one line when something is
wrong.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from sdxl_lora.cli import main
from sdxl_lora.records import Database
from sdxl_lora.records.evaluations import EvaluationStore
from tests import tiny
from tests.evaluation.drawing import noisy_folders

QUICK = ["--metrics", "psnr,ssim,fid", "--resize", "64"]


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    generated, reference = noisy_folders(tmp_path, 3)
    return ["--generated", str(generated), "--reference", str(reference)]


def printed(words: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    assert main(["evaluate", *words]) == 0
    return json.loads(capsys.readouterr().out)


def failure(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    try:
        code = main(["evaluate", *words])
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    return captured.err


def test_json_has_the_agreed_fields_per_metric(
    folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    values = printed([*folders, *QUICK, "--json"], capsys)["metrics"]
    assert list(values) == ["psnr", "ssim", "fid"]
    assert set(values["psnr"]) == {
        "mean",
        "std",
        "n",
        "ci95",
        "top5_mean",
        "per_image",
        "higher_is_better",
        "settings",
    }
    assert values["psnr"]["n"] == len(values["psnr"]["per_image"]) == 3
    assert set(values["fid"]) == {"unavailable"}


def test_the_same_command_prints_the_same_digits(
    folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    first = printed([*folders, *QUICK, "--json"], capsys)
    assert printed([*folders, *QUICK, "--json"], capsys) == first


def test_the_table_names_what_could_not_be_computed(
    folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *folders, *QUICK]) == 0
    out = capsys.readouterr().out
    assert "MEAN OF ALL" in out
    assert "TOP-5 AVG" in out
    assert "BLANK_CARD" in out
    assert "not computed: fid:" in out


def test_the_evaluation_is_kept_for_the_metrics_page(
    folders: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = printed([*folders, *QUICK, "--label", "trial", "--json"], capsys)
    with EvaluationStore(home) as store:
        [record] = store.all()
        assert record.label == "trial"
        assert store.report(record.id) == values


def test_reports_are_written_in_every_format(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [tmp_path / f"out/r{suffix}" for suffix in (".json", ".csv", ".html")]
    outputs = [word for name in names for word in ("--output", str(name))]
    values = printed([*folders, *QUICK, *outputs, "--json"], capsys)
    assert json.loads(names[0].read_text()) == values  # one schema: docs/formats.md
    assert names[1].read_text().startswith("name,generated,reference,caption,psnr,ssim\n")
    assert names[2].read_text().count("data:image") == 6


def test_two_runs_are_compared_with_against(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = tmp_path / "first.json"
    printed([*folders, *QUICK, "--output", str(first), "--json"], capsys)
    swapped = ["--generated", folders[3], "--reference", folders[1]]
    values = printed([*swapped, *QUICK, "--against", str(first), "--json"], capsys)
    assert values["baseline"] == json.loads(first.read_text())
    row = values["comparison"]["metrics"]["psnr"]
    assert row["difference"] == pytest.approx(0, abs=1e-9)  # PSNR is symmetric
    assert row["smallest_p"] == 0.25


def test_base_and_lora_are_made_evaluated_and_compared_in_one_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, open_it = [], Database.__init__

    def counted(database: Database, home: Path) -> None:
        opened.append(home)
        open_it(database, home)

    monkeypatch.setattr(Database, "__init__", counted)
    captions = tmp_path / "captions.txt"
    captions.write_text("a navy jacket\na red skirt\n")
    words = [
        "--model",
        "mini",
        "--steps",
        "1",
        "--captions",
        str(captions),
        "--metrics",
        "clip_mini,vendi_mini,psnr",
    ]
    lora_file = tiny.save_lora(tmp_path / "lora.safetensors", "sdxl")
    lora = [*words, "--lora", str(lora_file), "--lora-baseline", "none", "--json"]
    values = printed(lora, capsys)
    assert len(opened) == 1  # pictures of both and their evaluations go into one database
    assert values["metrics"]["clip_mini"]["n"] == values["baseline"]["metrics"]["clip_mini"]["n"] == 2
    assert values["comparison"]["metrics"]["clip_mini"]["n"] == 2
    assert "--reference" in values["metrics"]["psnr"]["unavailable"]
    assert printed(lora, capsys) == values


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give either --generated"),
        (["--generated", "x", "--model", "mini"], "give either --generated"),
        (["--model", "mini"], "give them with --captions"),
        (["--generated", "x", "--lora-baseline", "none"], "--lora-baseline needs --model"),
        (["--generated", "nowhere"], "is not a folder"),
        (["--generated", "x", "--metrics", "pnsr"], "did you mean 'psnr'"),
        (["--generated", "x", "--resize", "1"], "not between 32 and 4096"),
        (["--generated", "x", "--weights", "inception"], "is not NETWORK=PATH"),
        (["--generated", "x", "--output", "r.pdf"], "written as .json"),
        (["--generated", "x", "--against", "zz"], "evaluation 'zz'"),
    ],
)
def test_bad_input_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in failure(words, capsys)


def test_folders_that_do_not_match_are_one_line_and_common_names_are_the_way_out(
    folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (Path(folders[3]) / "img_02.png").unlink()
    assert "--common-only" in failure([*folders, *QUICK], capsys)
    assert printed([*folders, *QUICK, "--common-only", "--json"], capsys)["metrics"]["psnr"]["n"] == 2
