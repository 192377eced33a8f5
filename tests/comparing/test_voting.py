"""Ballots without names, and what is counted of them."""

import pytest

from sdxl_lora.comparing.voting import Ballot, ballot, rows_in_turn, standings
from sdxl_lora.evaluation.statistics import wilson_ci95


def test_the_order_is_the_same_after_a_reload_and_another_for_each_row_and_voter() -> None:
    orders = {(row, voter): ballot("c", row, voter, range(5)) for row in range(6) for voter in ("ann", "bob")}
    assert orders[0, "ann"] == ballot("c", 0, "ann", range(5))
    assert len({tuple(order) for order in orders.values()}) > 8
    assert all(sorted(order) == list(range(5)) for order in orders.values())


def test_no_column_is_favoured_by_its_place() -> None:
    first = [ballot("c", row, f"voter {i}", range(4))[0] for row in range(10) for i in range(100)]
    assert all(200 < first.count(column) < 300 for column in range(4))


def test_every_row_comes_once() -> None:
    assert sorted(rows_in_turn("c", "ann", range(7))) == list(range(7))


def test_wins_ties_and_shares_are_counted_over_the_ballots_a_column_stood_on() -> None:
    both = Ballot(columns=(1, 0), choice=0)
    votes = [both, both, Ballot(columns=(0, 1), choice=None), Ballot(columns=(0, 2), choice=2)]
    first, second, third = standings(3, votes)
    assert (first.wins, first.ties, first.ballots, first.share) == (2, 1, 4, 0.5)
    assert (second.wins, second.ties, second.ballots, second.share) == (0, 1, 3, 0.0)
    assert (third.wins, third.ballots, third.chance) == (1, 1, 0.5)
    assert first.ci95 == wilson_ci95(2, 4)


def test_nothing_is_claimed_before_the_first_vote() -> None:
    [one, _] = standings(2, [])
    assert (one.share, one.ci95, one.ballots) == (None, None, 0)


@pytest.mark.parametrize(
    ("successes", "n", "expected"),
    # Newcombe 1998, Statistics in Medicine 17, table I, method 3
    [
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_the_interval_is_wilsons(successes: int, n: int, expected: tuple[float, float]) -> None:
    assert wilson_ci95(successes, n) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(("successes", "n"), [(3, 2), (0, 0), (-1, 5)])
def test_what_is_no_share_is_an_error(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="is no share"):
        wilson_ci95(successes, n)
