"""Runs that are asked to stop, and runs that go on from there."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from sdxl_lora.errors import TrainingError
from sdxl_lora.training import checkpoints, lock, loop, optimizers, setup, stopping
from sdxl_lora.training.events import Saved, StepRecord
from sdxl_lora.training.run import main
from tests.training.conftest import run


@pytest.mark.parametrize("number", stopping.SIGNALS)
def test_a_signal_is_noted_once_and_the_second_is_the_systems_own(number):
    before = signal.getsignal(number)
    with stopping.on_signals() as request:
        assert not request()
        signal.raise_signal(number)
        assert request()
        assert request.signal == number
        assert request.exit_code == 128 + number
        later = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        assert signal.getsignal(number) == later
    assert signal.getsignal(number) == before


def steps(events: list[object]) -> list[int]:
    return [event.step for event in events if isinstance(event, StepRecord)]


def test_a_run_that_is_stopped_saves_its_update_and_goes_on_to_the_same_end(configure, tmp_path):
    events: list[object] = []
    for event in loop.train(setup.prepare(configure(), print), stop=lambda: bool(steps(events))):
        events.append(event)
    assert steps(events) == [1, 2]  # the update in which it was asked is finished
    assert events[-1] == Saved(step=2, path=tmp_path / "run" / "checkpoint-2")
    assert not (tmp_path / "run" / "pytorch_lora_weights.safetensors").exists()
    run(configure(resume_from_checkpoint="latest"))
    run(configure(output_dir=str(tmp_path / "whole")))
    name = "pytorch_lora_weights.safetensors"
    parts, whole = load_file(tmp_path / "run" / name), load_file(tmp_path / "whole" / name)
    assert all(torch.equal(parts[key], whole[key]) for key in whole)


def arguments(tiny_sdxl, pictures, tmp_path) -> list[str]:
    given = ["--pretrained_model_name_or_path", str(tiny_sdxl), "--train_data_dir", str(pictures)]
    return [*given, "--output_dir", str(tmp_path / "run"), "--report_to", "none", "--train_batch_size", "2"]


def test_the_command_line_says_which_signal_and_how_to_go_on(
    tiny_sdxl, pictures, tmp_path, capsys, monkeypatch
):
    real = loop._update

    def signalled(*given):
        os.kill(os.getpid(), signal.SIGUSR1)
        return real(*given)

    monkeypatch.setattr(loop, "_update", signalled)
    code = main([*arguments(tiny_sdxl, pictures, tmp_path), "--max_train_steps", "9"])
    said = capsys.readouterr().err.strip().splitlines()
    assert code == 128 + signal.SIGUSR1
    assert said[-1] == (
        "stopped by SIGUSR1; start the same command with --resume_from_checkpoint latest to go on"
    )
    assert (tmp_path / "run" / "checkpoint-1" / checkpoints.MANIFEST).is_file()


def test_where_nothing_was_saved_nobody_is_sent_to_latest(tiny_sdxl, pictures, tmp_path, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_update", interrupted)
    assert main(arguments(tiny_sdxl, pictures, tmp_path)) == 130
    assert "interrupted; nothing was saved yet" in capsys.readouterr().err


def test_checkpoints_are_written_by_the_clock_too(configure, tmp_path):
    run(configure(save_every_minutes=0.0, max_train_steps=3))
    assert len(list((tmp_path / "run").glob("checkpoint-*"))) == 3
    run(configure(save_every_minutes=60.0, max_train_steps=3, output_dir=str(tmp_path / "rarely")))
    assert len(list((tmp_path / "rarely").glob("checkpoint-*"))) == 1


def test_two_runs_in_one_folder_are_refused_in_one_line(tmp_path):
    code = "import sys, time; from pathlib import Path; from sdxl_lora.training import lock\n"
    code += "with lock.held(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert other.stdout.readline() == b"held\n"
        wanted = rf"another run \(process {other.pid}\) is writing to"
        with pytest.raises(TrainingError, match=wanted), lock.held(tmp_path):
            pass
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    with lock.held(tmp_path):  # a killed run holds nothing
        time.sleep(0)


def test_a_finished_run_repeated_keeps_its_sample(configure, tmp_path):
    drawn = {"validation_prompt": "x", "num_validation_images": 1, "max_train_steps": 1}
    run(configure(**drawn))
    run(configure(**drawn, resume_from_checkpoint="latest"))
    assert "![samples](samples.jpg)" in (tmp_path / "run" / "README.md").read_text()
    assert (tmp_path / "run" / "samples.jpg").is_file()


def test_no_local_path_is_in_the_header_or_the_card(configure, tmp_path):
    run(configure(max_train_steps=1))
    for name in ("pytorch_lora_weights.safetensors", "pytorch_lora_weights_kohya.safetensors", "README.md"):
        data = (tmp_path / "run" / name).read_bytes()
        assert str(tmp_path).encode() not in data
        assert b"tiny-sdxl" in data


@pytest.mark.parametrize(
    ("optimizer", "given", "used", "says"),
    [
        ("prodigy", 1e-4, 1.0, "prodigy finds its rate itself"),
        ("prodigy", 0.5, 0.5, None),
        ("prodigy", 1e-3, 1e-3, "--learning_rate 0.001 is unusual for prodigy"),
        ("adamw", 1e-4, 1e-4, None),
        ("adamw", 1.0, 1.0, "--learning_rate 1 is unusual for adamw"),
    ],
)
def test_the_rate_suits_the_optimizer_or_is_warned_about(configure, optimizer, given, used, says):
    said: list[str] = []
    assert optimizers.rate(configure(optimizer=optimizer, learning_rate=given), said.append) == used
    assert len(said) == (says is not None)
    assert all(says in line for line in said)


def test_the_rate_that_was_chosen_is_the_one_that_is_shown(configure):
    pytest.importorskip("prodigyopt")
    prepared = setup.prepare(configure(optimizer="prodigy", learning_rate=1e-4), lambda text: None)
    assert (prepared.config.learning_rate, prepared.learning_rate) == (1.0, 1.0)


def test_a_disk_that_pytorch_finds_full_is_said_in_words(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 0}))
    assert checkpoints.reason(RuntimeError("file write failed"), tmp_path).startswith("the disk is full")


def test_a_run_that_cannot_start_leaves_no_folder_behind(tmp_path, capsys):
    given = ["--pretrained_model_name_or_path", "mini", "--train_data_dir", str(tmp_path / "nothing")]
    assert main([*given, "--output_dir", str(tmp_path / "run")]) == 2
    assert "there is no data set" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
