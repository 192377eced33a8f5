"""Every setting of a training run: one frozen dataclass whose fields are the command line's flags.

The names and defaults of the flags of diffusers' LoRA scripts are kept. `None` means "decided from the
model or the data"; the comment of a field is its help text. Values are checked on construction, before any
file is opened.
"""

import math
from dataclasses import dataclass, field, fields
from typing import Any

from sdxl_lora.data.geometry import INTERPOLATIONS
from sdxl_lora.errors import RequestError

PRECISIONS = ("no", "fp16", "bf16")
BASE_PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")
OPTIMIZERS = ("adamw", "adamw8bit", "prodigy", "schedulefree")
SCHEDULES = ("linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup")
LORA_TARGETS = ("attention", "attention+conv")
PREDICTION_TYPES = ("epsilon", "v_prediction")


def option(default: Any, help_text: str, choices: tuple[str, ...] | None = None) -> Any:
    """A field with its help text and, where there are some, its choices."""
    return field(default=default, metadata={"help": help_text, "choices": choices})


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """One training run. The first block is diffusers' own flags, the second ours."""

    pretrained_model_name_or_path: str = option(
        "", "base model: a name (mini, sdxl, sd14), a folder or a hub id"
    )
    pretrained_vae_model_name_or_path: str | None = option(
        None, "another VAE: folder or hub id; None: the model's"
    )
    revision: str | None = option(None, "revision of the model on the hub")
    variant: str | None = option(None, "variant of the weights, for example fp16")
    dataset_name: str | None = option(None, "data set: hub id, folder, JSON list or parquet file")
    dataset_config_name: str | None = option(None, "configuration of a hub data set")
    train_data_dir: str | None = option(None, "data set as a folder of pictures; instead of --dataset_name")
    image_column: str = option("image", "column with the pictures")
    caption_column: str = option("text", "column with the captions")
    validation_prompt: str | None = option(None, "prompt drawn during training; several: separated by |")
    num_validation_images: int = option(4, "pictures drawn per validation prompt")
    validation_epochs: int = option(1, "draw validation pictures every so many epochs")
    max_train_samples: int | None = option(None, "use only so many pictures, chosen by the seed")
    output_dir: str = option("sd-model-finetuned-lora", "where everything is written")
    cache_dir: str | None = option(None, "where models and data sets of the hub are stored")
    seed: int | None = option(None, "decides everything random; None: drawn, and kept with the checkpoints")
    resolution: int | None = option(
        None, "side of the training pictures, px; None: the model's own (512 or 1024)"
    )
    center_crop: bool = option(False, "crop the middle instead of a random part")
    random_flip: bool = option(False, "mirror half of the pictures (text and logos become mirror writing)")
    train_batch_size: int = option(16, "pictures per step and process")
    num_train_epochs: int = option(100, "passes over the data, when --max_train_steps is not given")
    max_train_steps: int | None = option(None, "optimizer updates in all")
    gradient_accumulation_steps: int = option(1, "steps whose gradients are added up before an update")
    gradient_checkpointing: bool = option(False, "less memory, about a third more time")
    learning_rate: float = option(1e-4, "step size at the top of the schedule")
    scale_lr: bool = option(False, "multiply the learning rate by batch, accumulation and processes")
    lr_scheduler: str = option("constant", "shape of the learning rate over the run", SCHEDULES)
    lr_warmup_steps: int = option(500, "updates until the full learning rate (not used by constant)")
    snr_gamma: float | None = option(None, "min-SNR loss weighting (arXiv:2303.09556); 5 is usual")
    use_8bit_adam: bool = option(False, "same as --optimizer adamw8bit")
    allow_tf32: bool = option(False, "TF32 on Ampere and later: faster, less exact")
    dataloader_num_workers: int = option(0, "threads that decode pictures; 0: the main thread")
    adam_beta1: float = option(0.9, "Adam: decay of the first moment")
    adam_beta2: float = option(0.999, "Adam: decay of the second moment")
    adam_weight_decay: float = option(1e-2, "weight decay")
    adam_epsilon: float = option(1e-8, "Adam: epsilon")
    max_grad_norm: float = option(1.0, "gradients are scaled down to this norm; 0: never")
    push_to_hub: bool = option(False, "upload the finished LoRA to the hub")
    hub_token: str | None = option(None, "token for the upload; None: the one you are logged in with")
    hub_model_id: str | None = option(None, "name on the hub; None: the name of the output folder")
    prediction_type: str | None = option(
        None, "what the UNet predicts; None: as the model's files say", PREDICTION_TYPES
    )
    logging_dir: str = option("logs", "TensorBoard's folder, inside the output folder unless absolute")
    mixed_precision: str | None = option(
        None, "None: what `accelerate` was set to; where that is no, bf16 on a GPU", PRECISIONS
    )
    report_to: str = option("tensorboard", "tensorboard, wandb, comet_ml, all or none")
    local_rank: int = option(-1, "set by launchers; the environment decides")
    checkpointing_steps: int = option(500, "updates between checkpoints")
    checkpoints_total_limit: int | None = option(None, "keep only the newest so many; None: all")
    resume_from_checkpoint: str | None = option(
        None, "latest, a name, or a path; starts afresh where there is none"
    )
    enable_xformers_memory_efficient_attention: bool = option(False, "use xformers, which must be installed")
    enable_npu_flash_attention: bool = option(False, "use torch_npu's attention, which must be installed")
    noise_offset: float = option(0.0, "adds one random number per channel to the noise: darker darks; 0: off")
    rank: int = option(4, "rank of the LoRA")
    train_text_encoder: bool = option(
        False, "train a LoRA of the text encoders, too (switches the text cache off)"
    )
    debug_loss: bool = option(False, "log the loss of every picture under its name")
    image_interpolation_mode: str = option("lanczos", "how pictures are resized", tuple(INTERPOLATIONS))

    network_alpha: float | None = option(None, "strength of the LoRA is alpha / rank; None: alpha = rank")
    use_dora: bool = option(False, "weight-decomposed LoRA (arXiv:2402.09353)")
    lora_dropout: float = option(
        0.0, "share of the LoRA's inputs that every step leaves out (arXiv:2404.09610)"
    )
    text_encoder_lr: float | None = option(
        None, "learning rate of the text encoders' LoRA; None: --learning_rate"
    )
    shuffle_tags: bool = option(
        False, "another order of a caption's comma-separated tags in every step (no text cache)"
    )
    keep_tokens: int = option(0, "so many tags at the beginning stay where they are")
    lora_target: str = option("attention", "which layers get a LoRA", LORA_TARGETS)
    optimizer: str = option("adamw", "prodigy and schedulefree need packages of that name", OPTIMIZERS)
    debiased_estimation: bool = option(
        False, "loss weight 1/sqrt(SNR) (arXiv:2310.08442); not with --snr_gamma"
    )
    caption_dropout: float = option(
        0.0, "share of captions left out, so that guidance keeps working; 0.1 is usual"
    )
    use_ema: bool = option(False, "save a moving average of the LoRA instead of its last value")
    ema_decay: float = option(0.999, "decay of that average")
    base_precision: str = option("auto", "of the frozen model; auto: as --mixed_precision", BASE_PRECISIONS)
    aspect_ratio_buckets: bool = option(False, "train on sizes of the pictures' own shape instead of squares")
    crop_variants: int = option(4, "random crops kept per picture, without --center_crop")
    original_size: str = option(
        "true", "SDXL's original size: the picture's, or the training size", ("true", "target")
    )
    no_latent_cache: bool = option(False, "encode pictures in every step")
    no_text_cache: bool = option(False, "encode captions in every step")
    training_cache_dir: str | None = option(None, "None: cache/training under SDXL_LORA_HOME")
    compile: bool = option(False, "compile the UNet's blocks with torch.compile")
    cuda_graphs: bool = option(False, "on a GPU: start forward and backward pass as one; for small batches")
    validation_steps: int | None = option(None, "draw validation pictures every so many updates, not epochs")
    validation_split: float = option(
        0.0,
        "share of the pictures that is not trained on; their loss is measured whenever pictures are drawn",
    )
    trigger_words: str | None = option(None, "words that call the LoRA up; written into its metadata")
    start_from: str | None = option(
        None, "a LoRA to begin with: file, folder or hub id, any layout, any rank (another one by SVD)"
    )
    class_data_dir: str | None = option(
        None, "regularisation: a second data set, which shows what must stay as it is"
    )
    prior_loss_weight: float = option(1.0, "what its pictures count beside the others")
    prior_prediction: bool = option(
        False, "its right answer is the frozen model's own: nothing is learned from it, nothing drifts"
    )
    mask_dir: str | None = option(
        None, "folder of masks, PNGs named as the pictures: white is what counts, a logo for example"
    )
    unmasked_weight: float = option(0.1, "what the black parts of masks count beside the white ones")
    save_every_minutes: float | None = option(None, "a checkpoint also whenever so many minutes have passed")
    resume_strict: bool = option(False, "a checkpoint that is not there is an error")
    dry_run: bool = option(False, "say what would be done, and stop before loading weights")

    def __post_init__(self) -> None:
        for item in fields(self):
            choices, value = item.metadata["choices"], getattr(self, item.name)
            if choices and value is not None and value not in choices:
                raise RequestError(f"--{item.name} {value!r} is not one of {', '.join(choices)}")
        for name in _AT_LEAST_ONE:
            _check(name, getattr(self, name), 1, math.inf)
        for name in (
            "num_validation_images",
            "dataloader_num_workers",
            "lr_warmup_steps",
            "adam_weight_decay",
        ):
            _check(name, getattr(self, name), 0, math.inf)
        for name in (
            "adam_beta1",
            "adam_beta2",
            "caption_dropout",
            "ema_decay",
            "unmasked_weight",
            "lora_dropout",
            "validation_split",
        ):
            _check(name, getattr(self, name), 0, 1)
        for name in (
            "learning_rate",
            "max_grad_norm",
            "noise_offset",
            "adam_epsilon",
            "network_alpha",
            "snr_gamma",
            "prior_loss_weight",
            "save_every_minutes",
            "text_encoder_lr",
            "keep_tokens",
        ):
            _check(name, getattr(self, name), 0, math.inf)
        _check("seed", self.seed, 0, 2**63 - 1)
        self._check_combinations()

    def _check_combinations(self) -> None:
        if not self.pretrained_model_name_or_path:
            raise RequestError("no base model: give --pretrained_model_name_or_path, for example mini")
        if bool(self.dataset_name) == bool(self.train_data_dir):
            raise RequestError("give one data set: --dataset_name or --train_data_dir")
        if self.snr_gamma is not None and self.debiased_estimation:
            raise RequestError("--snr_gamma and --debiased_estimation both weight the loss; choose one")
        if self.prior_prediction and not self.class_data_dir:
            raise RequestError("--prior_prediction is about the pictures of --class_data_dir; give one")
        if self.prior_prediction and self.train_text_encoder:
            raise RequestError(
                "--prior_prediction needs frozen text encoders; leave it or --train_text_encoder out"
            )
        if self.start_from is not None and self.alpha == 0:
            raise RequestError("--network_alpha 0 lets nothing of --start_from through; choose another")
        if self.use_ema and self.optimizer == "schedulefree":
            raise RequestError("--optimizer schedulefree averages the weights itself; leave --use_ema out")
        if self.use_dora and self.base_precision == "int8":
            raise RequestError(
                "--use_dora needs the norms of plain weights; leave it or --base_precision int8 out"
            )
        if self.cuda_graphs and self.train_text_encoder:
            raise RequestError("--cuda_graphs records the UNet alone; leave it or --train_text_encoder out")
        self._check_added_flags()
        if self.use_8bit_adam and self.optimizer not in ("adamw", "adamw8bit"):
            raise RequestError(
                f"--use_8bit_adam and --optimizer {self.optimizer} are two optimizers; choose one"
            )

    def _check_added_flags(self) -> None:
        if self.lora_dropout == 1:
            raise RequestError("--lora_dropout 1 leaves nothing of the LoRA; 0.1 is usual")
        if self.lora_dropout and self.cuda_graphs:
            raise RequestError(
                "--cuda_graphs would leave out the same inputs in every step; leave it or --lora_dropout out"
            )
        if self.text_encoder_lr is not None and not self.train_text_encoder:
            raise RequestError("--text_encoder_lr is for --train_text_encoder; give both or neither")
        if self.text_encoder_lr is not None and self.optimizer == "prodigy":
            raise RequestError(
                "--optimizer prodigy finds one rate for all parameters; leave it or --text_encoder_lr out"
            )
        if self.keep_tokens and not self.shuffle_tags:
            raise RequestError("--keep_tokens is about --shuffle_tags; give both or neither")

    @property
    def text_cached(self) -> bool:
        """Whether captions are encoded once, and not anew in every step."""
        return not (self.no_text_cache or self.train_text_encoder or self.shuffle_tags)

    @property
    def dataset(self) -> str:
        """The data set, whichever flag named it."""
        return self.dataset_name or self.train_data_dir or ""

    @property
    def alpha(self) -> float:
        """The LoRA's alpha, decided."""
        return float(self.rank) if self.network_alpha is None else self.network_alpha

    @property
    def validation_prompts(self) -> tuple[str, ...]:
        """The prompts drawn during training."""
        return tuple(p.strip() for p in (self.validation_prompt or "").split("|") if p.strip())


_AT_LEAST_ONE = (
    "validation_epochs",
    "max_train_samples",
    "resolution",
    "train_batch_size",
    "num_train_epochs",
    "max_train_steps",
    "gradient_accumulation_steps",
    "checkpointing_steps",
    "checkpoints_total_limit",
    "rank",
    "crop_variants",
    "validation_steps",
)


def _check(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not (math.isfinite(value) and low <= value <= high):
        limits = f"between {low} and {high}" if math.isfinite(high) else f"{low} or more"
        raise RequestError(f"--{name} {value} is not {limits}")
