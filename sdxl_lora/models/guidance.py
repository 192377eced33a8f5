"""Classifier-free guidance on the first part of the way only (arXiv 2404.07724).

Guidance decides what a picture shows while there is much noise. Later it only exaggerates what the model is unsure of:
flat cloth and backgrounds of a small model come out mottled. Without it a step also costs half.
"""

from collections.abc import Mapping
from typing import Any

from diffusers import DiffusionPipeline
from torch import Tensor

_DOUBLED = (
    "prompt_embeds",
    "add_text_embeds",
    "add_time_ids",
)  # in a guided step: the negative side, then the prompt's


def arguments(pipeline: DiffusionPipeline, scale: float, end: float) -> dict[str, Any]:
    """What a call of `pipeline` takes for guidance of this scale up to `end`, where it needs no callback of its own."""

    def switch(
        running: DiffusionPipeline, step: int, _: float, tensors: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        return after_step(running, step, tensors, end)

    return {
        "guidance_scale": scale_at(pipeline, first_timestep(pipeline), scale, end),
        "callback_on_step_end": switch,
        "callback_on_step_end_tensor_inputs": wanted_tensors(pipeline),
    }


def wanted_tensors(pipeline: DiffusionPipeline) -> list[str]:
    """What `after_step` needs of the pipeline: the `callback_on_step_end_tensor_inputs` of its call."""
    return [name for name in ("latents", *_DOUBLED) if name in pipeline._callback_tensor_inputs]


def first_timestep(pipeline: DiffusionPipeline) -> int:
    """The noisiest timestep there is, where an even way starts."""
    return int(pipeline.scheduler.config.num_train_timesteps) - 1


def scale_at(pipeline: DiffusionPipeline, timestep: float, scale: float, end: float) -> float:
    """`scale` where a step from `timestep` is guided, else 1; `end` is the share of the way with guidance, 0..1."""
    return scale if timestep >= (1 - end) * (first_timestep(pipeline) + 1) else 1.0


def after_step(
    running: DiffusionPipeline, step: int, tensors: Mapping[str, Tensor], end: float
) -> dict[str, Tensor]:
    """Switches guidance off if the step after `step` is not guided; the tensors that the pipeline goes on with.

    The way diffusers' guide on callbacks describes it ("Dynamic classifier-free guidance").
    """
    timesteps = running.scheduler.timesteps
    if step + 1 >= len(timesteps) or not running.do_classifier_free_guidance:
        return {}
    if scale_at(running, float(timesteps[step + 1]), running.guidance_scale, end) > 1:
        return {}
    running._guidance_scale = 1.0
    return {name: tensors[name].chunk(2)[1] for name in _DOUBLED if name in tensors}
