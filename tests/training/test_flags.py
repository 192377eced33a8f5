"""The command line: diffusers' flags with their defaults, its abbreviations, and ours."""

import shlex
from dataclasses import MISSING, fields

import pytest

from sdxl_lora.errors import InputError, RequestError, UnknownNameError
from sdxl_lora.training import flags
from sdxl_lora.training.config import TrainingConfig

NEEDED = ["--pretrained_model_name_or_path", "mini", "--train_data_dir", "x"]

# train_text_to_image_lora.py (SD), 51 flags with their defaults, diffusers 0.40; resolution is the model's own here
OFFICIAL_SD = {
    "pretrained_model_name_or_path": None,
    "revision": None,
    "variant": None,
    "dataset_name": None,
    "dataset_config_name": None,
    "train_data_dir": None,
    "image_column": "image",
    "caption_column": "text",
    "validation_prompt": None,
    "num_validation_images": 4,
    "validation_epochs": 1,
    "max_train_samples": None,
    "output_dir": "sd-model-finetuned-lora",
    "cache_dir": None,
    "seed": None,
    "resolution": None,
    "center_crop": False,
    "random_flip": False,
    "train_batch_size": 16,
    "num_train_epochs": 100,
    "max_train_steps": None,
    "gradient_accumulation_steps": 1,
    "gradient_checkpointing": False,
    "learning_rate": 1e-4,
    "scale_lr": False,
    "lr_scheduler": "constant",
    "lr_warmup_steps": 500,
    "snr_gamma": None,
    "use_8bit_adam": False,
    "allow_tf32": False,
    "dataloader_num_workers": 0,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "adam_weight_decay": 1e-2,
    "adam_epsilon": 1e-8,
    "max_grad_norm": 1.0,
    "push_to_hub": False,
    "hub_token": None,
    "prediction_type": None,
    "hub_model_id": None,
    "logging_dir": "logs",
    "mixed_precision": None,
    "report_to": "tensorboard",
    "local_rank": -1,
    "checkpointing_steps": 500,
    "checkpoints_total_limit": None,
    "resume_from_checkpoint": None,
    "enable_xformers_memory_efficient_attention": False,
    "noise_offset": 0,
    "rank": 4,
    "image_interpolation_mode": "lanczos",
}
OFFICIAL_SDXL_ONLY = {
    "pretrained_vae_model_name_or_path": None,
    "train_text_encoder": False,
    "enable_npu_flash_attention": False,
    "debug_loss": False,
}
OURS = [
    "network_alpha",
    "use_dora",
    "lora_dropout",
    "text_encoder_lr",
    "shuffle_tags",
    "keep_tokens",
    "lora_target",
    "optimizer",
    "debiased_estimation",
    "caption_dropout",
    "use_ema",
    "ema_decay",
    "base_precision",
    "aspect_ratio_buckets",
    "crop_variants",
    "original_size",
    "no_latent_cache",
    "no_text_cache",
    "training_cache_dir",
    "compile",
    "cuda_graphs",
    "validation_steps",
    "validation_split",
    "trigger_words",
    "start_from",
    "class_data_dir",
    "prior_loss_weight",
    "prior_prediction",
    "mask_dir",
    "unmasked_weight",
    "save_every_minutes",
    "resume_strict",
    "dry_run",
]


def test_every_official_flag_is_there_with_its_default():
    assert len(OFFICIAL_SD) == 51
    assert len({**OFFICIAL_SD, **OFFICIAL_SDXL_ONLY}) == 55
    found = {item.name: item.default for item in fields(TrainingConfig) if item.default is not MISSING}
    found["pretrained_model_name_or_path"] = (
        found["pretrained_model_name_or_path"] or None
    )  # required, "" = missing
    official = {**OFFICIAL_SD, **OFFICIAL_SDXL_ONLY}
    assert {name: found[name] for name in official} == official
    assert set(flags.official_flags()) == set(official)


def test_the_list_of_our_own_flags_is_pinned():
    assert [item.name for item in fields(TrainingConfig)][55:] == OURS


def unambiguous(names: list[str]) -> dict[str, str]:
    """Every abbreviation that argparse would accept among `names` -> the flag it means."""
    found = {}
    for name in names:
        for length in range(1, len(name)):
            if sum(other.startswith(name[:length]) for other in names) == 1:
                found[name[:length]] = name
    return found


def test_every_abbreviation_of_the_official_scripts_means_the_same_here():
    sdxl = unambiguous([*OFFICIAL_SD, *OFFICIAL_SDXL_ONLY, "help"])
    sd = unambiguous([*OFFICIAL_SD, "help"])
    own = {*OURS, "config"}
    for short, full in {**sdxl, **sd}.items():
        if short not in own and full != "help":
            assert flags.expand([f"--{short}=1"]) == [f"--{full}=1"], short


def test_the_abbreviation_of_a_users_thread_works():
    """diffusers#6445 uses --gradient_accumulation 4."""
    assert flags.parse([*NEEDED, "--gradient_accumulation", "4"]).gradient_accumulation_steps == 4


def test_the_original_projects_command_is_understood_verbatim():
    command = """--pretrained_model_name_or_path="M" --dataset_name="D" --resolution="1024" --center_crop --random_flip
        --train_batch_size=1 --gradient_accumulation_steps=4 --gradient_checkpointing --mixed_precision="fp16"
        --max_train_steps=2501 --learning_rate=1e-05 --max_grad_norm=1 --lr_scheduler="constant" --lr_warmup_steps=0
        --resume_from_checkpoint="C" --output_dir="O" --logging_dir="L" """
    config = flags.parse(shlex.split(command))
    assert config.resolution == 1024
    assert config.learning_rate == 1e-5
    assert config.max_train_steps == 2501
    assert config.resume_from_checkpoint == "C"


def test_a_toml_file_gives_settings_and_the_command_line_wins(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(
        'pretrained_model_name_or_path = "mini"\n[data]\ntrain_data_dir = "x"\n[lora]\nrank = 8\nlearning_rate = 1\n'
    )
    config = flags.parse(["--config", str(file), "--rank", "16"])
    assert (config.rank, config.learning_rate, config.train_data_dir) == (16, 1.0, "x")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("rnak = 8", UnknownNameError, "did you mean 'rank'"),
        ('rank = "8"', RequestError, "not of type int"),
        ("rank = ", InputError, "not valid TOML"),
        ("use_dora = 1", RequestError, "not of type bool"),
    ],
)
def test_a_wrong_toml_file_is_one_line(tmp_path, text, error, message):
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(error, match=message):
        flags.parse([*NEEDED, "--config", str(tmp_path / "run.toml")])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rank", "0"], "--rank 0 is not 1 or more"),
        (["--caption_dropout", "2"], "--caption_dropout 2.0 is not between 0 and 1"),
        (["--learning_rate", "nan"], "--learning_rate nan"),
        (["--lr_scheduler", "cosin"], "--lr_scheduler"),
        (["--snr_gamma", "5", "--debiased_estimation"], "choose one"),
        (["--dataset_name", "y"], "give one data set"),
        (["--prior_prediction"], "--class_data_dir; give one"),
        (
            ["--prior_prediction", "--class_data_dir", "y", "--train_text_encoder"],
            "needs frozen text encoders",
        ),
        (["--optimizer", "schedulefree", "--use_ema"], "averages the weights itself"),
        (["--unknown"], "unrecognized arguments: --unknown"),
        (["--rank", "four"], "invalid int value"),
    ],
)
def test_wrong_values_are_one_line(arguments, message):
    with pytest.raises(InputError, match=message):
        flags.parse([*NEEDED, *arguments])


def test_the_model_and_the_data_are_needed():
    with pytest.raises(InputError, match="no base model"):
        flags.parse(["--train_data_dir", "x"])
    with pytest.raises(InputError, match="give one data set"):
        flags.parse(["--pretrained_model_name_or_path", "mini"])
