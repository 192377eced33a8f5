"""Regularisation pictures: beside the data set in every epoch, and with the frozen model's answer as their target."""

from pathlib import Path

import pytest
import torch

from sdxl_lora.errors import TrainingError
from sdxl_lora.training import components, setup
from sdxl_lora.training.batches import StepRng
from sdxl_lora.training.events import StepRecord
from sdxl_lora.training.loss import denoising_loss, draw_noise, draw_timesteps
from tests.training.conftest import run
from tests.training.test_loop import weights


def with_regular(pictures: Path, tmp_path: Path) -> dict[str, object]:
    """The first pictures as the data set, the others as regularisation."""
    rows = (pictures / "metadata.jsonl").read_text().splitlines()
    (pictures / "metadata.jsonl").write_text("\n".join(rows[:4]))
    (pictures / "other.jsonl").write_text("\n".join(rows[4:]))
    return {"class_data_dir": str(pictures / "other.jsonl"), "train_batch_size": 7, "max_train_steps": 2}


def test_regularisation_pictures_alone_teach_nothing_when_the_frozen_model_answers_them(
    configure, pictures, tmp_path
):
    settings = with_regular(pictures, tmp_path)
    setup_ = setup.prepare(configure(**settings, prior_prediction=True), lambda text: None)
    (parts,) = [item for item in components.load(setup_) if isinstance(item, components.Components)]
    batch = parts.builder.batch(range(4, 7), StepRng(seed=1, update=0, step=0, rank=0))
    assert all(batch.regular)
    rng = StepRng(seed=1, update=0, step=0, rank=0)
    random = draw_noise(batch, rng, 0.0), draw_timesteps(batch, rng, parts.scheduler)
    found = denoising_loss(parts.unet, parts.scheduler, batch, *random, without_lora=parts.adapter.off)
    assert found.abs().max() < 1e-9  # the fresh LoRA changes nothing, and is right already
    for name, parameter in parts.adapter.named_parameters():
        if "lora_B" in name:
            torch.nn.init.ones_(parameter)
    moved = denoising_loss(parts.unet, parts.scheduler, batch, *random, without_lora=parts.adapter.off)
    assert moved.min() > 1e-6  # and what it changes there is an error


@pytest.mark.parametrize("changes", [{}, {"prior_prediction": True}, {"prior_loss_weight": 0.0}])
def test_regularisation_pictures_are_in_every_epoch_and_resume_exactly(
    configure, pictures, tmp_path, changes
):
    settings = {**with_regular(pictures, tmp_path), **changes}
    whole = run(configure(**settings))
    assert [event.pictures for event in whole if isinstance(event, StepRecord)] == [7, 7]
    run(configure(**{**settings, "max_train_steps": 1}, output_dir=str(tmp_path / "parts")))
    run(configure(**settings, output_dir=str(tmp_path / "parts"), resume_from_checkpoint="latest"))
    assert weights(tmp_path / "parts").keys() == weights(tmp_path / "run").keys()
    for name, value in weights(tmp_path / "run").items():
        assert torch.equal(weights(tmp_path / "parts")[name], value)


def test_a_checkpoint_with_other_regularisation_pictures_is_refused(configure, pictures, tmp_path):
    settings = with_regular(pictures, tmp_path)
    run(configure(**settings))
    with pytest.raises(TrainingError, match="regularisation pictures was 3 and is now 0"):
        run(configure(**{**settings, "class_data_dir": None}, resume_from_checkpoint="latest"))
