"""Measuring networks use the device that is there, and leave it to the model that draws once it is full."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sdxl_lora.models import placement
from sdxl_lora.models.placement import Placed
from sdxl_lora.scoring.blip import BlipModel
from sdxl_lora.scoring.clip import ClipScorer


def _twice(network: nn.Module, rows: Tensor) -> Tensor:
    result: Tensor = network(rows) * 2
    return result


def test_the_fastest_device_there_is_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "choose_device", lambda: "meta")  # the only other device of a CPU build
    placed = Placed(nn.Linear(3, 2))
    assert {parameter.device.type for parameter in placed.network.parameters()} == {"meta"}


def test_scorers_ask_for_no_device_of_their_own(monkeypatch: pytest.MonkeyPatch, tiny_clip: Path) -> None:
    asked: list[str] = []

    def asking() -> str:
        asked.append("asked")
        return "cpu"

    monkeypatch.setattr(placement, "choose_device", asking)
    ClipScorer(tiny_clip).embed_texts(["a cap"])
    assert asked == ["asked"]
    assert BlipModel(tiny_clip)._device is None


def test_inputs_come_to_the_network_and_results_to_the_processor() -> None:
    placed, rows = Placed(nn.Linear(3, 2), "cpu"), torch.randn(4, 3)
    result = placed.run(_twice, rows)
    assert result.device.type == "cpu"
    assert torch.equal(result, placed.network(rows) * 2)
    assert not result.requires_grad


def test_a_full_device_is_left_and_the_picture_is_measured_all_the_same() -> None:
    placed = Placed(nn.Linear(3, 2), "cpu")
    weights = {key: value.clone() for key, value in placed.network.state_dict().items()}
    placed.device = torch.device("meta")  # as if the network were elsewhere
    calls = []

    def forward(network: nn.Module, rows: Tensor) -> Tensor:
        calls.append(rows.device.type)
        if rows.device.type != "cpu":
            raise torch.OutOfMemoryError("the device is full")
        return _twice(network, rows)

    rows = torch.randn(4, 3)
    result = placed.run(forward, rows)
    assert calls == ["meta", "cpu"]
    assert placed.device.type == "cpu"
    assert torch.allclose(result, 2 * nn.functional.linear(rows, weights["weight"], weights["bias"]))


def test_a_processor_without_memory_is_an_error() -> None:
    def forward(network: nn.Module, rows: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("no memory")

    with pytest.raises(torch.OutOfMemoryError):
        Placed(nn.Linear(3, 2), "cpu").run(forward, torch.randn(1, 3))
