"""Compiled blocks: traced whole with the LoRA inside, and the losses of those that are not compiled."""

from functools import partial

import pytest
import torch
from torch._dynamo.utils import counters

from sdxl_lora.models import compiling
from sdxl_lora.training import components, setup
from sdxl_lora.training.events import StepRecord
from tests.training.conftest import run


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def losses(config) -> list[float]:
    return [event.loss for event in run(config) if isinstance(event, StepRecord)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # dynamo's own
@pytest.mark.parametrize("changes", [{}, {"gradient_checkpointing": True}, {"lora_target": "attention+conv"}])
def test_compiled_blocks_are_traced_without_a_break_and_train_with_the_same_losses(
    configure, tmp_path, monkeypatch, changes
):
    settings = {"max_train_steps": 2, "mixed_precision": "bf16", **changes}
    plain = losses(configure(**settings))
    traced = partial(compiling.compile_blocks, backend="aot_eager")  # differentiated, not translated to C++
    monkeypatch.setattr(components.compiling, "compile_blocks", traced)
    compiled = losses(configure(**settings, compile=True, output_dir=str(tmp_path / "compiled")))
    assert compiled == pytest.approx(plain, rel=1e-3)
    assert counters["stats"]["unique_graphs"] > 0
    assert dict(counters["graph_break"]) == {}


def test_transformer_and_residual_blocks_are_compiled(configure):
    prepared = setup.prepare(configure(compile=True), print)
    parts = next(item for item in components.load(prepared) if isinstance(item, components.Components))
    kinds = {type(m).__name__ for m in parts.unet.modules() if m._compiled_call_impl is not None}
    assert kinds == {"BasicTransformerBlock", "ResnetBlock2D"}
