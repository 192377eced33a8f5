"""Intervals that repeat to the last digit, and tests that agree with other ways to compute them."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from sdxl_lora.evaluation import statistics

SEED_PSNR = [11.971971702384874, 9.495098343697881, 7.520112130908313, 11.9338491275651, 8.498022239308796]


def test_the_summary_of_the_original_five_pairs_is_the_recorded_one() -> None:
    summary = statistics.summarise(SEED_PSNR)
    assert summary.mean == pytest.approx(9.8838, abs=5e-5)
    assert summary.std == pytest.approx(np.std(SEED_PSNR, ddof=1))
    assert summary.ci95 is None
    assert summary.n == 5


def test_the_interval_repeats_to_the_last_digit_and_is_near_students_for_normal_values() -> None:
    values = np.random.RandomState(0).standard_normal(40)
    ours = statistics.mean_ci95(values)
    assert ours == statistics.mean_ci95(values)
    assert ours.how == "bootstrap-t, 10,000 resamples"
    student = stats.t.interval(0.95, 39, values.mean(), stats.sem(values))
    assert ours.ci95 == pytest.approx(student, abs=0.03)


def test_the_interval_of_skewed_values_leans_to_where_unseen_ones_may_be() -> None:
    values = np.random.RandomState(1).exponential(size=20)
    low, high = statistics.mean_ci95(values).ci95 or (0.0, 0.0)
    assert high - values.mean() > 1.3 * (values.mean() - low)


@pytest.mark.parametrize("draw", ["exponential", "standard_normal"])
def test_nineteen_of_twenty_intervals_hold_the_mean(draw: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 1_000)
    statistics._few_resamples.cache_clear()
    state = np.random.RandomState(2)
    true = {"exponential": 1.0, "standard_normal": 0.0}[draw]
    intervals = [statistics.mean_ci95(getattr(state, draw)(size=12)).ci95 for _ in range(400)]
    statistics._few_resamples.cache_clear()
    held = np.mean([found is not None and found[0] <= true <= found[1] for found in intervals])
    assert 0.91 <= held <= 0.98


def test_few_pictures_have_a_reason_instead_of_an_interval() -> None:
    found = statistics.mean_ci95(SEED_PSNR)
    assert found.ci95 is None
    assert found.how == "no interval of 5 pictures holds what it promises; it takes 10"
    assert statistics.mean_ci95([0.3] * 30) == statistics.Interval(None, "too many values are equal")
    assert statistics.mean_ci95([0.3] * 29 + [0.4]).ci95 is None
    assert statistics.mean_ci95([1.0, math.inf]).ci95 is None


def test_yes_or_no_has_an_interval_at_any_number() -> None:
    assert statistics.mean_ci95([1.0, 1.0, 0.0], share=True) == statistics.Interval(
        statistics.wilson_ci95(2, 3), "Wilson, of a share"
    )
    low, high = statistics.wilson_ci95(8, 10)
    assert (low, high) == pytest.approx((0.490, 0.943), abs=5e-4)  # Newcombe 1998, table I


def test_a_long_list_is_resampled_in_pieces_without_changing_the_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.arange(50.0)
    whole = statistics.mean_ci95(values)
    monkeypatch.setattr(statistics, "_CHUNK", 5_000)
    assert statistics.mean_ci95(values) == whole


def test_one_picture_has_a_mean_but_no_interval() -> None:
    summary = statistics.summarise([3.0])
    assert (summary.mean, summary.std, summary.ci95) == (3.0, None, None)


def test_no_values_cannot_be_summarised() -> None:
    with pytest.raises(ValueError, match="no values"):
        statistics.summarise([])


def test_the_top_mean_is_over_the_chosen_places_only() -> None:
    assert statistics.summarise([1.0, 2.0, 3.0, 10.0], chosen=[3, 2]).top_mean == 6.5


@pytest.mark.parametrize(("higher", "expected"), [(True, [3, 2]), (False, [0, 2])])
def test_best_places_follow_the_direction_and_leave_missing_values_for_last(
    higher: bool, expected: list[int]
) -> None:
    assert statistics.best_places([0.0, None, 1.0, 2.0], higher, count=2) == expected


def test_the_exact_sign_flip_test_counts_every_pattern() -> None:
    difference = np.array([0.3, -0.1, 0.4, 0.2, 0.7, -0.2])
    patterns = np.array(list(itertools.product([1, -1], repeat=6))) @ difference
    expected = np.mean(np.abs(patterns) >= abs(difference.sum()) - 1e-12)
    found = statistics.paired_difference(difference, np.zeros(6))
    assert found.method == "exact"
    assert found.p_value == expected


def test_five_pairs_cannot_reach_significance() -> None:
    found = statistics.paired_difference([2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 1.0, 1.0, 1.0, 1.0])
    assert found.p_value == found.smallest_p == 0.0625


def test_many_pairs_are_tested_by_drawing_and_agree_with_the_permutation_test_of_scipy() -> None:
    state = np.random.RandomState(4)
    a = state.standard_normal(30) + 0.35
    b = state.standard_normal(30)
    found = statistics.paired_difference(a, b)
    theirs = stats.permutation_test(
        (a, b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=20_000, rng=1
    )
    assert found.method == "monte carlo"
    assert found.p_value == pytest.approx(theirs.pvalue, abs=0.01)
    assert found.p_value > 0


def test_equal_runs_have_p_one() -> None:
    assert statistics.paired_difference([1.0, 2.0], [1.0, 2.0]).p_value == 1.0


def test_holm_multiplies_by_how_many_are_left_and_never_falls() -> None:
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]
