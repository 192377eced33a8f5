"""What only a GPU can show: it draws, scores and trains as the processor does, and runs out of memory in one line.

`pytest -m gpu`. Where there is none the same tests rehearse on the processor, but for its memory.
"""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from PIL import Image

from sdxl_lora.config import Precision
from sdxl_lora.errors import Cancelled, MemoryLimitError, TrainingError
from sdxl_lora.generation import PictureDone, StepDone, generate, resolve
from sdxl_lora.models.loading import ModelConfig, load, unload
from sdxl_lora.request import GenerationRequest
from sdxl_lora.scoring.clip import ClipScorer
from sdxl_lora.training import loop, setup
from sdxl_lora.training.config import TrainingConfig
from sdxl_lora.training.events import StepRecord
from tests.captioned import captioned

pytestmark = pytest.mark.gpu
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
_FULL = 0.0001  # of the device's memory that a process may take: nothing fits


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """Convolutions in whole single precision, and nothing left of another test."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield
    unload()
    AcceleratorState._reset_state(reset_partial_state=True)


def _draw(device: str, precision: Precision, **fields: Any) -> list[Image.Image]:
    unload()
    wish = {"prompt": "a navy jacket", "model": "mini", "steps": 6, "seed": 1, "count": 2, "engine": "torch"}
    request = resolve(GenerationRequest(**{**wish, **fields}, precision=precision))
    model = load(ModelConfig.of(request, device=device))
    return [event.image for event in generate(model, request) if isinstance(event, PictureDone)]


def _psnr(one: Image.Image, other: Image.Image) -> float:
    error = float(np.mean((np.asarray(one, np.float64) - np.asarray(other, np.float64)) ** 2))
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


@pytest.mark.parametrize(
    ("precision", "fields", "bar"),
    [("fp32", {}, 40), ("bf16", {}, 30), ("int8", {}, 30), ("fp32", {"cache_interval": 2}, 40)],
)
def test_pictures_are_the_processors(precision: Precision, fields: dict[str, Any], bar: float) -> None:
    pairs = zip(_draw("cpu", "fp32", **fields), _draw(DEVICE, precision, **fields), strict=True)
    assert min(_psnr(one, other) for one, other in pairs) >= bar


def test_scores_are_the_processors(tiny_clip: Path) -> None:
    pictures = [Image.radial_gradient("L").convert("RGB"), Image.linear_gradient("L").convert("RGB")]
    here, there = (
        ClipScorer(tiny_clip, device=device).score(pictures, ["a", "b"]) for device in ("cpu", DEVICE)
    )
    assert there == pytest.approx(here, abs=1e-4)


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., TrainingConfig]:
    pictures = captioned(tmp_path / "pictures", 8, "top {}")

    def make(name: str, **changes: Any) -> TrainingConfig:
        AcceleratorState._reset_state(reset_partial_state=True)
        values: dict[str, Any] = {
            "pretrained_model_name_or_path": "mini",
            "train_data_dir": str(pictures),
            "output_dir": str(tmp_path / name),
            "training_cache_dir": str(tmp_path / "cache"),
            "train_batch_size": 2,
            "max_train_steps": 20,
            "learning_rate": 1e-3,
            "seed": 0,
            "report_to": "none",
            "mixed_precision": "no",
        }
        return TrainingConfig(**{**values, **changes})

    return make


def _losses(config: TrainingConfig, stop: Callable[[], bool] = lambda: False) -> list[float]:
    prepared = setup.prepare(config, lambda text: None)
    return [event.loss for event in loop.train(prepared, stop=stop) if isinstance(event, StepRecord)]


def test_twenty_updates_follow_the_processors_losses(
    configure: Callable[..., TrainingConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = _losses(configure("there"))
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    here = _losses(configure("here"))
    assert len(there) == 20
    assert there == pytest.approx(here, rel=0.01)


def test_a_run_that_was_stopped_goes_on_with_the_same_losses(
    configure: Callable[..., TrainingConfig],
) -> None:
    whole = _losses(configure("whole", max_train_steps=8))
    asked = iter([False, False, True])
    first = _losses(configure("parts", max_train_steps=8), stop=lambda: next(asked))
    rest = _losses(configure("parts", max_train_steps=8, resume_from_checkpoint="latest"))
    assert len(first) == 3
    assert [*first, *rest] == pytest.approx(whole, rel=1e-5)


def test_a_cancelled_picture_ends_within_a_step() -> None:
    request = resolve(GenerationRequest(prompt="a cap", model="mini", steps=20, seed=1, engine="torch"))
    cancel, steps = threading.Event(), 0
    with pytest.raises(Cancelled):
        for event in generate(load(ModelConfig.of(request, device=DEVICE)), request, cancel=cancel):
            steps += isinstance(event, StepDone)
            cancel.set()
    assert steps <= 3


@pytest.fixture
def full() -> Iterator[None]:
    """A device without memory."""
    if DEVICE == "cpu":
        pytest.skip("a GPU's memory is what is limited")
    unload()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(_FULL)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.usefixtures("full")
def test_memory_that_runs_out_is_one_line(configure: Callable[..., TrainingConfig]) -> None:
    with pytest.raises(MemoryLimitError, match="memory"):
        _draw(DEVICE, "fp32", width=512, height=512)
    with pytest.raises(TrainingError, match="cuda is out of memory; less is needed with"):
        _losses(configure("full"))
