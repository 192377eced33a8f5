"""The validation loss: of pictures that are not trained on, comparable over the run, and without a trace in it."""

import shutil

import pytest
import torch

from sdxl_lora.errors import DataError
from sdxl_lora.training import components, held_out, report, runs, setup
from sdxl_lora.training.components import Components
from sdxl_lora.training.events import StepRecord, ValidationLoss
from sdxl_lora.training.run import run as run_with_journal
from tests.training.conftest import run


def prepared(config) -> setup.Setup:
    return setup.prepare(config, lambda text: None)


def loaded(config) -> tuple[setup.Setup, Components]:
    ready = prepared(config)
    return ready, next(item for item in components.load(ready) if isinstance(item, Components))


def measured(events) -> dict[int, float]:
    return {event.step: event.loss for event in events if isinstance(event, ValidationLoss)}


def losses(events) -> list[float]:
    return [event.loss for event in events if isinstance(event, StepRecord)]


def test_pictures_held_out_are_in_no_update_and_all_others_are(configure):
    ready = prepared(configure(validation_split=0.3))
    data_index = ready.data_index
    rows = {row for batch in ready.sampler.global_batches(0) for row in batch}
    assert (data_index.held_out, data_index.trained) == (2, 5)
    assert rows == set(range(5))
    assert len(set(data_index.source.keys)) == 7
    again = prepared(configure(validation_split=0.3)).data_index.source.keys
    assert list(again) == list(data_index.source.keys)
    assert (
        list(prepared(configure(validation_split=0.3, seed=2)).data_index.source.keys)[5:] != list(again)[5:]
    )


def test_copies_of_a_picture_are_on_one_side(configure, pictures):
    shutil.copy(pictures / "1.png", pictures.parent / "other.png")
    for number in range(1, 7):
        shutil.copy(pictures / "0.png", pictures / f"{number}.png")
    with pytest.raises(DataError, match="of 1 different pictures leaves none"):
        prepared(configure(validation_split=0.3))
    shutil.copy(pictures.parent / "other.png", pictures / "6.png")
    data_index = prepared(configure(validation_split=0.3)).data_index
    assert data_index.held_out in (1, 6)


def test_the_same_weights_have_the_same_loss_and_nothing_is_drawn(configure):
    ready, parts = loaded(configure(validation_split=0.3, lora_dropout=0.5))
    before = torch.get_rng_state()
    first = held_out.loss(ready, parts)
    assert held_out.loss(ready, parts) == first
    assert torch.equal(torch.get_rng_state(), before)
    assert all(part.training for part in parts.adapter.parts.values())


def test_it_is_measured_before_in_between_and_at_the_end_and_does_not_move_the_training(configure, tmp_path):
    split = {"validation_split": 0.3, "learning_rate": 1e-2}
    often = run(configure(**split, validation_steps=2, output_dir=str(tmp_path / "often")))
    seldom = run(configure(**split, validation_steps=100, output_dir=str(tmp_path / "seldom")))
    assert list(measured(often)) == [0, 2, 4]
    assert list(measured(seldom)) == [0, 4]
    assert measured(often)[4] == measured(seldom)[4] != measured(often)[0]
    assert losses(often) == losses(seldom)


def test_it_is_that_of_the_weights_that_are_saved(configure, tmp_path):
    """A run that starts from what another saved, a moving average, has its last loss as its first."""
    settings = {"validation_split": 0.3, "learning_rate": 1e-2}
    first = measured(run(configure(**settings, use_ema=True, output_dir=str(tmp_path / "first"))))
    saved = str(tmp_path / "first" / "pytorch_lora_weights.safetensors")
    second = measured(run(configure(**settings, start_from=saved, output_dir=str(tmp_path / "second"))))
    assert second[0] == pytest.approx(first[4], rel=1e-5)
    assert second[0] != pytest.approx(first[0], rel=1e-4)


def test_the_journal_keeps_it_and_runs_read_it_also_after_an_interruption(configure, tmp_path):
    settings = {"validation_split": 0.3, "validation_steps": 1, "checkpointing_steps": 2, "report_to": "none"}
    ready = prepared(configure(**settings))
    assert "held out   2 of them are not trained on: they give the validation loss" in report.summary(ready)
    assert run_with_journal(ready)
    whole = runs.read_run(tmp_path / "run")
    assert [step for step, _ in whole.validation_losses] == [0, 1, 2, 3, 4]
    assert [step for step, _ in whole.losses] == [1, 2, 3, 4]
    assert run_with_journal(prepared(configure(**settings, resume_from_checkpoint="checkpoint-2")))
    assert runs.read_run(tmp_path / "run").validation_losses == whole.validation_losses
