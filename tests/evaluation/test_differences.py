"""Two runs are compared pair by pair, or not at all."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sdxl_lora.errors import DataError
from sdxl_lora.evaluation.differences import differences
from sdxl_lora.evaluation.engine import Settings, evaluate
from sdxl_lora.evaluation.pairing import pair_folders
from tests.evaluation.drawing import noisy_folders


def run(values: Sequence[float | None], higher_is_better: bool = True, **settings: Any) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    metric = {
        "mean": sum(known) / len(known),
        "per_image": values,
        "higher_is_better": higher_is_better,
        "settings": {"formula": "f", "resize": "256 px", **settings},
    }
    return {"id": "a", "label": "", "metrics": {"m": metric}, "provenance": {"prompts_sha256": "p"}}


EIGHT = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]


@pytest.mark.parametrize(("higher", "verdict"), [(True, "better"), (False, "worse")])
def test_a_steady_difference_is_found_and_judged_by_direction(higher: bool, verdict: str) -> None:
    found = differences(run([v + 1 + v / 100 for v in EIGHT], higher), run(EIGHT, higher))["metrics"]["m"]
    assert found["verdict"] == verdict
    assert found["p"] == found["smallest_p"] == 2**-7
    assert found["ci95"] is None  # eight pairs are enough for the test, and too few for an interval
    assert found["interval"] == "no interval of 8 pictures holds what it promises; it takes 10"


def test_ten_pairs_have_an_interval_of_their_difference() -> None:
    ten = [*EIGHT, 9.0, 10.0]
    found = differences(run([v + 1 + v / 100 for v in ten]), run(ten))["metrics"]["m"]
    assert 0 < found["ci95"][0] < found["difference"] < found["ci95"][1]


def test_five_pairs_stay_undecided_however_large_the_difference() -> None:
    found = differences(run([v + 100 for v in EIGHT[:5]]), run(EIGHT[:5]))["metrics"]["m"]
    assert found["verdict"] == "undecided"
    assert found["difference"] == 100


def test_pairs_without_a_value_in_one_run_are_left_out_of_both() -> None:
    found = differences(run([2.0, None, 4.0]), run([1.0, 5.0, None]))["metrics"]["m"]
    assert (found["n"], found["difference"]) == (1, 1.0)


def test_other_prompts_are_refused() -> None:
    other = run(EIGHT)
    other["provenance"]["prompts_sha256"] = "q"
    with pytest.raises(DataError, match="not made from the same prompts"):
        differences(run(EIGHT), other)


def test_numbers_made_in_another_way_are_not_subtracted() -> None:
    found = differences(run(EIGHT), run(EIGHT, resize="512 px"))["metrics"]["m"]
    assert found == {"incomparable": "different resize"}


def test_a_statistic_of_a_set_has_a_difference_but_no_test() -> None:
    one, other = run(EIGHT), run(EIGHT)
    for report, mean in ((one, 3.0), (other, 1.0)):
        report["metrics"]["m"] |= {"per_image": None, "mean": mean}
    assert differences(one, other)["metrics"]["m"] == {"difference": 2.0, "verdict": "undecided"}


def test_a_run_against_itself_differs_in_nothing(tmp_path: Path) -> None:
    pairing = pair_folders(*noisy_folders(tmp_path, 6))
    report = evaluate(pairing, Settings(resize=64)).to_dict()
    rows = differences(report, copy.deepcopy(report))["metrics"]
    assert {"psnr", "ssim", "kid_mini"} <= set(rows)
    assert all(row["difference"] == 0 and row["verdict"] == "undecided" for row in rows.values())
