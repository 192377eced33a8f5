"""The engine that runs a model by its diffusers pipeline, on a processor or a GPU.

A picture is drawn by a shallow copy of the pipeline: the weights are shared, the sampler and the state of the call are
not, so that several pictures can be drawn at once.
"""

from collections.abc import Callable
from typing import Any

import torch
from diffusers import DiffusionPipeline, SchedulerMixin
from PIL import Image
from torch import Tensor

from sdxl_lora.config import EngineName
from sdxl_lora.models import (
    decoding,
    guidance,
    long_prompts,
    pipeline_internals,
    previews,
    schedulers,
    starts,
    step_cache,
)
from sdxl_lora.models.capabilities import Capabilities
from sdxl_lora.models.engine import DenoisedStep, Denoising, Embeddings
from sdxl_lora.models.quiet import quiet
from sdxl_lora.request import OWN_SCHEDULER

_EMBEDDINGS = (  # in the order in which pipelines give them, by the names under which they take them
    "prompt_embeds",
    "negative_prompt_embeds",
    "pooled_prompt_embeds",
    "negative_pooled_prompt_embeds",
)


class TorchEngine:
    """See `engine.Engine`. `pipeline` is for those who change weights or load LoRAs: `models/` and tests."""

    def __init__(self, pipeline: DiffusionPipeline, capabilities: Capabilities) -> None:
        self.pipeline = pipeline
        self.capabilities = capabilities
        self._preview_factors: Tensor | None = None

    @property
    def name(self) -> EngineName:
        return "torch"

    @property
    def precision(self) -> str:
        return str(self.pipeline.unet.dtype).removeprefix("torch.")

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.pipeline.unet.parameters())

    def token_count(self, text: str) -> tuple[int, int]:
        with quiet():
            tokens = long_prompts.count(self.pipeline, text)
        return tokens, self.pipeline.tokenizer.model_max_length - 2

    def encode(self, prompt: str, negative_prompt: str, *, guided: bool) -> Embeddings:
        with torch.no_grad(), quiet():
            if long_prompts.needed(self.pipeline, prompt, negative_prompt if guided else ""):
                encoded = long_prompts.encode(self.pipeline, prompt, negative_prompt, guided=guided)
            else:
                encoded = self.pipeline.encode_prompt(
                    prompt,
                    device=pipeline_internals.execution_device(self.pipeline),
                    num_images_per_prompt=1,
                    do_classifier_free_guidance=guided,
                    negative_prompt=negative_prompt or None,
                )
        return {name: value for name, value in zip(_EMBEDDINGS, encoded, strict=False) if value is not None}

    def new_scheduler(self, name: str = OWN_SCHEDULER) -> SchedulerMixin:
        return schedulers.make(name, self.pipeline.scheduler)

    def denoise(
        self, embeddings: Embeddings, way: Denoising, on_step: Callable[[DenoisedStep], bool]
    ) -> Tensor:
        way = starts.completed(self.pipeline, way)
        pipeline = self._pipeline_of_one(way)
        course = self._course(pipeline, way)
        predictions = previews.Predictions(way.scheduler)
        switch = guidance.Switch(way.guidance_end)
        start = self._first_timestep(pipeline, way)

        def after_step(running: Any, step: int, _: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            latents = tensors["latents"]
            done = DenoisedStep(
                number=step + 1,
                count=running.num_timesteps,
                latents=latents,
                predicted=predictions.latest(latents),
            )
            if not on_step(done) or step + 1 == way.stop_after:
                pipeline_internals.stop(running)
            return switch(running, step, tensors)

        with predictions:
            latents: Tensor = pipeline(
                **embeddings,
                **course,
                guidance_scale=guidance.scale_at(pipeline, start, way.guidance, way.guidance_end),
                generator=way.generator,
                output_type="latent",
                callback_on_step_end=after_step,
                callback_on_step_end_tensor_inputs=guidance.wanted_tensors(pipeline),
            ).images
        return latents

    def _pipeline_of_one(self, way: Denoising) -> DiffusionPipeline:
        """A copy for one picture: it shares the weights, and has a state of its own."""
        pipeline = pipeline_internals.copy_of(starts.shell(self.pipeline, way), way.scheduler)
        network = self._network_of(pipeline)
        if way.cache_interval > 1:
            network = step_cache.CachingNetwork(network, way.cache_interval)
        if way.cue is not None:
            network = way.cue.around(network)
        if network is not pipeline.unet:
            pipeline_internals.replace_network(pipeline, network)
        return pipeline

    def _network_of(self, pipeline: DiffusionPipeline) -> Any:
        """What is called as the UNet."""
        return pipeline.unet

    def _first_timestep(self, pipeline: DiffusionPipeline, way: Denoising) -> float:
        if way.timesteps is not None:
            return way.timesteps[0]
        return guidance.first_timestep(pipeline) if way.picture is None else starts.first_timestep(way)

    def _course(self, pipeline: DiffusionPipeline, way: Denoising) -> dict[str, Any]:
        """What the pipeline's call takes for where it begins and how it goes on."""
        if way.picture is not None:
            return {"num_inference_steps": way.steps, **starts.arguments(pipeline, way)}
        return {"width": way.width, "height": way.height, **self._course_from_noise(way)}

    def _course_from_noise(self, way: Denoising) -> dict[str, Any]:
        if way.timesteps is None:
            return {"num_inference_steps": way.steps}
        way.scheduler.set_timesteps(timesteps=list(way.timesteps))
        # the pipeline takes latents for noise of unit variance, and scales them
        start = None if way.latents is None else way.latents / way.scheduler.init_noise_sigma
        return {"timesteps": list(way.timesteps), "latents": start}

    def decode(self, latents: Tensor) -> Image.Image:
        return decoding.decode(self.pipeline, latents)

    def preview(self, latents: Tensor, size: tuple[int, int]) -> Image.Image:
        if self._preview_factors is None:
            self._preview_factors = previews.fit(
                self.pipeline.vae, pipeline_internals.execution_device(self.pipeline)
            )
        return previews.draw(latents, self._preview_factors, size)
