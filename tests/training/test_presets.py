"""Settings by goal: each is one that the trainer takes, with a rate that suits its optimizer."""

import re
from pathlib import Path

import pytest
from torch import device

from sdxl_lora.training import optimizers, presets
from sdxl_lora.training.config import OPTIMIZERS, TrainingConfig


@pytest.mark.parametrize("bundled", [True, False])
@pytest.mark.parametrize("optimizer", [name for name in OPTIMIZERS if name != "adamw8bit"])
@pytest.mark.parametrize("goal", presets.GOALS)
def test_every_preset_is_taken_without_a_warning(goal: str, optimizer: str, bundled: bool) -> None:
    chosen = presets.settings(goal, bundled=bundled, optimizer=optimizer, pictures=40)
    config = TrainingConfig(pretrained_model_name_or_path="mini", train_data_dir="d", **chosen)  # type: ignore[arg-type]
    optimizers.require_package(config, device("cpu"))
    warnings: list[str] = []
    assert optimizers.rate(config, warnings.append) == chosen["learning_rate"]
    assert warnings == []


@pytest.mark.parametrize("steps", [1, 3, 7, 400])
def test_there_are_checkpoints_to_choose_from_however_short_the_run(steps: int) -> None:
    chosen = presets.settings("emblem", bundled=True, steps=steps)
    assert 1 <= int(chosen["checkpointing_steps"]) <= steps
    assert int(chosen["lr_warmup_steps"]) <= max(1, steps // 10)


def test_pictures_are_held_out_where_there_are_enough() -> None:
    assert "validation_split" not in presets.settings("style", bundled=True, pictures=19)
    assert presets.settings("style", bundled=True, pictures=20)["validation_split"] == 0.1


def test_the_emblem_of_the_bundled_model_is_the_run_of_the_script() -> None:
    chosen = presets.settings("emblem", bundled=True)
    script = (Path(__file__).parents[2] / "train_sdxl_lora.sh").read_text(encoding="utf-8")
    of_mini = script.split('if [ "$MODEL_NAME" = mini ]')[1].split("else")[0]
    said = dict(re.findall(r"^    --(\w+)=(\S+)$", of_mini, re.MULTILINE))
    same = ("learning_rate", "rank", "lora_target", "train_batch_size", "max_train_steps", "lr_warmup_steps")
    assert {name: str(chosen[name]) for name in same} == {
        name: str(type(chosen[name])(said[name])) for name in same
    }
