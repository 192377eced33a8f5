"""Rates and numbers at once, by a clock that the test moves."""

import pytest

from sdxl_lora.api.problems import Problem
from sdxl_lora.api.settings import Limits
from sdxl_lora.api.turnstile import Turnstile


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def wait_of(turnstile: Turnstile, user: str, pictures: int) -> int:
    with pytest.raises(Problem) as refusal:
        turnstile.spend(user, pictures)
    assert refusal.value.status == 429
    return int(refusal.value.headers["Retry-After"])


def test_a_minute_fills_what_was_spent_and_no_more() -> None:
    clock = Clock()
    turnstile = Turnstile(Limits(per_minute=60), clock=clock)
    turnstile.spend("shop", 60)
    assert wait_of(turnstile, "shop", 5) == 5
    turnstile.spend("other", 5)  # has a minute of its own
    clock.now = 5.0
    turnstile.spend("shop", 5)
    clock.now = 1_000.0
    turnstile.spend("shop", 60)
    assert wait_of(turnstile, "shop", 1) == 1


def test_more_than_a_minute_allows_is_let_in_once_all_of_it_is_there() -> None:
    clock = Clock()
    turnstile = Turnstile(Limits(per_minute=3), clock=clock)
    turnstile.spend("shop", 10)
    assert wait_of(turnstile, "shop", 10) == 60


def test_requests_at_once_are_counted_by_token_and_together() -> None:
    turnstile = Turnstile(Limits(at_once=2, waiting=3))
    with turnstile.passing("a", 1), turnstile.passing("a", 1):
        with pytest.raises(Problem, match="2 requests of this token"):
            turnstile.passing("a", 1).__enter__()
        with turnstile.passing("b", 1):
            assert turnstile.inside == 3
            with pytest.raises(Problem, match="busy"):
                turnstile.passing("c", 1).__enter__()
        with turnstile.passing("c", 1):
            assert turnstile.inside == 3
    assert turnstile.inside == 0
