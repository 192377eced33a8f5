"""Request -> pictures, step by step: the only caller of the diffusers pipelines.

The pipeline runs in a thread of its own and reports through a queue, so that `generate` can be an ordinary
generator. Pictures are drawn one by one, each from its own seed on the CPU's random numbers: a picture is the
same alone or in a batch, and its starting noise is the same on every device.
"""

import copy
import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import torch
from diffusers import DiffusionPipeline
from PIL import Image
from torch import Tensor

from sdxl_lora.config import GenerationRequest
from sdxl_lora.errors import Cancelled, RequestError
from sdxl_lora.generation import previews
from sdxl_lora.generation.decoding import decode
from sdxl_lora.generation.embeddings import Embeddings, embed
from sdxl_lora.generation.events import Event, PictureDone, Started, StepDone
from sdxl_lora.generation.resolve import resolve
from sdxl_lora.models import schedulers
from sdxl_lora.models.loading import LoadedModel

_PREVIEWS = 8  # per picture at most
_END: Final = None


def generate(
    model: LoadedModel, request: GenerationRequest, *, cancel: threading.Event | None = None
) -> Iterator[Event]:
    """Draws the pictures of `request` with `model`, reporting as it goes.

    Once `cancel` is set, or the generator is closed, the work stops within one denoising step.
    Raises `Cancelled`; `RequestError` if the request wants other LoRAs than the model was loaded with, or
    more memory than there is; `StudioError` if the model gives no picture.
    """
    if request.loras != model.config.loras:
        raise RequestError(
            "the request names other LoRAs than the model was loaded with; load it with ModelConfig.of"
        )
    run = _Run(model, resolve(request), cancel or threading.Event())
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="generate") as executor:
        work = executor.submit(run.draw_all)
        try:
            while (event := run.events.get()) is not _END:
                yield event
            work.result()  # raises what the thread raised
        finally:
            run.closed.set()


class _Run:
    """One call of `generate`: the thread's side of it."""

    def __init__(self, model: LoadedModel, request: GenerationRequest, cancel: threading.Event) -> None:
        self.events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self.closed = threading.Event()  # nobody listens any more
        self._model = model
        self._request = request
        self._cancel = cancel
        self._clock = _Clock(request)

    def draw_all(self) -> None:
        """Runs in the thread; every event, then the end mark, goes into the queue."""
        try:
            with self._model.use(self._stopped) as shared:
                # a shallow copy: the weights are shared, the scheduler and the state of the call are not
                pipeline = copy.copy(shared)
                embeddings = self._embed()
                self.events.put(Started(request=self._request, count=self._request.count))
                for index in range(self._request.count):
                    self._draw(pipeline, embeddings, index)
        except torch.OutOfMemoryError as error:
            raise RequestError("the device is out of memory; ask for a smaller size") from error
        finally:
            self.events.put(_END)

    def _embed(self) -> Embeddings:
        request = self._request
        assert request.guidance is not None  # resolved
        return embed(self._model, request.prompt, request.negative_prompt, guided=request.guidance > 1)

    def _draw(self, pipeline: DiffusionPipeline, embeddings: Embeddings, index: int) -> None:
        request = self._request.for_picture(index)
        assert request.seed is not None  # resolved
        started = time.perf_counter()
        pipeline.scheduler = schedulers.make(request.scheduler, self._model.pipeline.scheduler)
        predictions = previews.Predictions(pipeline.scheduler)
        generator = torch.Generator("cpu").manual_seed(request.seed)

        def after_step(
            running: DiffusionPipeline, step: int, _: Any, tensors: dict[str, Any]
        ) -> dict[str, Any]:
            if self._stopped():
                running._interrupt = True  # the pipeline skips its remaining steps
            else:
                total = running.num_timesteps
                self._report(index, step + 1, total, predictions.latest(tensors["latents"]))
            return {}

        latents = pipeline(
            **embeddings,
            num_inference_steps=request.steps,
            guidance_scale=request.guidance,
            width=request.width,
            height=request.height,
            generator=generator,
            output_type="latent",
            callback_on_step_end=after_step,
        ).images
        if self._stopped():
            raise Cancelled("cancelled")
        image = decode(pipeline, latents)
        seconds = time.perf_counter() - started
        self.events.put(PictureDone(index=index, seed=request.seed, image=image, seconds=seconds))

    def _stopped(self) -> bool:
        return self._cancel.is_set() or self.closed.is_set()

    def _report(self, picture: int, step: int, steps: int, predicted: Tensor) -> None:
        preview = self._preview(predicted) if _shows_preview(step, steps) else None
        eta = self._clock.tick(picture, step, steps)
        self.events.put(StepDone(picture=picture, step=step, steps=steps, eta=eta, preview=preview))

    def _preview(self, latents: Tensor) -> Image.Image:
        memory = self._model.base.memory
        if "preview" not in memory:
            memory["preview"] = previews.fit(self._model.pipeline.vae)
        assert self._request.width is not None  # resolved
        assert self._request.height is not None
        return previews.draw(latents, memory["preview"], (self._request.width, self._request.height))


class _Clock:
    """Estimates the time that is left from the steps that were done."""

    def __init__(self, request: GenerationRequest) -> None:
        self._count = request.count
        self._started = time.perf_counter()

    def tick(self, picture: int, step: int, steps: int) -> float:
        """Seconds left after `step` of `picture`."""
        done = picture * steps + step
        elapsed = time.perf_counter() - self._started
        return elapsed / done * (self._count * steps - done)


def _shows_preview(step: int, steps: int) -> bool:
    """Every second step or less often; never after the last, which the picture follows."""
    every = max(2, -(-steps // _PREVIEWS))
    return step < steps and (step == 1 or step % every == 0)
