"""Shared by the training tests: a small data set, and a run of the real loop on a tiny model."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accelerate.state import AcceleratorState
from PIL import Image

from sdxl_lora.training import loop, setup
from sdxl_lora.training.config import TrainingConfig
from sdxl_lora.training.events import Event

SIZES = [(90, 70), (64, 64), (70, 110), (100, 100), (80, 64), (64, 96), (72, 72)]  # (height, width), px


@pytest.fixture(autouse=True)
def _fresh_accelerate() -> Iterator[None]:
    """accelerate keeps its precision for the whole process; a test must not inherit it."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Seven pictures of noise with captions, in a folder with metadata.jsonl."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    rows = []
    for number, size in enumerate(SIZES):
        pixels = random.integers(0, 255, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        rows.append({"file_name": f"{number}.png", "text": f"top, Halden {number}"})
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


@pytest.fixture
def configure(tiny_sdxl: Path, pictures: Path, tmp_path: Path) -> Callable[..., TrainingConfig]:
    """A configuration of a short run on the tiny SDXL; keywords change it."""

    def make(**changes: Any) -> TrainingConfig:
        values: dict[str, Any] = {
            "pretrained_model_name_or_path": str(tiny_sdxl),
            "train_data_dir": str(pictures),
            "output_dir": str(tmp_path / "run"),
            "train_batch_size": 2,
            "max_train_steps": 4,
            "learning_rate": 1e-3,
            "seed": 1,
        }
        return TrainingConfig(**{**values, **changes})

    return make


def run(config: TrainingConfig, **keywords: Any) -> list[Event]:
    """All events of a run, from its start or its checkpoint to its end."""
    AcceleratorState._reset_state(reset_partial_state=True)
    return list(loop.train(setup.prepare(config, lambda text: None), **keywords))
