"""A run with masks: what is white decides what is learned, and a checkpoint knows its masks."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdxl_lora.errors import RequestError, TrainingError
from sdxl_lora.training import report, setup
from sdxl_lora.training.batches import StepRng
from sdxl_lora.training.components import Components, load
from tests.training.conftest import SIZES, run


@pytest.fixture
def masks(tmp_path: Path) -> str:
    """Masks of the first three pictures: their upper halves."""
    folder = tmp_path / "masks"
    folder.mkdir()
    for number, (height, width) in enumerate(SIZES[:3]):
        pixels = np.zeros((height, width), np.uint8)
        pixels[: height // 2] = 255
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return str(folder)


def test_batches_carry_weights_where_a_picture_has_a_mask(configure, masks):
    prepared = setup.prepare(configure(mask_dir=masks, unmasked_weight=0.0), lambda text: None)
    (parts,) = [item for item in load(prepared) if isinstance(item, Components)]
    rng = StepRng(seed=1, update=0, step=0, rank=0)
    batch = parts.builder.batch([1, 5], rng)
    assert batch.weights.shape == (2, 1, *batch.latents.shape[-2:])
    upper, lower = batch.weights[0, 0].chunk(2)
    assert upper.min() > lower.max()
    assert (batch.weights[1] == 1).all()
    assert parts.builder.batch([4, 5], rng).weights is None
    assert any("3 of 7 pictures have one" in line for line in report.summary(prepared))


def test_a_checkpoint_with_other_masks_is_refused(configure, masks):
    run(configure(mask_dir=masks, max_train_steps=1))
    with pytest.raises(TrainingError, match="data set"):
        run(configure(max_train_steps=2, resume_from_checkpoint="latest"))


def test_a_weight_that_is_no_share_is_refused(configure, masks):
    with pytest.raises(RequestError, match="--unmasked_weight 2"):
        configure(mask_dir=masks, unmasked_weight=2)
