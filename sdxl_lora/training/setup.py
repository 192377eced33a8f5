"""Everything that is decided before weights are loaded: model facts, data, order, precision, where to go on.

All bad input that can be found without weights is found here, so a wrong run ends in its first second.
"""

import math
import os
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import DistributedType, broadcast_object_list
from diffusers.utils import is_torch_npu_available, is_xformers_available

from sdxl_lora.config import home
from sdxl_lora.data.sources import Source, open_source
from sdxl_lora.errors import InputError, StorageError
from sdxl_lora.training import base_model, checkpoints, identity, optimizers, starting
from sdxl_lora.training.base_model import BaseModel
from sdxl_lora.training.batch_sampler import BatchSampler
from sdxl_lora.training.checkpoints import Checkpoint
from sdxl_lora.training.config import TrainingConfig
from sdxl_lora.training.dataset_index import DatasetIndex, index_dataset
from sdxl_lora.training.starting import StartingPoint

_DTYPES = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_BASE_DTYPES = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "int8": None,
    "auto": None,
}
_SHARDING = {
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
}  # set by `accelerate launch`
_SUPPORTED = (DistributedType.NO, DistributedType.MULTI_GPU, DistributedType.MULTI_CPU)


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A run that can start."""

    config: TrainingConfig
    accelerator: Accelerator
    base: BaseModel
    data_index: DatasetIndex
    sampler: BatchSampler
    resolution: int  # px
    seed: int
    total: int  # updates in all
    learning_rate: float  # scaled, if asked for
    prediction_type: str
    identity: dict[str, Any]
    checkpoint: Checkpoint | None
    start: StartingPoint | None = None  # the LoRA whose weights the run begins with

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the frozen weights, as far as it is a plain one."""
        return _BASE_DTYPES[self.config.base_precision] or _DTYPES[self.accelerator.mixed_precision]

    @property
    def compute(self) -> torch.dtype:
        """Precision of the LoRA's products: that of the frozen weights where the run is in half precision anyway."""
        mixed = self.accelerator.mixed_precision
        return self.dtype if mixed != "no" and self.dtype == _DTYPES[mixed] else torch.float32

    def autocast(self) -> AbstractContextManager[None]:
        """To be entered around the model. Nothing has to be cast where everything is in half precision."""
        return nullcontext() if self.compute != torch.float32 else self.accelerator.autocast()

    @property
    def cache_dir(self) -> Path:
        return Path(self.config.training_cache_dir or home() / "cache" / "training").expanduser()

    @property
    def output_dir(self) -> Path:
        return Path(self.config.output_dir).expanduser()


def prepare(config: TrainingConfig, warn: Callable[[str], None]) -> Setup:
    """Decides everything. `warn` takes one line at a time. Raises the errors of `sdxl_lora.errors`."""
    accelerator = make_accelerator(config, warn)
    optimizers.require_package(config, accelerator.device)
    check_attention(config)
    check_graphs(config, accelerator)
    folder = base_model.locate(
        config.pretrained_model_name_or_path, revision=config.revision, cache_dir=config.cache_dir
    )
    vae = config.pretrained_vae_model_name_or_path
    base = base_model.describe(
        config.pretrained_model_name_or_path,
        folder,
        vae=base_model.locate_vae(vae) if vae else None,
        variant=config.variant,
    )
    if base.quantised:
        config = _quantised(config)
    prediction_type = config.prediction_type or base.prediction_type
    _check_model(config, base, prediction_type)
    resolution = config.resolution or base.side
    source = open_data(config)
    checkpoint = _find_checkpoint(config, accelerator, warn)
    start = starting.find(config, base)
    if start is not None and checkpoint is not None:
        warn(
            f"goes on from {checkpoint.path.name}: --start_from is where that run began, and is not loaded again"
        )
    seed = _decide_seed(config, checkpoint)
    found = index_dataset(
        source,
        config,
        resolution=resolution,
        multiple=base.multiple,
        seed=seed,
        regular=open_data(config, config.class_data_dir) if config.class_data_dir else None,
    )
    sampler = BatchSampler(
        groups=found.groups[: found.trained],
        batch_size=config.train_batch_size,
        accumulation=config.gradient_accumulation_steps,
        world_size=accelerator.num_processes,
        seed=seed,
    )
    total = config.max_train_steps or config.num_train_epochs * sampler.updates_per_epoch
    config = replace(
        config, learning_rate=optimizers.rate(config, warn)
    )  # what is shown and kept is what is used
    learning_rate = config.learning_rate * (_pictures_per_update(sampler) if config.scale_lr else 1)
    who = identity.of_run(
        config,
        base,
        found,
        seed=seed,
        resolution=resolution,
        learning_rate=learning_rate,
        prediction_type=prediction_type,
        total=total,
        precision=accelerator.mixed_precision,
        world_size=accelerator.num_processes,
        start=start,
    )
    if checkpoint is not None:
        checkpoints.require_same(checkpoint, who)
    return Setup(
        config=config,
        accelerator=accelerator,
        base=base,
        data_index=found,
        sampler=sampler,
        resolution=resolution,
        seed=seed,
        total=total,
        learning_rate=learning_rate,
        prediction_type=prediction_type,
        identity=who,
        checkpoint=checkpoint,
        start=start,
    )


def _find_checkpoint(
    config: TrainingConfig, accelerator: Accelerator, warn: Callable[[str], None]
) -> Checkpoint | None:
    """The checkpoint to go on from, in an output folder that can be written and holds nothing half-done."""
    folder = Path(config.output_dir).expanduser()
    require_writable(folder)
    if accelerator.is_main_process and not config.dry_run:
        checkpoints.clean(folder)
    accelerator.wait_for_everyone()
    return checkpoints.find(config.resume_from_checkpoint, folder, strict=config.resume_strict, warn=warn)


def make_accelerator(config: TrainingConfig, warn: Callable[[str], None]) -> Accelerator:
    """The accelerator as launched. fp16 without a GPU becomes fp32, and says so; a GPU trains in half precision unless
    the flag says otherwise.
    """
    wanted = config.mixed_precision or os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if config.mixed_precision is None and wanted == "no" and torch.cuda.is_available():
        # accelerate says "no" also where nobody was asked
        wanted = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
        warn(f"a GPU trains in {wanted}; --mixed_precision no trains in fp32, many times slower")
    if wanted == "fp16" and not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        warn("fp16 needs a GPU and there is none; training in fp32")
        wanted = "no"
    if wanted not in _DTYPES:
        raise InputError(f"accelerate is set to mixed precision {wanted}; use no, fp16 or bf16")
    _unshard(warn)
    logs = Path(config.output_dir).expanduser() / Path(config.logging_dir).expanduser()
    names = trackers(config.report_to, warn)
    accelerator = Accelerator(mixed_precision=wanted, log_with=names or None, project_dir=logs)
    if accelerator.distributed_type not in _SUPPORTED:
        raise InputError(
            f"accelerate is set to {accelerator.distributed_type.value}; a LoRA needs plain data parallelism "
            "(run `accelerate config` again): its base is frozen, and only a few MB are exchanged"
        )
    return accelerator


def _unshard(warn: Callable[[str], None]) -> None:
    """Under an FSDP or DeepSpeed configuration the same processes train with plain data parallelism.

    Both shard gradients and optimizer state, which for a LoRA are a few MB.
    """
    for variable, name in _SHARDING.items():
        if os.environ.get(variable, "false").lower() == "true":
            os.environ[variable] = "false"
            warn(
                f"accelerate is set to {name}; a LoRA has a few MB to shard, so every process keeps the frozen base "
                "(less memory: --base_precision int8, --gradient_checkpointing)"
            )


def trackers(report_to: str, warn: Callable[[str], None]) -> list[str]:
    """Names of the trackers to use. TensorBoard, the default, may be missing; others were asked for."""
    available = [tracker.value for tracker in get_available_trackers()]
    if report_to == "none":
        return []
    if report_to == "all":
        return available
    if report_to in available:
        return [report_to]
    if report_to == "tensorboard":
        warn("TensorBoard is not installed; the curves are in metrics.jsonl only")
        return []
    raise InputError(
        f"--report_to {report_to}: no such tracker here; installed: {', '.join([*available, 'none'])}"
    )


def check_graphs(config: TrainingConfig, accelerator: Accelerator) -> None:
    """Raises `InputError` where passes cannot be recorded."""
    half = config.base_precision in ("auto", "int8") and accelerator.mixed_precision != "no"
    if config.cuda_graphs and not (accelerator.device.type == "cuda" and half):
        raise InputError("--cuda_graphs needs a CUDA GPU and --mixed_precision bf16 or fp16; leave it out")


def check_attention(config: TrainingConfig) -> None:
    """Raises `InputError` when an attention that was asked for is not installed."""
    if config.enable_xformers_memory_efficient_attention and not is_xformers_available():
        raise InputError(
            "--enable_xformers_memory_efficient_attention needs xformers, which is not installed; leave it out: "
            "PyTorch's own attention is as fast"
        )
    if config.enable_npu_flash_attention and not is_torch_npu_available():
        raise InputError("--enable_npu_flash_attention needs an Ascend NPU and torch_npu; leave it out")


def open_data(config: TrainingConfig, name: str = "") -> Source:
    """The data set that the flags name, or another one that is read in the same way."""
    return open_source(
        name or config.dataset,
        image_column=config.image_column,
        caption_column=config.caption_column,
        config_name=config.dataset_config_name,
        cache_dir=config.cache_dir,
    )


def require_writable(folder: Path) -> None:
    """Raises `StorageError` unless files can be made in `folder`."""
    probe = folder / f".writable-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        raise StorageError(
            f"--output_dir {folder} cannot be written: {error.strerror}; choose another"
        ) from None


def _quantised(config: TrainingConfig) -> TrainingConfig:
    """A run on a model with int8 weights, which it keeps. Raises `InputError`, also where the run needs others."""
    if config.base_precision not in ("auto", "int8"):
        raise InputError(
            f"--base_precision {config.base_precision}: the weights of {config.pretrained_model_name_or_path} are"
            " int8; leave the flag out, or train on the model it was made from"
        )
    return replace(config, base_precision="int8")


def _check_model(config: TrainingConfig, base: BaseModel, prediction_type: str) -> None:
    weighted = config.snr_gamma is not None or config.debiased_estimation
    if weighted and base.zero_terminal_snr and prediction_type == "epsilon":
        raise InputError(
            "loss weighting divides by the SNR, which this model's schedule brings to 0: "
            "use --prediction_type v_prediction, or neither --snr_gamma nor --debiased_estimation"
        )


def _pictures_per_update(sampler: BatchSampler) -> int:
    return sampler.batch_size * sampler.accumulation * sampler.world_size


def _decide_seed(config: TrainingConfig, checkpoint: Checkpoint | None) -> int:
    """The given seed, the checkpoint's, or a drawn one that all processes share."""
    if config.seed is not None:
        return config.seed
    if checkpoint is not None:
        return int(checkpoint.identity["seed"])
    drawn = [secrets.randbits(31)]
    broadcast_object_list(drawn)
    return drawn[0]


def gigabytes(count: float) -> str:
    """For people: bytes as GB or MB."""
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def epochs(setup: Setup) -> int:
    """Passes over the data that the run makes, the last one perhaps in part."""
    return math.ceil(setup.total / setup.sampler.updates_per_epoch)
