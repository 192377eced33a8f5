"""Evaluations are kept once each, listed newest first, and found again after the database is lost."""

from pathlib import Path
from typing import Any

import pytest

from sdxl_lora.errors import NotFoundError
from sdxl_lora.records import Store, layout
from sdxl_lora.records.evaluations import EvaluationStore


def report(identifier: str = "0123456789abcdef", label: str = "trial") -> dict[str, Any]:
    psnr = {
        "mean": 9.5,
        "ci95": [8.0, 11.0],
        "n": 5,
        "higher_is_better": True,
        "per_image": [9.5],
        "std": 1.0,
    }
    metrics = {"psnr": psnr, "fid": {"unavailable": "no weights"}}
    return {"schema": 1, "id": identifier, "label": label, "metrics": metrics, "pairs": [], "provenance": {}}


def test_a_report_comes_back_as_it_was_given(home: Path) -> None:
    with EvaluationStore(home) as store:
        record = store.add(report(), {"generated": Path("some/folder")})
        assert record.label == "trial"
        assert record.folders == {"generated": Path.cwd() / "some/folder"}
        assert record.summary == {
            "psnr": {"mean": 9.5, "ci95": [8.0, 11.0], "n": 5, "higher_is_better": True}
        }
        assert store.report(record.id) == report()


def test_the_same_evaluation_is_kept_once_and_the_newest_comes_first(home: Path) -> None:
    with EvaluationStore(home) as store:
        for identifier in ("aa", "bb", "aa"):
            store.add(report(identifier), {})
        assert [record.id for record in store.all()] == ["aa", "bb"]


def test_pictures_and_evaluations_share_one_database(home: Path) -> None:
    with EvaluationStore(home) as store:
        store.add(report(), {})
    with Store(home) as pictures:
        assert pictures.count() == 0
    with EvaluationStore(home) as store:
        assert len(store.all()) == 1


def test_reports_whose_rows_were_lost_are_entered_again(home: Path) -> None:
    with EvaluationStore(home) as store:
        store.add(report(), {"generated": Path("/pictures")})
    layout.database_path(home).unlink()
    with EvaluationStore(home) as store:
        [record] = store.all()
    assert record.folders == {"generated": Path("/pictures")}


def test_a_deleted_evaluation_is_gone_and_stays_gone(home: Path) -> None:
    with EvaluationStore(home) as store:
        store.add(report("aa"), {})
        store.delete("aa")
        assert store.all() == []
    with EvaluationStore(home) as store:
        assert store.all() == []
        with pytest.raises(NotFoundError, match="no evaluation 'aa'"):
            store.get("aa")


def test_a_report_that_was_damaged_is_one_line(home: Path) -> None:
    with EvaluationStore(home) as store:
        store.add(report("aa"), {})
        (store.folder / "aa.json").write_text("{")
        with pytest.raises(NotFoundError, match="gone or damaged"):
            store.report("aa")


def test_an_id_cannot_name_a_file_elsewhere(home: Path) -> None:
    with EvaluationStore(home) as store, pytest.raises(NotFoundError, match="no id"):
        store.report("../records")
