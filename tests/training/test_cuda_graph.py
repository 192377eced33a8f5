"""Forward and backward passes recorded as CUDA graphs."""

import pytest
import torch

from sdxl_lora.errors import InputError, RequestError
from sdxl_lora.training import setup
from sdxl_lora.training.events import StepRecord
from tests.training.conftest import run


def losses(config) -> list[float]:
    return [event.loss for event in run(config) if isinstance(event, StepRecord)]


@pytest.mark.gpu
@pytest.mark.parametrize("changes", [{}, {"gradient_checkpointing": True}, {"compile": True}])
def test_recorded_passes_train_with_the_same_losses(configure, tmp_path, changes):
    """Three pictures in batches of two: full and short batches are recorded both."""
    settings = {"max_train_steps": 8, "mixed_precision": "bf16", **changes}
    plain = losses(configure(**settings))
    graphs = losses(configure(**settings, cuda_graphs=True, output_dir=str(tmp_path / "graphs")))
    assert graphs == pytest.approx(plain, rel=1e-2)


def test_without_a_gpu_or_half_precision_it_is_refused(configure):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match="needs a CUDA GPU and --mixed_precision bf16 or fp16"):
        setup.prepare(configure(cuda_graphs=True), print)


def test_trained_text_encoders_cannot_be_recorded(configure):
    with pytest.raises(RequestError, match="leave it or --train_text_encoder out"):
        configure(cuda_graphs=True, train_text_encoder=True)
