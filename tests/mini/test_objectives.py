"""Which objective a UNet is trained on when, and that taking over examples never keeps it waiting for long."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from sdxl_lora.mini import timed_training
from sdxl_lora.mini.objectives import Course
from sdxl_lora.mini.settings import TIMED
from sdxl_lora.mini.timed_training import FILL_SECONDS, FILL_SHARE, Supply


def begins(seconds: float, kind: str = "cpu", **settings: float) -> list[float]:
    nothing: Any = None
    chosen: Any = replace(TIMED[kind], **settings)  # type: ignore[arg-type]
    course = Course(nothing, nothing, nothing, torch.zeros(1000), chosen)
    return [begin for begin, _ in course.parts(seconds)]


def test_a_long_build_goes_from_renders_to_rollouts_to_a_critic() -> None:
    assert begins(3600) == pytest.approx([0.0, 0.6, 0.8])


def test_where_a_critic_has_no_time_to_learn_there_is_none() -> None:
    assert begins(600) == pytest.approx([0.0, 0.6])
    assert begins(600, "cuda") == pytest.approx([0.0, 0.6, 0.8])


def test_the_critic_comes_last_whatever_the_shares_are() -> None:
    assert begins(3600, unet_adversarial=0.9) == pytest.approx([0.0, 0.1])


@pytest.mark.parametrize("seconds", [0.1, 12.0])
def test_new_examples_take_a_fifth_of_the_time_at_most(
    monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    now, taking = 0.0, 0.0

    class Store:
        def take(self, most: float) -> None:
            nonlocal now, taking
            assert most == FILL_SECONDS
            now += seconds
            taking += seconds

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return now

    monkeypatch.setattr(timed_training, "time", Clock)
    supply = Supply(Store())  # type: ignore[arg-type]
    looks = 0
    while now < 1000:
        looks += supply()
        now += 0.7  # a training step
    assert looks > 10
    assert taking <= FILL_SHARE * now + seconds  # the last look may be just over
