"""Reports hold everything, repeat byte for byte, and are read back."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from sdxl_lora.errors import DataError
from sdxl_lora.evaluation import report as reports
from sdxl_lora.evaluation.engine import Settings, evaluate
from sdxl_lora.evaluation.pairing import pair_folders
from sdxl_lora.evaluation.report_html import leading_metric, worst_first
from tests.evaluation.drawing import noisy_folders


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    generated, reference = noisy_folders(tmp_path, 3)
    return {"generated": generated, "reference": reference}


@pytest.fixture
def report(folders: dict[str, Path], tmp_path: Path) -> dict[str, Any]:
    rows = [
        {"file_name": f"img_{i:02}", "text": f"<b>jacket</b>, number {i}", "brand": "Nike & Co"}
        for i in range(3)
    ]
    (tmp_path / "c.json").write_text(json.dumps(rows))
    pairing = pair_folders(folders["generated"], folders["reference"], tmp_path / "c.json")
    settings = Settings(metrics=("psnr", "ssim", "fid", "kid_mini", "clip_mini"), resize=64)
    return evaluate(pairing, settings, label="trial <1>").to_dict()


def test_json_is_read_back_equal(report: dict[str, Any], tmp_path: Path) -> None:
    reports.write(report, tmp_path / "deep" / "r.json")
    assert reports.read(tmp_path / "deep" / "r.json") == report


@pytest.mark.parametrize("suffix", reports.FORMATS)
def test_the_same_evaluation_gives_the_same_bytes(
    report: dict[str, Any], folders: dict[str, Path], tmp_path: Path, suffix: str
) -> None:
    for name in ("a", "b"):
        reports.write(report, tmp_path / f"{name}{suffix}", folders)
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_csv_has_a_row_per_pair_with_every_digit(report: dict[str, Any], tmp_path: Path) -> None:
    reports.write(report, tmp_path / "r.csv")
    rows = list(csv.DictReader((tmp_path / "r.csv").read_text().splitlines()))
    assert [row["name"] for row in rows] == ["img_00", "img_01", "img_02"]
    assert [float(row["psnr"]) for row in rows] == report["metrics"]["psnr"]["per_image"]
    assert rows[0]["brand"] == "Nike & Co"
    assert "kid_mini" not in rows[0]


def test_every_number_of_a_report_is_a_plain_number(report: dict[str, Any], tmp_path: Path) -> None:
    def kinds(value: Any) -> set[type]:
        if isinstance(value, dict):
            return set().union(*map(kinds, value.values())) if value else set()
        if isinstance(value, list):
            return set().union(*map(kinds, value)) if value else set()
        return {type(value)}

    assert kinds(report) <= {str, int, float, bool, type(None)}
    reports.write(report, tmp_path / "r.csv")
    rows = list(csv.DictReader((tmp_path / "r.csv").read_text().splitlines()))
    assert [float(row["clip_mini"]) for row in rows] == report["metrics"]["clip_mini"]["per_image"]


def test_every_key_of_a_report_is_documented(report: dict[str, Any]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    metric = report["metrics"]["clip_mini"]
    for key in [*report, *metric, *report["pairs"][0], *report["pairs"][0]["generated"]]:
        assert f"`{key}`" in page, key


def test_html_is_one_file_with_pictures_reasons_and_claims(
    report: dict[str, Any], folders: dict[str, Path], tmp_path: Path
) -> None:
    reports.write(report, tmp_path / "r.html", folders)
    text = (tmp_path / "r.html").read_text()
    assert text.count("data:image/jpeg;base64,") == 6
    assert "http" not in text.replace("http-equiv", "")
    assert "<script" not in text
    assert "&lt;b&gt;jacket&lt;/b&gt;" in text
    assert "trial &lt;1&gt;" in text
    assert "models fetch metrics" in text
    assert "24.73: claimed by the original project (Top-5 avg), not reproduced" in text


def test_html_without_the_pictures_is_still_a_report(report: dict[str, Any], tmp_path: Path) -> None:
    reports.write(report, tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert "data:image" not in text
    assert f"{report['metrics']['psnr']['mean']:.4f}" in text


def test_another_suffix_is_refused(report: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\.json, \.csv, \.html"):
        reports.write(report, tmp_path / "r.pdf")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 1}'])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(DataError, match="not an evaluation report"):
        reports.read(tmp_path / "r.json")


def test_a_report_of_a_newer_version_is_refused(report: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps({**report, "schema": 99}))
    with pytest.raises(DataError, match="newer version"):
        reports.read(tmp_path / "r.json")


def test_worst_first_follows_the_direction_of_the_metric() -> None:
    metrics = {
        "psnr": {"per_image": [3.0, None, 1.0, 2.0], "higher_is_better": True},
        "lpips": {"per_image": [3.0, None, 1.0, 2.0], "higher_is_better": False},
    }
    assert worst_first({"metrics": metrics}, "psnr") == [2, 3, 0, 1]
    assert worst_first({"metrics": metrics}, "lpips") == [0, 3, 2, 1]
    assert leading_metric({"metrics": metrics}) == "lpips"
    assert leading_metric({"metrics": {}}) is None
