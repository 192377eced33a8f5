"""Schedules, averages, checkpoints and gradient means of the bundled model's training."""

from pathlib import Path

import pytest
import torch
from torch import nn

from sdxl_lora.mini import optimisation
from sdxl_lora.mini.optimisation import (
    GradientMean,
    MovingAverage,
    Reporter,
    autocast,
    load_checkpoint,
    save_checkpoint,
    warmup_stable_decay,
)


def test_the_learning_rate_warms_up_stays_and_decays() -> None:
    factors = [warmup_stable_decay(step, total=100, warmup=10, decay=40) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[10:60] == [1.0] * 50
    assert factors[60:] == sorted(factors[60:], reverse=True)
    assert factors[-1] == pytest.approx(0.03, abs=0.01)


def test_a_longer_total_leaves_the_past_of_the_schedule_as_it_was() -> None:
    short = [warmup_stable_decay(step, total=100, warmup=10, decay=40) for step in range(60)]
    assert short == [warmup_stable_decay(step, total=500, warmup=10, decay=40) for step in range(60)]


def test_swapping_twice_gives_the_parameters_back() -> None:
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    average = MovingAverage(module, 0.9)
    with torch.no_grad():
        module.weight.add_(1)
    before = module.weight.clone()
    average.swap(module)
    assert not torch.equal(module.weight, before)
    average.swap(module)
    assert torch.equal(module.weight, before)


def test_the_moving_average_follows_with_a_warm_up() -> None:
    module = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.fill_(0)
    average = MovingAverage(module, 0.999)
    with torch.no_grad():
        module.weight.fill_(1)
    average.update(module)
    assert average.averages[0].item() == pytest.approx(1 - 2 / 11)  # decay (1 + n) / (10 + n) at n = 1


def test_a_restored_average_goes_on_as_before() -> None:
    module = nn.Linear(2, 2)
    average = MovingAverage(module, 0.5)
    average.update(module)
    copy = MovingAverage(nn.Linear(2, 2), 0.5)
    copy.load(average.state())
    assert copy.updates == 1
    assert all(torch.equal(a, b) for a, b in zip(copy.averages, average.averages, strict=True))


def test_a_checkpoint_comes_back_and_a_missing_one_is_none(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    assert load_checkpoint(path, "cpu") is None
    save_checkpoint(path, {"step": 7, "weight": torch.ones(2)})
    state = load_checkpoint(path, "cpu")
    assert state is not None
    assert state["step"] == 7
    assert torch.equal(state["weight"], torch.ones(2))


def test_one_process_keeps_its_gradients() -> None:
    module = nn.Linear(2, 1)
    module(torch.ones(1, 2)).sum().backward()
    before = [p.grad.clone() for p in module.parameters() if p.grad is not None]
    GradientMean(module.parameters(), 1)()
    after = [p.grad for p in module.parameters() if p.grad is not None]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_forced_reports_are_written_as_json_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = Reporter("vae", tmp_path, 10)
    report(4, force=True, loss=0.5)
    assert '"step": 5' in (tmp_path / "log.jsonl").read_text()
    assert "[vae] 5/10  loss 0.5" in capsys.readouterr().err


@pytest.mark.parametrize(("fast", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_processor_computes_in_bf16_only_where_it_does_so_in_hardware(
    fast: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimisation, "has_fast_bf16", lambda: fast)
    with autocast("cpu"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == expected
