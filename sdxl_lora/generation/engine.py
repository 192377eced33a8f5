"""Request -> pictures, step by step: the only caller of the diffusers pipelines.

The pipelines run in threads and report through a queue, so that `generate` can be an ordinary generator. Every
picture is drawn by a call of its own, from its own seed on the CPU's random numbers: it is the same alone or in a
batch, and its starting noise is the same on every device. Small models draw several pictures at once, see `workers`.
"""

import copy
import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import torch
from diffusers import DiffusionPipeline
from PIL import Image
from torch import Tensor

from sdxl_lora.errors import Cancelled, RequestError
from sdxl_lora.generation import previews, strides
from sdxl_lora.generation.decoding import decode
from sdxl_lora.generation.embeddings import Embeddings, embed
from sdxl_lora.generation.events import Event, PictureDone, Started, StepDone
from sdxl_lora.generation.workers import picture_workers
from sdxl_lora.models import guidance, schedulers
from sdxl_lora.models.loading import LoadedModel
from sdxl_lora.request import ResolvedRequest

_PREVIEWS = 8  # per picture at most
_END: Final = None


def generate(
    model: LoadedModel, request: ResolvedRequest, *, cancel: threading.Event | None = None
) -> Iterator[Event]:
    """Draws the pictures of `request` with `model`, reporting as it goes.

    Once `cancel` is set, or the generator is closed, the work stops within one denoising step.
    Raises `Cancelled`; `RequestError` if the request wants another model or other LoRAs than were loaded, or
    more memory than there is; `StudioError` if the model gives no picture.
    """
    own = model.config.model_sha256 in ("", request.model_sha256)  # "": the caller built its pipeline
    if not own or request.loras != model.config.loras:
        raise RequestError(
            "the request names another model or other LoRAs than were loaded; load them with ModelConfig.of"
        )
    run = _Run(model, request, cancel or threading.Event())
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="generate") as executor:
        work = executor.submit(run.draw_all)
        try:
            while (event := run.events.get()) is not _END:
                yield event
            work.result()  # raises what the thread raised
        finally:
            run.closed.set()


@dataclass(frozen=True, kw_only=True)
class _Picture:
    """What the drawing of one picture needs."""

    index: int
    request: ResolvedRequest  # of this picture alone
    pipeline: DiffusionPipeline  # with a scheduler of its own
    embeddings: Embeddings
    predictions: previews.Predictions
    generator: torch.Generator  # of its noise


class _Run:
    """One call of `generate`: the side of it that works."""

    def __init__(self, model: LoadedModel, request: ResolvedRequest, cancel: threading.Event) -> None:
        self.events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self.closed = threading.Event()  # nobody listens any more, or a picture has failed
        self._model = model
        self._request = request
        self._cancel = cancel
        self._lock = threading.Lock()  # around what follows
        self._finished: dict[int, PictureDone] = {}  # waiting for an earlier picture
        self._delivered = 0
        self._steps_done = 0
        self._started = 0.0

    def draw_all(self) -> None:
        """Runs in a thread of its own; every event, then the end mark, goes into the queue."""
        try:
            with self._model.use(self._stopped) as pipeline:
                embeddings = self._embed()
                self.events.put(Started(request=self._request, count=self._request.count))
                self._started = time.perf_counter()
                with picture_workers(self._model, self._request.count) as workers:
                    pictures = [
                        workers.submit(self._draw, pipeline, embeddings, index)
                        for index in range(self._request.count)
                    ]
                    try:
                        for picture in pictures:
                            picture.result()  # raises what the picture raised
                    finally:
                        self.closed.set()  # those that still draw are not wanted any more
        except torch.OutOfMemoryError as error:
            raise RequestError("the device is out of memory; ask for a smaller size") from error
        finally:
            self.events.put(_END)

    def _embed(self) -> Embeddings:
        request = self._request
        return embed(self._model, request.prompt, request.negative_prompt, guided=request.guidance > 1)

    def _draw(self, shared: DiffusionPipeline, embeddings: Embeddings, index: int) -> None:
        if self._stopped():
            raise Cancelled("cancelled")
        request = self._request.for_picture(index)
        started = time.perf_counter()
        # a shallow copy: the weights are shared, the scheduler and the state of the call are not
        pipeline = copy.copy(shared)
        pipeline.scheduler = schedulers.make(request.scheduler, shared.scheduler)
        picture = _Picture(
            index=index,
            request=request,
            pipeline=pipeline,
            embeddings=embeddings,
            predictions=previews.Predictions(pipeline.scheduler),
            generator=torch.Generator("cpu").manual_seed(request.seed),
        )
        if not request.sketch_steps:
            latents = self._denoise(picture, num_inference_steps=request.steps)
        else:
            latents = self._finish_sketch(picture, request.sketch_steps)
        image = decode(pipeline, latents)
        seconds = time.perf_counter() - started
        self._deliver(PictureDone(index=index, seed=request.seed, image=image, seconds=seconds))

    def _finish_sketch(self, picture: _Picture, sketch_steps: int) -> Tensor:
        """Latents of a picture whose first half goes in the strides of a sketch, which may be drawn already."""
        request, scheduler = picture.request, picture.pipeline.scheduler
        strides.check_scheduler(scheduler)
        rest = strides.remaining(scheduler, request.steps, sketch_steps)
        latents = strides.middles(self._model).find(strides.key_of(request, sketch_steps))
        done = 0
        if latents is None:
            done = strides.middle(sketch_steps)
            latents = self._denoise(picture, until=done, more=len(rest), num_inference_steps=sketch_steps)
        scheduler.set_timesteps(timesteps=rest)
        # the pipeline takes latents for noise of unit variance, and scales them
        start = latents / scheduler.init_noise_sigma
        return self._denoise(picture, done=done, timesteps=rest, latents=start)

    def _denoise(
        self, picture: _Picture, *, done: int = 0, until: int | None = None, more: int = 0, **how: Any
    ) -> Tensor:
        """Latents after the steps that the pipeline's arguments `how` say.

        Args:
            done: steps of the picture that were reported before.
            until: leave after so many steps; `more` follow later.
        """
        request, pipeline = picture.request, picture.pipeline
        end = request.guidance_end
        start = how.get("timesteps", [guidance.first_timestep(pipeline)])[0]
        steps: int = how.get("num_inference_steps", 0)  # 0 where this is not an even way from its start
        middle = strides.middle(steps) if strides.possible(pipeline.scheduler) else 0

        def after_step(
            running: DiffusionPipeline, step: int, _: Any, tensors: dict[str, Any]
        ) -> dict[str, Any]:
            if self._stopped() or step + 1 == until:
                running._interrupt = True  # the pipeline skips its remaining steps
            if not self._stopped():
                whole = done + (until or running.num_timesteps) + more
                self._report(
                    picture.index, done + step + 1, whole, picture.predictions.latest(tensors["latents"])
                )
            if step + 1 == middle:
                strides.middles(self._model).keep(strides.key_of(request, steps), tensors["latents"])
            return guidance.after_step(running, step, tensors, end)

        latents: Tensor = pipeline(
            **picture.embeddings,
            **how,
            guidance_scale=guidance.scale_at(pipeline, start, request.guidance, end),
            width=request.width,
            height=request.height,
            generator=picture.generator,
            output_type="latent",
            callback_on_step_end=after_step,
            callback_on_step_end_tensor_inputs=guidance.wanted_tensors(pipeline),
        ).images
        if self._stopped():
            raise Cancelled("cancelled")
        return latents

    def _stopped(self) -> bool:
        return self._cancel.is_set() or self.closed.is_set()

    def _deliver(self, picture: PictureDone) -> None:
        """Hands pictures on in their order, whichever is ready first."""
        with self._lock:
            self._finished[picture.index] = picture
            while self._finished and min(self._finished) == self._delivered:
                self.events.put(self._finished.pop(self._delivered))
                self._delivered += 1

    def _report(self, picture: int, step: int, steps: int, predicted: Tensor) -> None:
        preview = self._preview(predicted) if _shows_preview(step, steps) else None
        with self._lock:
            self._steps_done += 1
            elapsed = time.perf_counter() - self._started
            left = self._request.count * steps - self._steps_done
            eta = elapsed / self._steps_done * left
            self.events.put(StepDone(picture=picture, step=step, steps=steps, eta=eta, preview=preview))

    def _preview(self, latents: Tensor) -> Image.Image:
        memory = self._model.base.memory
        if "preview" not in memory:
            memory["preview"] = previews.fit(self._model.pipeline.vae)
        return previews.draw(latents, memory["preview"], (self._request.width, self._request.height))


def _shows_preview(step: int, steps: int) -> bool:
    """Every second step or less often; never after the last, which the picture follows."""
    every = max(2, -(-steps // _PREVIEWS))
    return step < steps and (step == 1 or step % every == 0)
