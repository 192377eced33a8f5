"""Exact resume: interrupted anywhere, the same command ends with the same bytes."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sdxl_lora.errors import StorageError, TrainingError
from sdxl_lora.training import checkpoints, setup
from sdxl_lora.training.events import Started
from tests.training.conftest import run

ROOT = Path(__file__).parents[2]
WEIGHTS = ("pytorch_lora_weights.safetensors", "pytorch_lora_weights_kohya.safetensors")


def files(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in WEIGHTS]


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / WEIGHTS[0])


@pytest.mark.parametrize("interrupted_after", [1, 2, 4, 5])
def test_a_run_in_two_parts_ends_with_the_weights_of_one_run_bit_for_bit(
    configure, tmp_path, interrupted_after
):
    """Seven pictures in batches of two are four updates an epoch: inside, at the end of, and after an
    epoch.
    """
    settings = {"caption_dropout": 0.3, "noise_offset": 0.1, "random_flip": True, "max_train_steps": 6}
    run(configure(**settings, output_dir=str(tmp_path / "whole")))
    run(configure(**{**settings, "max_train_steps": interrupted_after}))
    events = run(configure(**settings, resume_from_checkpoint="latest"))
    assert next(event for event in events if isinstance(event, Started)).start == interrupted_after
    whole, parts = tensors(tmp_path / "whole"), tensors(tmp_path / "run")
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_moving_average_and_adaptive_state_survive_the_interruption(configure, tmp_path):
    settings = {"use_ema": True, "lr_scheduler": "cosine", "lr_warmup_steps": 2, "checkpointing_steps": 2}
    run(configure(**settings, output_dir=str(tmp_path / "whole")))
    whole = tensors(tmp_path / "whole")
    run(configure(**settings))
    shutil.rmtree(tmp_path / "run" / "checkpoint-4")
    run(configure(**settings, resume_from_checkpoint="latest"))
    parts = tensors(tmp_path / "run")
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_other_validation_and_caches_do_not_change_the_continuation(configure, tmp_path):
    run(configure(output_dir=str(tmp_path / "whole")))
    run(configure(max_train_steps=2))
    run(
        configure(
            resume_from_checkpoint="latest",
            validation_prompt="x",
            num_validation_images=1,
            validation_steps=1,
        )
    )
    whole, parts = tensors(tmp_path / "whole"), tensors(tmp_path / "run")
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


@pytest.mark.parametrize("form", ["latest", "name", "name/", "absolute", "absolute/", "folder"])
def test_every_form_of_naming_a_checkpoint_works(configure, tmp_path, form):
    run(configure(max_train_steps=2))
    path = tmp_path / "run" / "checkpoint-2"
    forms = {
        "latest": "latest",
        "name": path.name,
        "name/": f"{path.name}/",
        "absolute": str(path),
        "absolute/": f"{path}/",
        "folder": str(path.parent),
    }
    prepared = setup.prepare(configure(resume_from_checkpoint=forms[form]), print)
    assert prepared.checkpoint is not None
    assert prepared.checkpoint.path.resolve() == path


def test_a_checkpoint_elsewhere_is_used_and_not_one_of_the_same_name_here(configure, tmp_path):
    run(configure(max_train_steps=2, output_dir=str(tmp_path / "other")))
    run(configure(max_train_steps=2))
    wanted = tmp_path / "other" / "checkpoint-2"
    assert setup.prepare(configure(resume_from_checkpoint=str(wanted)), print).checkpoint.path == wanted


def test_a_missing_checkpoint_is_warned_about_and_starts_afresh(configure):
    said: list[str] = []
    assert (
        setup.prepare(configure(resume_from_checkpoint="/nowhere/checkpoint-9"), said.append).checkpoint
        is None
    )
    assert said == ["there is no checkpoint /nowhere/checkpoint-9; starting a new training run"]


def test_a_missing_checkpoint_is_an_error_when_strict(configure):
    with pytest.raises(TrainingError, match="there is no complete checkpoint"):
        setup.prepare(configure(resume_from_checkpoint="latest", resume_strict=True), print)


@pytest.mark.parametrize("damage", ["half written", "changed", "no manifest"])
def test_latest_is_the_newest_complete_checkpoint(configure, tmp_path, damage):
    run(configure(checkpointing_steps=2))
    newest = tmp_path / "run" / "checkpoint-4"
    if damage == "half written":
        (newest / "training_state.pt").unlink()
    elif damage == "changed":
        (newest / "training_state.pt").write_bytes(b"x")
    else:
        (newest / "manifest.json").unlink()
    said: list[str] = []
    prepared = setup.prepare(configure(resume_from_checkpoint="latest"), said.append)
    assert prepared.checkpoint.step == 2
    assert "passed over" in said[0]


def test_a_damaged_checkpoint_that_was_named_is_an_error(configure, tmp_path):
    run(configure(max_train_steps=2))
    (tmp_path / "run" / "checkpoint-2" / "config.json").write_text("{}")
    with pytest.raises(StorageError, match=r"config.json was changed"):
        setup.prepare(configure(resume_from_checkpoint="checkpoint-2"), print)


def test_strange_names_beside_checkpoints_are_left_alone(configure, tmp_path):
    run(configure(max_train_steps=2))
    for name in ("checkpoint-100.safetensors", "checkpoint-old", "checkpoint"):
        (tmp_path / "run" / name).mkdir()
    assert setup.prepare(configure(resume_from_checkpoint="latest"), print).checkpoint.step == 2


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"learning_rate": 1e-5}, "learning rate was 0.001 and is now 1e-05"),
        ({"rank": 8}, "rank was 4 and is now 8"),
        ({"lora_target": "attention+conv"}, "lora_target was attention and is now"),
        ({"seed": 2}, "seed was 1 and is now 2"),
        ({"resolution": 96}, "resolution was 64 and is now 96"),
    ],
)
def test_a_checkpoint_of_another_configuration_is_refused_with_the_difference(configure, changes, difference):
    run(configure(max_train_steps=1))
    with pytest.raises(TrainingError, match=difference):
        setup.prepare(configure(resume_from_checkpoint="latest", **changes), print)


def test_a_checkpoint_of_another_data_set_is_refused(configure, pictures):
    run(configure(max_train_steps=1))
    rows = (pictures / "metadata.jsonl").read_text().replace("Halden 3", "Halden three")
    (pictures / "metadata.jsonl").write_text(rows)
    with pytest.raises(TrainingError, match="data set was"):
        setup.prepare(configure(resume_from_checkpoint="latest"), print)


def test_more_steps_continue_a_constant_schedule_but_not_one_with_an_end(configure):
    run(configure(max_train_steps=1))
    assert (
        setup.prepare(configure(max_train_steps=9, resume_from_checkpoint="latest"), print).checkpoint
        is not None
    )
    run(configure(max_train_steps=1, lr_scheduler="linear"))
    with pytest.raises(TrainingError, match="updates in all was 1 and is now 9"):
        setup.prepare(
            configure(max_train_steps=9, lr_scheduler="linear", resume_from_checkpoint="latest"), print
        )


def test_a_drawn_seed_is_kept_with_the_checkpoint(configure):
    first = setup.prepare(configure(seed=None, max_train_steps=1), print)
    list(run_prepared(first))
    again = setup.prepare(configure(seed=None, max_train_steps=2, resume_from_checkpoint="latest"), print)
    assert again.seed == first.seed


def run_prepared(prepared: setup.Setup):
    from sdxl_lora.training import loop

    return loop.train(prepared)


def test_a_failed_save_leaves_earlier_checkpoints_and_nothing_half_written(tmp_path):
    def export(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    checkpoints.save(tmp_path, 1, {"a": torch.ones(1)}, {}, lambda folder: None)
    with pytest.raises(StorageError, match="the disk is full; earlier checkpoints are intact"):
        checkpoints.save(tmp_path, 2, {"a": torch.ones(1)}, {}, export)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-1"]
    assert checkpoints.read(tmp_path / "checkpoint-1").state()["a"] == 1


def test_an_unfinished_save_is_cleaned_up_and_never_chosen(tmp_path):
    (tmp_path / ".unfinished-checkpoint-7").mkdir()
    said: list[str] = []
    assert checkpoints.find("latest", tmp_path, strict=False, warn=said.append) is None
    checkpoints.clean(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_was_being_replaced_comes_back(tmp_path):
    checkpoints.save(tmp_path, 1, {"a": torch.ones(1)}, {}, lambda folder: None)
    (tmp_path / "checkpoint-1").rename(tmp_path / ".unfinished-old-checkpoint-1")
    checkpoints.clean(tmp_path)
    assert checkpoints.read(tmp_path / "checkpoint-1").step == 1


def test_rotation_leaves_later_checkpoints_of_an_earlier_run_alone(tmp_path):
    for step in (1, 2, 9):
        checkpoints.save(tmp_path, step, {}, {}, lambda folder: None)
    checkpoints.rotate(tmp_path, 1, step=2)
    assert [path.name for path in checkpoints.candidates(tmp_path)] == ["checkpoint-9", "checkpoint-2"]


SCRIPT = """
import sys
from sdxl_lora.training import flags, loop, setup
for event in loop.train(setup.prepare(flags.parse(sys.argv[1:]), print)):
    print(type(event).__name__, flush=True)
"""


@pytest.mark.slow
def test_killed_at_any_moment_and_started_again_it_ends_with_the_same_bytes(tiny_sdxl, pictures, tmp_path):
    """SIGKILL while encoding, while training, and around the writing of a checkpoint."""

    def command(output: str) -> list[str]:
        flags = {
            "pretrained_model_name_or_path": tiny_sdxl,
            "train_data_dir": pictures,
            "output_dir": tmp_path / output,
            "train_batch_size": 2,
            "max_train_steps": 12,
            "checkpointing_steps": 1,
            "checkpoints_total_limit": 2,
            "learning_rate": 1e-3,
            "seed": 3,
            "resume_from_checkpoint": "latest",
        }
        return [sys.executable, "-c", SCRIPT, *(f"--{name}={value}" for name, value in flags.items())]

    def environment(name: str) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), "SDXL_LORA_HOME": str(tmp_path / f"home-{name}")}

    subprocess.run(command("whole/run"), check=True, env=environment("whole"), capture_output=True)
    for word, seconds in (("Encoded", 0.0), ("StepRecord", 0.01), ("Saved", 0.1)):
        process = subprocess.Popen(
            command("killed/run"),
            env=environment("killed"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == word:
                break
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    subprocess.run(command("killed/run"), check=True, env=environment("killed"), capture_output=True)
    assert files(tmp_path / "whole/run") == files(tmp_path / "killed/run")
