"""Schedules by the clock."""

import time

import pytest

from sdxl_lora.mini.clock import Span, warmup_hold_decay


def test_progress_runs_from_nothing_to_one_and_stays_there() -> None:
    now = time.monotonic()
    assert Span(now + 5, now + 10).progress == 0
    assert Span(now - 5, now + 5).progress == pytest.approx(0.5, abs=0.05)
    assert Span(now - 10, now - 5).progress == 1
    assert Span(now, now).progress <= 1


def test_minutes_are_sixty_seconds() -> None:
    assert Span.of(0.5).left == pytest.approx(30, abs=1)


def test_a_part_ends_at_its_share_of_the_whole_and_begins_now() -> None:
    now = time.monotonic()
    part = Span(now - 50, now + 50).until(0.7)
    assert part.left == pytest.approx(20, abs=1)
    assert part.progress == pytest.approx(0, abs=0.05)


def test_the_rate_rises_holds_and_falls_to_its_floor() -> None:
    def rate(progress: float) -> float:
        return warmup_hold_decay(progress, warmup=0.1, decay=0.4, floor=0.05)

    assert 0 < rate(0) < rate(0.05) < rate(0.1) == rate(0.6 - 1e-9) == 1
    falling = [rate(0.6 + 0.1 * i) for i in range(5)]
    assert falling == sorted(falling, reverse=True)
    assert rate(1) == pytest.approx(0.05)
