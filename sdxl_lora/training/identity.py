"""What makes two runs the same run: everything that decides what is learned, and nothing else.

Where pictures are validated, how often checkpoints are written, or whether caches are used may change
between a checkpoint and its continuation; what is listed here may not.
"""

from dataclasses import fields
from typing import Any

from sdxl_lora.training import optimizers
from sdxl_lora.training.base_model import BaseModel
from sdxl_lora.training.config import TrainingConfig
from sdxl_lora.training.dataset_index import DatasetIndex
from sdxl_lora.training.starting import StartingPoint

_SETTINGS = (
    "center_crop",
    "random_flip",
    "train_batch_size",
    "gradient_accumulation_steps",
    "lr_scheduler",
    "lr_warmup_steps",
    "snr_gamma",
    "debiased_estimation",
    "adam_beta1",
    "adam_beta2",
    "adam_weight_decay",
    "adam_epsilon",
    "max_grad_norm",
    "noise_offset",
    "rank",
    "train_text_encoder",
    "image_interpolation_mode",
    "use_dora",
    "lora_target",
    "caption_dropout",
    "use_ema",
    "ema_decay",
    "base_precision",
    "aspect_ratio_buckets",
    "crop_variants",
    "original_size",
    "prior_loss_weight",
    "prior_prediction",
)
# added later: named only where they are not at their defaults, so that checkpoints of before go on
_LATER_SETTINGS = ("lora_dropout", "text_encoder_lr", "shuffle_tags", "keep_tokens", "validation_split")
_SCHEDULES_WITHOUT_AN_END = ("constant", "constant_with_warmup")


def of_run(
    config: TrainingConfig,
    base: BaseModel,
    data_index: DatasetIndex,
    *,
    seed: int,
    resolution: int,
    learning_rate: float,
    prediction_type: str,
    total: int,
    precision: str,
    world_size: int,
    start: StartingPoint | None = None,
) -> dict[str, Any]:
    """Name -> JSON value."""
    parts = ("unet", "text_encoder", "text_encoder_2")
    identity = {name: getattr(config, name) for name in _SETTINGS}
    identity |= {
        "data set": data_index.fingerprint(),
        "regularisation pictures": data_index.trained - data_index.num_instance_images,
        "base model": base.fingerprint(*parts[: 3 if base.architecture == "sdxl" else 2]),
        "VAE": base.fingerprint("vae"),
        "seed": seed,
        "resolution": resolution,
        "learning rate": learning_rate,
        "network_alpha": config.alpha,
        "optimizer": optimizers.name_of(config),
        "prediction_type": prediction_type,
        "mixed_precision": precision,
        "number of processes": world_size,
    }
    if config.lr_scheduler not in _SCHEDULES_WITHOUT_AN_END:
        identity["updates in all"] = total  # the schedule bends with it
    defaults = {item.name: item.default for item in fields(TrainingConfig)}
    changed = [name for name in _LATER_SETTINGS if getattr(config, name) != defaults[name]]
    identity |= {name: getattr(config, name) for name in changed}
    if start is not None:
        identity["start_from"] = start.sha256
    return identity
