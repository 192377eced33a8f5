"""`catalog`: a table on the command line becomes pictures, whatever happens to the process meanwhile."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sdxl_lora import cli
from sdxl_lora.records import Store

ROOT = Path(__file__).parents[2]
QUICK = ("--template", "jacket", "--steps", "2", "--width", "64", "--height", "64", "--model", "mini")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "products.csv"
    path.write_text("Ref;Farbe;Notes\nA-1;rot;x\nA-2;{navy|green};y\nA-1;red;z\n")
    return path


def as_json(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> dict[str, Any]:
    assert cli.main(["catalog", *words, *QUICK, "--json"]) == code
    out: dict[str, Any] = json.loads(capsys.readouterr().out)
    return out


def test_a_dry_run_says_what_would_be_made_and_writes_nothing(
    table: Path, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    output = table.parent / "out"
    said = as_json(capsys, 0, str(table), "--map", "Ref=sku", "--output", str(output), "--dry-run")
    assert (said["pictures"], said["seconds"], said["unused"]) == (3, None, ["Notes"])
    assert [item["file"] for item in said["items"]] == ["A-1.png", "A-2-navy.png", "A-2-green.png"]
    assert said["problems"][0]["row"] == 4
    assert not output.exists()
    assert not (home / "catalogs").exists()


def test_a_dry_run_promises_no_seed_that_another_run_would_not_take(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(table), "--map", "Ref=sku", "--dry-run"]
    assert [item["seed"] for item in as_json(capsys, 0, *words)["items"]] == [None, None, None]
    assert [item["seed"] for item in as_json(capsys, 0, *words, "--seed", "7")["items"]] == [7, 7, 7]
    assert cli.main(["catalog", *words, *QUICK]) == 0
    assert "A-1.png  seed of its own  " in capsys.readouterr().out


def test_the_first_row_is_tried_and_then_all_with_failed_rows_and_a_zip(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(table.parent / "out")
    first = as_json(capsys, 0, str(table), "--map", "Ref=sku", "--output", output, "--try-first-row")
    assert (first["pictures"], first["planned"]) == (1, 3)
    before = (Path(output) / "A-1.png").read_bytes()
    packed = table.parent / "all.zip"
    assert (
        cli.main(["catalog", "--resume", "--output", output, "--zip", str(packed), "--preset", "plain"]) == 2
    )
    told = capsys.readouterr()
    assert "1 of 3 rows failed" in told.err
    assert told.out.count(".png") == 3
    assert (Path(output) / "A-1.png").read_bytes() == before
    assert packed.stat().st_size > 3 * 1_000
    assert {path.name for path in (Path(output) / "plain").iterdir()} == {
        "A-1.png",
        "A-2-navy.png",
        "A-2-green.png",
    }
    again = as_json(capsys, 2, "--resume", "--output", output)
    assert (again["pictures"], len(again["problems"])) == (3, 1)


def test_without_an_output_the_catalogue_lies_in_the_data_folder(
    table: Path, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    said = as_json(capsys, 2, str(table), "--map", "Ref=sku")
    assert Path(said["output"]).parent == home / "catalogs"


def test_wrong_words_are_one_line(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = str(table.parent / "out")
    (table.parent / "empty.csv").write_text("sku\n")
    for words in (
        [],
        ["--resume"],
        ["--resume", "--output", output],
        [str(table.parent / "gone.csv")],
        [str(table), "--map", "Ref"],
        [str(table), "--map", "Reff=sku"],
        [str(table), "--map", "Ref=skuu"],
        [str(table), "--template", "jackett"],
        [str(table), "--preset", "amzon"],
        [str(table.parent / "empty.csv")],
        [str(table)],  # no template, no words
        [str(table), "--output", str(table), "--template", "jacket"],
    ):
        assert cli.main(["catalog", *words]) == 2, words
        errors = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note: ")]
        assert len(errors) == 1, words
        assert errors[0].startswith("error: ")
    assert not (table.parent / "out").exists()


@pytest.mark.parametrize("kills", [(4,), pytest.param((2, 5, 9), marks=pytest.mark.slow)])
def test_killed_in_the_middle_no_picture_is_missing_or_there_twice(
    kills: tuple[int, ...], tmp_path: Path, home: Path, bundled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real process, SIGKILL as soon as so many pictures are there, the same command with --resume."""
    many = 14
    path, output = tmp_path / "products.csv", tmp_path / "out"
    path.write_text("sku,colour\n" + "".join(f"S{n:03},red\n" for n in range(many)))
    words = [sys.executable, "-m", "sdxl_lora", "catalog", str(path), "--output", str(output), *QUICK]
    environment = {**os.environ, "SDXL_LORA_HOME": str(home), "SDXL_LORA_MINI": str(bundled)}
    for enough in kills:
        command = words if enough == kills[0] else [*words, "--resume"]
        child = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 240
        while len(list(output.glob("*.png"))) < enough and child.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    before = {one.name: one.read_bytes() for one in output.glob("*.png")}
    assert kills[-1] <= len(before) < many
    said = as_json(capsys, 0, str(path), "--output", str(output), "--resume")
    assert (said["pictures"], said["planned"], said["problems"]) == (many, many, [])
    names = {f"S{n:03}.png" for n in range(many)}
    assert {one.name for one in output.glob("*.png")} == names
    assert all((output / name).read_bytes() == data for name, data in before.items())
    pictures = json.loads((output / "manifest.json").read_text())["pictures"]
    assert [one["file"] for one in pictures] == sorted(names)
    rows = list(csv.DictReader(io.StringIO((output / "manifest.csv").read_text(encoding="utf-8-sig"))))
    assert [row["file"] for row in rows] == sorted(names)
    assert Store(home).count() == many  # and nothing was drawn twice
    assert len({one["record"] for one in pictures}) == many
