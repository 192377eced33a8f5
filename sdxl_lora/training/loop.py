"""The training loop: a generator of events. It logs and draws nothing itself, and prints nothing.

One update: for every step of the update a batch, its loss, its gradients; then one sum over all processes,
clipping, one optimizer step. The learning rate, the data order and every random number are functions of the
update's number, so a run that goes on from a checkpoint is the run that was never interrupted.
"""

import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor
from torch.nn import Parameter

from sdxl_lora.errors import TrainingError
from sdxl_lora.training import (
    checkpoints,
    components,
    cuda_graph,
    export,
    held_out,
    optimizers,
    out_of_memory,
    prefetch,
    schedule,
    validation,
)
from sdxl_lora.training.batch_sampler import Update
from sdxl_lora.training.components import Components
from sdxl_lora.training.ema import MovingAverage
from sdxl_lora.training.events import Event, Saved, Started, StepRecord, Validated, ValidationLoss
from sdxl_lora.training.loss import denoising_loss
from sdxl_lora.training.prefetch import StepInputs
from sdxl_lora.training.setup import Setup

Scorer = Callable[[Sequence[Image.Image], Sequence[str]], list[float]]


@dataclass(kw_only=True)
class _State:
    """What an update changes."""

    setup: Setup
    parts: Components
    optimizer: torch.optim.Optimizer
    rates: tuple[float, ...]  # the full learning rate of every group of the optimizer
    scaler: torch.amp.GradScaler
    backward: cuda_graph.Backward
    average: MovingAverage | None
    saved: float = field(default_factory=time.monotonic)  # seconds, when the newest checkpoint was complete
    applied: int = 0  # updates that changed the weights; fp16 overflows do not

    @contextmanager
    def finished_weights(self) -> Iterator[None]:
        """Inside, the LoRA is as it is to be used: averaged, if asked for."""
        adapter = self.parts.adapter
        if self.average is not None:
            averaged: AbstractContextManager[None] = self.average.applied()
        else:
            averaged = optimizers.averaged(self.optimizer, adapter.parameters())
        try:
            with averaged:
                adapter.refresh()
                yield
        finally:
            adapter.refresh()

    def to_dict(self) -> dict[str, Any]:
        adapter = {
            name: parameter.detach().cpu().clone()
            for name, parameter in self.parts.adapter.named_parameters()
        }
        return {
            "parameters": adapter,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.state() if self.average else {},
            "average_updates": self.average.updates if self.average else 0,
            "applied": self.applied,
        }

    def load(self, values: dict[str, Any]) -> None:
        with torch.no_grad():
            for name, parameter in self.parts.adapter.named_parameters():
                parameter.copy_(values["parameters"][name])
        self.parts.adapter.refresh()
        self.optimizer.load_state_dict(values["optimizer"])
        self.scaler.load_state_dict(values["scaler"])
        if self.average is not None:
            self.average.load_state(values["average"], values["average_updates"])
        self.applied = values["applied"]


def train(
    setup: Setup, score: Scorer | None = None, stop: Callable[[], bool] = lambda: False
) -> Iterator[Event]:
    """Runs `setup` to its end, or to the end of the update in which `stop` is true in any process: what was learned is
    saved then. `score` gives each validation picture a number (its CLIP score, say).

    Raises `StorageError` when a checkpoint cannot be written, `TrainingError` when memory runs out or the gradients are
    not finite; what was saved before stays.
    """
    with out_of_memory.explained(setup):
        yield from _train(setup, score, stop)


def _train(setup: Setup, score: Scorer | None, stop: Callable[[], bool]) -> Iterator[Event]:
    config, accelerator = setup.config, setup.accelerator
    parts = yield from _load(setup)
    state = _make_state(setup, parts)
    start = 0
    if setup.checkpoint is not None:
        state.load(setup.checkpoint.state())
        start = setup.checkpoint.step
    yield Started(
        start=start,
        total=setup.total,
        updates_per_epoch=setup.sampler.updates_per_epoch,
        trained_parameters=sum(parameter.numel() for parameter in parts.adapter.parameters()),
    )
    if setup.data_index.held_out and start == 0:
        yield _validation_loss(state, 0)
    samples: tuple[int, tuple[Image.Image, ...]] | None = None
    for update, steps in prefetch.of_updates(setup, parts.builder, parts.scheduler, start):
        record, stopping, due = _update(state, update, steps, stop)
        yield record
        step = update.index + 1
        last = step == setup.total
        validated = last or (_validation_due(setup, update) and not stopping)
        if validated and setup.data_index.held_out:
            yield _validation_loss(state, step)
        if validated and config.validation_prompts and accelerator.is_main_process:
            drawn = _validate(state, step, score)
            samples = (step, drawn.images)
            yield drawn
        if last or stopping or due or step % config.checkpointing_steps == 0:
            if accelerator.is_main_process:
                pictures = samples[1] if samples and samples[0] == step else ()
                yield Saved(step=step, path=_save(state, step, pictures))
            accelerator.wait_for_everyone()
            state.saved = time.monotonic()
        if stopping and not last:
            return
    if accelerator.is_main_process:
        _finish(state, max(start, setup.total), samples[1] if samples else ())
        yield Saved(step=max(start, setup.total), path=setup.output_dir, finished=True)
    accelerator.wait_for_everyone()


def _load(setup: Setup) -> Generator[Event, None, Components]:
    for item in components.load(setup):
        if isinstance(item, Components):
            return item
        yield item
    raise RuntimeError("components.load ended without components")


def _make_state(setup: Setup, parts: Components) -> _State:
    config = setup.config
    groups = optimizers.groups(config, parts.adapter.named_parameters(), setup.learning_rate)
    optimizer = optimizers.build(config, groups)
    device = setup.accelerator.device.type
    scaler = torch.amp.GradScaler(device, enabled=setup.accelerator.mixed_precision == "fp16")
    return _State(
        setup=setup,
        parts=parts,
        optimizer=optimizer,
        rates=tuple(float(group["lr"]) for group in groups),
        scaler=scaler,
        backward=_backward(setup, parts, scaler),
        average=MovingAverage(parts.adapter.named_parameters(), config.ema_decay) if config.use_ema else None,
    )


def _update(
    state: _State, update: Update, steps: Iterable[StepInputs], stop: Callable[[], bool]
) -> tuple[StepRecord, bool, bool]:
    """One optimizer update; whether any process is to stop, and whether a checkpoint is due by the clock."""
    setup, parts, optimizer = state.setup, state.parts, state.optimizer
    config, accelerator = setup.config, setup.accelerator
    began = time.perf_counter()
    learning_rate = _set_learning_rate(state)
    parts.adapter.zero_gradients()
    loss = torch.zeros((), device=accelerator.device)
    named: list[tuple[str, float]] = []
    for inputs in steps:
        weight = torch.tensor(inputs.part.weight).to(accelerator.device, non_blocking=True)
        losses = state.backward(inputs, weight)
        parts.adapter.take_gradients()
        loss += losses.mean() * weight
        if config.debug_loss and inputs.part.weight:
            named += zip(inputs.batch.keys, losses.tolist(), strict=True)
    parameters = parts.adapter.parameters()
    sum_gradients(parameters, accelerator)
    state.scaler.unscale_(optimizer)
    length = torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm or math.inf)
    wishes = torch.tensor([float(stop()), float(_save_due(state))]).to(loss.device, non_blocking=True)
    sums = accelerator.reduce(torch.cat([loss[None], wishes]), "sum")
    total, stopping, due, norm = torch.cat([sums, length[None]]).tolist()  # the one wait of an update
    if not math.isfinite(norm) and not state.scaler.is_enabled():  # the scaler leaves such updates out
        raise TrainingError(
            f"the gradients of update {update.index + 1} are not finite; what was saved before is good: "
            "go on from there with a lower --learning_rate in another --output_dir"
        )
    state.scaler.step(optimizer)
    state.scaler.update()
    skipped = not math.isfinite(norm)  # to ask the scaler would wait for the GPU
    parts.adapter.refresh()
    if not skipped:
        state.applied += 1
        if state.average is not None:
            state.average.update()
    record = StepRecord(
        step=update.index + 1,
        epoch=update.epoch,
        loss=total,
        learning_rate=learning_rate,
        grad_norm=norm,
        pictures=update.pictures,
        seconds=time.perf_counter() - began,
        skipped=skipped,
        losses=tuple(named),
    )
    return record, stopping > 0, due > 0


def _save_due(state: _State) -> bool:
    """By the clock of the main process."""
    minutes = state.setup.config.save_every_minutes
    late = minutes is not None and time.monotonic() - state.saved >= 60 * minutes
    return late and state.setup.accelerator.is_main_process


def _backward(setup: Setup, parts: Components, scaler: torch.amp.GradScaler) -> cuda_graph.Backward:
    """A function that computes the losses of a step and leaves the gradients of their weighted mean."""
    config = setup.config

    def backward(inputs: StepInputs, weight: Tensor) -> Tensor:
        with inputs.rng.dropout(config.lora_dropout, setup.accelerator.device):
            with setup.autocast():
                losses = denoising_loss(
                    parts.unet,
                    parts.scheduler,
                    inputs.batch,
                    inputs.noise,
                    inputs.timesteps,
                    dtype=setup.dtype,
                    snr_gamma=config.snr_gamma,
                    debiased=config.debiased_estimation,
                    prior_weight=config.prior_loss_weight,
                    without_lora=parts.adapter.off if config.prior_prediction else None,
                )
            scaler.scale(losses.mean() * weight).backward()
        return losses.detach()

    return cuda_graph.GraphedBackward(backward, parts.adapter.copies) if config.cuda_graphs else backward


def sum_gradients(parameters: Sequence[Parameter], accelerator: Accelerator) -> None:
    """Replaces every gradient by its sum over all processes, in one exchange of a few MB.

    The losses are weighted so that this sum is the gradient of the mean over the update's pictures.
    """
    if accelerator.num_processes == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]), "sum")
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def _set_learning_rate(state: _State) -> float:
    config, setup = state.setup.config, state.setup
    if optimizers.name_of(config) == "schedulefree":  # has its own warm-up
        return setup.learning_rate
    for group, rate in zip(state.optimizer.param_groups, state.rates, strict=True):
        group["lr"] = rate * schedule.factor(
            config.lr_scheduler,
            state.applied,
            warmup=config.lr_warmup_steps,
            total=setup.total,
            base=rate,
        )
    return float(state.optimizer.param_groups[0]["lr"])


def _validation_due(setup: Setup, update: Update) -> bool:
    if setup.config.validation_steps is not None:
        return (update.index + 1) % setup.config.validation_steps == 0
    return update.last_of_epoch and (update.epoch + 1) % setup.config.validation_epochs == 0


def _validation_loss(state: _State, step: int) -> ValidationLoss:
    with state.finished_weights() if step else nullcontext():
        value = held_out.loss(state.setup, state.parts)
    return ValidationLoss(step=step, loss=value, pictures=state.setup.data_index.held_out)


def _validate(state: _State, step: int, score: Scorer | None) -> Validated:
    with state.finished_weights():
        prompts, images = validation.draw(state.setup, state.parts)
    scores = tuple(score(images, prompts)) if score and images else ()
    return Validated(step=step, prompts=prompts, images=images, scores=scores)


def _save(state: _State, step: int, samples: tuple[Image.Image, ...]) -> Path:
    setup = state.setup
    path = checkpoints.save(
        setup.output_dir,
        step,
        state.to_dict(),
        setup.identity,
        lambda folder: _export(state, step, samples, folder),
    )
    checkpoints.rotate(setup.output_dir, setup.config.checkpoints_total_limit, step)
    return path


def _finish(state: _State, step: int, samples: tuple[Image.Image, ...]) -> None:
    """The finished LoRA, at the top of the output folder; every file appears at once or not at all."""
    folder = state.setup.output_dir
    with checkpoints.replaced_together(folder) as work:
        _export(state, step, samples, work, sheet=(folder / validation.SHEET_NAME).is_file())


def _export(
    state: _State, step: int, samples: tuple[Image.Image, ...], folder: Path, *, sheet: bool = False
) -> None:
    """`sheet`: a run that was finished before has its sample sheet."""
    adapter = state.parts.adapter
    facts = facts_of(state.setup, step, int(adapter.parts["unet"].config.layers_per_block))
    with state.finished_weights() if step else nullcontext():
        export.write_lora(folder, adapter.state(), adapter.metadata(), facts)
    sample = validation.SHEET_NAME if sheet else None
    if samples:
        sample = validation.save_sheet(samples, state.setup.config.num_validation_images, folder)
    export.write_notes(folder, state.setup.config, facts, sample)


def facts_of(setup: Setup, step: int, layers_per_block: int) -> export.LoraFacts:
    """What the files say about the LoRA."""
    config = setup.config
    return export.LoraFacts(
        title=setup.output_dir.resolve().name,
        architecture=setup.base.architecture,
        base_model=export.public_name(config.pretrained_model_name_or_path),
        dataset=export.public_name(config.dataset),
        licence=setup.data_index.source.licence,
        pictures=setup.data_index.trained,
        resolution=setup.resolution,
        rank=config.rank,
        alpha=config.alpha,
        prediction_type=setup.prediction_type,
        layers_per_block=layers_per_block,
        seed=setup.seed,
        step=step,
        trigger_words=config.trigger_words,
        tags=export.tag_frequency(setup.data_index.source.captions[: setup.data_index.num_instance_images]),
    )
