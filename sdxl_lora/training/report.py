"""What a run is going to do, in lines for a person: the answer to `--dry_run`, and the head of every log."""

from collections.abc import Iterator
from dataclasses import asdict, fields

from sdxl_lora.training import optimizers
from sdxl_lora.training.config import TrainingConfig
from sdxl_lora.training.estimates import Estimate
from sdxl_lora.training.setup import Setup, epochs, gigabytes
from sdxl_lora.training.text import token_count


def summary(setup: Setup) -> Iterator[str]:
    """Model, data and schedule in a few lines."""
    config, survey, source = setup.config, setup.survey, setup.survey.source
    kind = "SDXL" if setup.base.architecture == "sdxl" else "Stable Diffusion 1.x"
    yield f"model      {config.pretrained_model_name_or_path}: {kind}, predicts {setup.prediction_type}"
    yield f"data       {source.name} ({source.kind}): {len(survey)} pictures, {len(survey.captions)} captions"
    if survey.own < len(survey):
        how = ", answered as the frozen model does" if config.prior_prediction else ""
        yield (
            f"regular    {len(survey) - survey.own} of them from {config.class_data_dir}, "
            f"weight {config.prior_loss_weight:g}{how}"
        )
    if source.licence:
        yield f"licence    the data set is under {source.licence}; it binds what is trained on it"
    yield (
        f"run        {setup.total} updates, {epochs(setup)} epochs of {setup.plan.updates_per_epoch}, "
        f"{config.train_batch_size} x {config.gradient_accumulation_steps} pictures x "
        f"{setup.accelerator.num_processes} processes at {setup.resolution} px, seed {setup.seed}"
    )
    yield (
        f"LoRA       rank {config.rank}, alpha {config.alpha:g}, {config.lora_target}; "
        f"{optimizers.name_of(config)} at {setup.learning_rate:g}, {config.lr_scheduler}"
    )
    yield f"precision  {setup.accelerator.mixed_precision} on {setup.accelerator.device}, frozen base in {_base(setup)}"
    upscaled = survey.upscaled()
    if upscaled:
        yield f"warning    {upscaled} of {len(survey)} pictures are smaller than they are trained at: they are enlarged"
    short = sum(count < config.train_batch_size for _, count in survey.bucket_table())
    if short:
        yield f"warning    {short} sizes have fewer pictures than a batch: their batches are short, none is left out"
    cut = _too_long(setup)
    if cut:
        yield f"warning    {cut} of {len(survey.captions)} captions are longer than the text encoder and are cut"


def dry_run(setup: Setup, estimate: Estimate) -> Iterator[str]:
    """Everything that can be said without weights."""
    yield from summary(setup)
    yield "buckets    " + ", ".join(f"{w}x{h}: {n}" for (h, w), n in setup.survey.bucket_table())
    yield (
        f"memory     at least {gigabytes(estimate.memory)}: frozen UNet {gigabytes(estimate.weights)}, "
        f"{estimate.trained_parameters:,} trained parameters {gigabytes(estimate.trained)}, "
        f"activations {gigabytes(estimate.activations)}"
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


def _base(setup: Setup) -> str:
    plain = str(setup.dtype).removeprefix("torch.")
    return f"int8 (computes in {plain})" if setup.config.base_precision == "int8" else plain


def _too_long(setup: Setup) -> int:
    tokenizers = setup.base.tokenizers()
    return sum(
        any(token_count(tokenizer, caption) > tokenizer.model_max_length for tokenizer in tokenizers)
        for caption in setup.survey.captions
    )
