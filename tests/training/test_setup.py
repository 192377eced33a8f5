"""Bad input is one line, before any weights are loaded; so is the dry run."""

import json
import re
import shutil

import pytest
import torch
from accelerate.utils import DistributedType

from sdxl_lora.errors import DataError, InputError, RequestError, StorageError, UnknownNameError
from sdxl_lora.training import base_model, run, setup
from tests.training.conftest import run as train


@pytest.fixture
def no_weights(monkeypatch):
    """Loading weights is an error."""

    def refuse(*arguments, **keywords):
        raise AssertionError("weights were loaded")

    monkeypatch.setattr(base_model, "_load", refuse)


def prepare(config):
    return setup.prepare(config, lambda text: None)


def test_a_resolution_the_model_cannot_divide_names_the_nearest(configure, no_weights):
    with pytest.raises(RequestError, match=r"resolution 70 is not a multiple of 8, .* use 72"):
        prepare(configure(resolution=70))


def test_pictures_without_captions_are_counted_and_named(configure, pictures, no_weights):
    rows = [json.loads(line) for line in (pictures / "metadata.jsonl").read_text().splitlines()]
    rows[3]["text"] = ""
    (pictures / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match=r"1 of 7 pictures .* have no caption \(3.png\)"):
        prepare(configure())


def test_unreadable_pictures_are_named(configure, pictures, no_weights):
    (pictures / "2.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"1 of 7 pictures cannot be read: 2.png cannot be read as a picture"):
        prepare(configure())


def test_a_wrong_column_names_the_nearest(configure, no_weights):
    with pytest.raises(UnknownNameError, match="did you mean 'text'"):
        prepare(configure(caption_column="texts"))


def test_a_model_that_is_not_there_is_one_line(configure, no_weights):
    with pytest.raises(InputError, match="no model named 'mimi'; did you mean 'mini'"):
        prepare(configure(pretrained_model_name_or_path="mimi"))


def test_a_folder_that_is_no_model_is_one_line(configure, pictures, no_weights):
    with pytest.raises(InputError, match="not a diffusers model folder"):
        prepare(configure(pretrained_model_name_or_path=str(pictures)))


def test_an_output_folder_that_cannot_be_written_is_one_line(configure, tmp_path, no_weights):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"--output_dir .* cannot be written"):
        prepare(configure(output_dir=str(tmp_path / "file" / "run")))


def test_a_tracker_that_is_not_installed_is_one_line(configure, no_weights):
    with pytest.raises(InputError, match="--report_to wandbb: no such tracker"):
        prepare(configure(report_to="wandbb"))


def test_an_optimizer_without_its_package_or_device_is_one_line(configure, no_weights):
    with pytest.raises(InputError, match=r"adamw8bit needs a (package|CUDA GPU)"):
        prepare(configure(optimizer="adamw8bit"))
    with pytest.raises(InputError, match="schedulefree replaces --lr_scheduler cosine"):
        prepare(configure(optimizer="schedulefree", lr_scheduler="cosine"))


@pytest.mark.parametrize(("variable", "name"), setup._SHARDING.items())
def test_a_configuration_that_shards_trains_in_plain_parallel_and_says_so(
    configure, no_weights, monkeypatch, variable, name
):
    monkeypatch.setenv(variable, "true")
    said = []
    prepared = setup.prepare(configure(), said.append)
    assert prepared.accelerator.distributed_type == DistributedType.NO
    assert f"accelerate is set to {name}" in said[0]


def test_xformers_and_npu_say_when_they_are_missing(configure, no_weights):
    with pytest.raises(InputError, match="needs xformers"):
        prepare(configure(enable_xformers_memory_efficient_attention=True))
    with pytest.raises(InputError, match="needs an Ascend NPU"):
        prepare(configure(enable_npu_flash_attention=True))


def test_loss_weighting_that_would_divide_by_zero_is_refused(configure, tiny_sdxl, tmp_path, no_weights):
    model = shutil.copytree(tiny_sdxl, tmp_path / "model")
    file = model / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "rescale_betas_zero_snr": True}))
    with pytest.raises(InputError, match="divides by the SNR"):
        prepare(configure(pretrained_model_name_or_path=str(model), snr_gamma=5.0))
    assert prepare(
        configure(pretrained_model_name_or_path=str(model), snr_gamma=5.0, prediction_type="v_prediction")
    )


def test_a_model_without_weights_is_one_line(configure, tiny_sdxl, tmp_path):
    model = shutil.copytree(tiny_sdxl, tmp_path / "model")
    for file in (model / "unet").glob("*.safetensors"):
        file.unlink()
    with pytest.raises(Exception, match=r"unet|weights|here"):
        train(configure(pretrained_model_name_or_path=str(model)))


def test_the_precision_is_what_accelerate_was_launched_with(configure, monkeypatch, no_weights):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    prepared = prepare(configure())  # --mixed_precision was not given
    assert prepared.accelerator.mixed_precision == "bf16"
    assert prepared.dtype == torch.bfloat16


@pytest.mark.parametrize("architecture", ["sdxl", "sd"])
def test_the_architecture_and_size_come_from_the_models_files(
    configure, tiny_sd, tiny_sdxl, architecture, no_weights
):
    model = tiny_sd if architecture == "sd" else tiny_sdxl
    prepared = prepare(configure(pretrained_model_name_or_path=str(model)))
    assert prepared.base.architecture == architecture
    assert prepared.resolution == 64
    assert prepared.base.multiple == 8


def test_max_train_samples_takes_some_by_the_seed(configure, no_weights):
    some = [prepare(configure(max_train_samples=3, seed=seed)).data_index.source.keys for seed in (1, 1, 2)]
    assert len(some[0]) == 3
    assert some[0] == some[1] != some[2]


def test_scale_lr_multiplies_by_the_pictures_of_an_update(configure, no_weights):
    prepared = prepare(
        configure(scale_lr=True, learning_rate=0.1, train_batch_size=2, gradient_accumulation_steps=3)
    )
    assert prepared.learning_rate == pytest.approx(0.6)


def test_a_dry_run_says_everything_and_loads_no_weights(tiny_sdxl, pictures, tmp_path, capsys, no_weights):
    code = run.main(
        [
            f"--pretrained_model_name_or_path={tiny_sdxl}",
            f"--train_data_dir={pictures}",
            f"--output_dir={tmp_path / 'run'}",
            "--max_train_steps=5",
            "--train_batch_size=2",
            "--aspect_ratio_buckets",
            "--hub_token=secret",
            "--dry_run",
        ]
    )
    printed = capsys.readouterr().out
    assert code == 0
    for word in (
        "buckets",
        "memory     at least",
        "caches",
        "time       at least",
        "a new run",
        "max_train_steps = 5",
    ):
        assert word in printed
    assert "secret" not in printed


def test_errors_are_one_line_on_stderr_and_exit_with_2(pictures, capsys):
    assert run.main([f"--train_data_dir={pictures}", "--pretrained_model_name_or_path=nowhere/at/all"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert "Traceback" not in err


def test_a_run_from_the_command_line_leaves_a_journal_that_continues(tiny_sdxl, pictures, tmp_path, capsys):
    from accelerate.state import AcceleratorState

    def command(steps: int) -> list[str]:
        return [
            f"--pretrained_model_name_or_path={tiny_sdxl}",
            f"--train_data_dir={pictures}",
            f"--output_dir={tmp_path / 'run'}",
            f"--max_train_steps={steps}",
            "--train_batch_size=2",
            "--seed=1",
            "--resume_from_checkpoint=latest",
            "--validation_prompt=x",
            "--validation_steps=1",
            "--num_validation_images=1",
        ]

    for steps in (1, 2):
        assert run.main(command(steps), lambda prepared: lambda images, prompts: [0.25] * len(images)) == 0
        AcceleratorState._reset_state(reset_partial_state=True)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2]
    assert [line["scores"] for line in lines if "pictures" in line] == [[0.25], [0.25]]
    assert (tmp_path / "run" / "validation" / "000002-0.png").is_file()
    assert list((tmp_path / "run" / "logs").rglob("events.out.tfevents.*"))
    said = capsys.readouterr().err
    assert "mean score 0.2500" in said
    assert re.search(r"training 2/2: loss \d\.\d+, [\d.]+ images/s, [\d.]+ GB, 0 s left", said)
    assert re.search(r"finished   after \d+ s: .*run\n +pytorch_lora_weights.safetensors", said)


@pytest.mark.parametrize(("native", "precision"), [(True, "bf16"), (False, "fp16")])
def test_a_gpu_trains_in_half_precision_unless_told_otherwise(configure, monkeypatch, native, precision):
    chosen = []

    class Stop(Exception):
        pass

    def accelerator(mixed_precision, **_):
        chosen.append(mixed_precision)
        raise Stop

    monkeypatch.setattr(setup, "Accelerator", accelerator)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: native)
    said: list[str] = []
    for given in (None, "no"):
        with pytest.raises(Stop):
            setup.make_accelerator(configure(mixed_precision=given), said.append)
    assert chosen == [precision, "no"]
    assert said == [f"a GPU trains in {precision}; --mixed_precision no trains in fp32, many times slower"]
