"""Classifier-free guidance on the first part of the way only (arXiv 2404.07724).

Guidance decides what a picture shows while there is much noise. Later it only exaggerates what the model is unsure of:
flat cloth and backgrounds of a small model come out mottled. Without it a step also costs half.
"""

from collections.abc import Mapping
from typing import Any

from diffusers import DiffusionPipeline
from torch import Tensor

from sdxl_lora.models import pipeline_internals

_CFG_BATCHED = (
    "prompt_embeds",
    "add_text_embeds",
    "add_time_ids",
    "mask",
    "masked_image_latents",
)  # in a guided step: the negative side, then the prompt's


def arguments(pipeline: DiffusionPipeline, scale: float, end: float) -> dict[str, Any]:
    """What a call of `pipeline` takes for guidance of this scale up to `end`, where it needs no callback of its own."""
    switch = Switch(end)

    def after_step(
        running: DiffusionPipeline, step: int, _: object, tensors: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        return switch(running, step, tensors)

    return {
        "guidance_scale": scale_at(pipeline, first_timestep(pipeline), scale, end),
        "callback_on_step_end": after_step,
        "callback_on_step_end_tensor_inputs": wanted_tensors(pipeline),
    }


def wanted_tensors(pipeline: DiffusionPipeline) -> list[str]:
    """What a `Switch` needs of the pipeline: the `callback_on_step_end_tensor_inputs` of its call."""
    offered = pipeline_internals.callback_tensors(pipeline)
    return [name for name in ("latents", *_CFG_BATCHED) if name in offered]


def first_timestep(pipeline: DiffusionPipeline) -> int:
    """The noisiest timestep there is, where an even way starts."""
    return int(pipeline.scheduler.config.num_train_timesteps) - 1


def scale_at(pipeline: DiffusionPipeline, timestep: float, scale: float, end: float) -> float:
    """`scale` where a step from `timestep` is guided, else 1; `end` is the share of the way with guidance, 0..1."""
    return scale if timestep >= (1 - end) * (first_timestep(pipeline) + 1) else 1.0


class Switch:
    """Switches guidance off in one call of a pipeline, where the share `end` of its way is done.

    The way diffusers' guide on callbacks describes it ("Dynamic classifier-free guidance"). The timesteps lie on the
    pipeline's device: they are read once, because every reading waits for a GPU to finish what it was given.
    """

    def __init__(self, end: float) -> None:
        self._end = end
        self._timesteps: list[float] | None = None

    def __call__(
        self, running: DiffusionPipeline, step: int, tensors: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """To be called after every step; the tensors that the pipeline goes on with."""
        if self._end >= 1 or not running.do_classifier_free_guidance:
            return {}
        if self._timesteps is None:
            self._timesteps = running.scheduler.timesteps.tolist()
        if step + 1 >= len(self._timesteps):
            return {}
        if scale_at(running, self._timesteps[step + 1], running.guidance_scale, self._end) > 1:
            return {}
        pipeline_internals.set_guidance_scale(running, 1.0)
        return {name: tensors[name].chunk(2)[1] for name in _CFG_BATCHED if name in tensors}
