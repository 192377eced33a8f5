"""What a run is going to do, in lines for a person: the answer to `--dry_run`, and the head of every log."""

from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path

from sdxl_lora.training import export, optimizers
from sdxl_lora.training.config import TrainingConfig
from sdxl_lora.training.estimates import Estimate
from sdxl_lora.training.events import Saved, Validated, ValidationLoss
from sdxl_lora.training.setup import Setup, epochs, gigabytes
from sdxl_lora.training.text import token_count


def summary(setup: Setup) -> Iterator[str]:
    """Model, data and schedule in a few lines."""
    config, data_index, source = setup.config, setup.data_index, setup.data_index.source
    kind = "SDXL" if setup.base.architecture == "sdxl" else "Stable Diffusion 1.x"
    yield f"model      {config.pretrained_model_name_or_path}: {kind}, predicts {setup.prediction_type}"
    yield f"data       {source.name} ({source.kind}): {len(data_index)} pictures, {len(data_index.captions)} captions"
    if data_index.num_instance_images < data_index.trained:
        how = ", answered as the frozen model does" if config.prior_prediction else ""
        yield (
            f"regular    {data_index.trained - data_index.num_instance_images} of them from {config.class_data_dir}, "
            f"weight {config.prior_loss_weight:g}{how}"
        )
    if data_index.masks is not None:
        yield (
            f"masks      {len(data_index.masks.paths)} of {data_index.num_instance_images} pictures have one "
            f"in {config.mask_dir}; "
            f"the rest of them counts {config.unmasked_weight:g}"
        )
    if data_index.held_out:
        yield f"held out   {data_index.held_out} of them are not trained on: they give the validation loss"
    if source.licence:
        yield f"licence    the data set is under {source.licence}; it binds what is trained on it"
    yield (
        f"run        {setup.total} updates in {_count(epochs(setup), 'epoch')} of {setup.sampler.updates_per_epoch}, "
        f"{config.train_batch_size} x {config.gradient_accumulation_steps} pictures in each of "
        f"{_count(setup.accelerator.num_processes, 'process', 'processes')}, at {setup.resolution} px, "
        f"seed {setup.seed}"
    )
    yield (
        f"LoRA       rank {config.rank}, alpha {config.alpha:g}, {config.lora_target}; "
        f"{optimizers.name_of(config)} at {setup.learning_rate:g}, {config.lr_scheduler}"
    )
    mixed = setup.accelerator.mixed_precision
    yield (
        f"precision  {'fp32' if mixed == 'no' else f'mixed {mixed}'} on {setup.accelerator.device}, "
        f"frozen base in {_base(setup)}, LoRA in fp32"
    )
    if source.left_out:
        yield f"warning    {len(source.left_out)} files of {source.name} are left out; check-data says which and why"
    upscaled = data_index.upscaled()
    if upscaled:
        yield (
            f"warning    {upscaled} of {data_index.trained} pictures are smaller than they are trained at: "
            "they are enlarged"
        )
    short = sum(count < config.train_batch_size for _, count in data_index.bucket_table())
    if short:
        yield f"warning    {short} sizes have fewer pictures than a batch: their batches are short, none is left out"
    cut = _too_long(setup)
    if cut:
        yield f"warning    {cut} of {len(data_index.captions)} captions are longer than the text encoder and are cut"


def dry_run(setup: Setup, estimate: Estimate) -> Iterator[str]:
    """Everything that can be said without weights."""
    yield from summary(setup)
    yield "buckets    " + ", ".join(f"{w}x{h}: {n}" for (h, w), n in setup.data_index.bucket_table())
    yield (
        f"memory     at least {gigabytes(estimate.memory)}: frozen UNet {gigabytes(estimate.weights)}, "
        f"{estimate.trained_parameters:,} trained parameters {gigabytes(estimate.trained)}, "
        f"activations {gigabytes(estimate.activations)}; "
        f"before that, while encoding, at least {gigabytes(estimate.caching)}"
    )
    yield f"disk       caches {gigabytes(estimate.cache)} in {setup.cache_dir}"
    yield (
        f"time       at least {duration(estimate.seconds)} "
        f"({estimate.flops / 1e12:.3g} TFLOP per picture at this machine's measured rate), caching not counted"
    )
    yield (
        f"goes on    from {setup.checkpoint.path}"
        if setup.checkpoint
        else "goes on    from nothing: a new run"
    )
    yield "settings"
    changed = dict(settings(setup.config))
    for name, value in asdict(setup.config).items():
        if name != "hub_token":
            yield f"  {name} = {value}" + ("" if name in changed else "  (default)")


def validated(event: Validated, folder: Path) -> str:
    """Where the pictures are, and how they score."""
    score = f", mean score {sum(event.scores) / len(event.scores):.4f}" if event.scores else ""
    pictures = _count(len(event.images), "picture")
    return f"validation {pictures} after {event.step} updates, in {folder / 'validation'}{score}"


def validation_loss(event: ValidationLoss) -> str:
    """The validation loss in one line."""
    when = f"after {event.step} updates" if event.step else "before the first update"
    return f"validation loss {event.loss:.5f} {when}, on {_count(event.pictures, 'picture')}"


def saved(event: Saved, config: TrainingConfig, seconds: float) -> Iterator[str]:
    """A checkpoint in one line; at the end, what is where."""
    if not event.finished:
        yield f"saved      {event.path}"
        return
    yield f"finished   after {duration(seconds)}: {event.path}"
    yield f"             {export.DIFFUSERS_NAME:40} diffusers and this studio"
    yield f"             {export.KOHYA_NAME:40} ComfyUI, AUTOMATIC1111"
    if config.validation_prompts:
        yield f"             {'samples.jpg, validation/':40} what it draws now, and drew on the way"
    yield "             the studio's page Training (make run) shows the curves and takes the LoRA over"


def settings(config: TrainingConfig) -> list[tuple[str, object]]:
    """Settings that are not at their defaults, in the order of `--help`; never the token."""
    values = asdict(config)
    return [
        (item.name, values[item.name])
        for item in fields(config)
        if values[item.name] != item.default and item.name != "hub_token"
    ]


def duration(seconds: float) -> str:
    """3 h 05 min, 12 min, 41 s."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min" if minutes else f"{rest} s"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _base(setup: Setup) -> str:
    plain = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}[
        str(setup.dtype).removeprefix("torch.")
    ]
    return f"int8 (computes in {plain})" if setup.config.base_precision == "int8" else plain


def _too_long(setup: Setup) -> int:
    tokenizers = setup.base.tokenizers()
    return sum(
        any(token_count(tokenizer, caption) > tokenizer.model_max_length for tokenizer in tokenizers)
        for caption in setup.data_index.captions
    )
