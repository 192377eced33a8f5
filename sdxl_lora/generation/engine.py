"""Request -> pictures, step by step, by whatever engine runs the model.

The engine works in threads and reports through a queue, so that `generate` can be an ordinary generator. Every
picture is drawn by a call of its own, from its own seed on the CPU's random numbers: it is the same alone or in a
batch, and its starting noise is the same on every device. Small models draw several pictures at once, see `workers`.
"""

import hashlib
import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from diffusers import SchedulerMixin
from PIL import Image
from torch import Tensor

from sdxl_lora.errors import Cancelled, MemoryLimitError, RequestError
from sdxl_lora.generation import cueing, handoff, reports, starting
from sdxl_lora.generation.embeddings import embed
from sdxl_lora.generation.events import Event, PictureDone, Started, StepDone
from sdxl_lora.generation.workers import picture_workers
from sdxl_lora.models import engines
from sdxl_lora.models.cued_network import Cue
from sdxl_lora.models.engine import DenoisedStep, Denoising, Embeddings, Engine
from sdxl_lora.models.loading import LoadedModel
from sdxl_lora.request import ResolvedRequest

_PREVIEWS = 8  # per picture at most
_END: Final = None


def generate(
    model: LoadedModel,
    request: ResolvedRequest,
    *,
    cancel: threading.Event | None = None,
    start: starting.Start | None = None,
) -> Iterator[Event]:
    """Draws the pictures of `request` with `model`, reporting as it goes; from `start` instead of the request's own.

    Once `cancel` is set, or the generator is closed, the work stops within one denoising step.
    Raises `Cancelled`; `RequestError` if the request wants another model or other LoRAs than were loaded, or
    more memory than there is; `StudioError` if the model gives no picture.
    """
    own = model.config.model_sha256 in ("", request.model_sha256)  # "": the caller built its pipeline
    if not own or request.loras != model.config.loras:
        raise RequestError(
            "the request names another model or other LoRAs than were loaded; load them with ModelConfig.of"
        )
    run = _Run(model, request, cancel or threading.Event(), start)
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
    engine: Engine
    scheduler: SchedulerMixin  # of its own
    embeddings: Embeddings
    generator: torch.Generator  # of its noise


class _Run:
    """One call of `generate`: the side of it that works."""

    def __init__(
        self,
        model: LoadedModel,
        request: ResolvedRequest,
        cancel: threading.Event,
        start: starting.Start | None,
    ) -> None:
        self.events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self.closed = threading.Event()  # nobody listens any more, or a picture has failed
        self._model = model
        self._request = request
        self._cancel = cancel
        self._start = start  # None: from noise, unless the request says otherwise
        self._cue: Cue | None = None
        self._lock = threading.Lock()  # around what follows
        self._finished: dict[int, PictureDone] = {}  # waiting for an earlier picture
        self._delivered = 0
        self._steps_done = 0
        self._reports = reports.Reports(None)
        self._started = 0.0

    def draw_all(self) -> None:
        """Runs in a thread of its own; every event, then the end mark, goes into the queue."""
        try:
            if self._start is None:
                self._start = starting.prepare(self._request, self._model.info.defaults)
            with self._model.use(self._stopped):
                self._cue = cueing.prepare(self._model, self._request, self._start)
                embeddings = self._embed()
                engine, note = engines.of(self._model, self._request, embeddings)
                self._request = replace(self._request, engine=engine.name)
                self.events.put(Started(request=self._request, count=self._request.count, note=note))
                self._started = time.perf_counter()
                with (
                    reports.reporting(beside=self._previews_beside()) as self._reports,
                    picture_workers(self._model, self._request.count) as workers,
                ):
                    pictures = [
                        workers.submit(self._draw, engine, embeddings, index)
                        for index in range(self._request.count)
                    ]
                    try:
                        for picture in pictures:
                            picture.result()  # raises what the picture raised
                    finally:
                        self.closed.set()  # those that still draw are not wanted any more
        except torch.OutOfMemoryError as error:
            raise MemoryLimitError("the device is out of memory; ask for a smaller size") from error
        finally:
            self.events.put(_END)

    def _embed(self) -> Embeddings:
        request = self._request
        return embed(self._model, request.prompt, request.negative_prompt, guided=request.guidance > 1)

    def _draw(self, engine: Engine, embeddings: Embeddings, index: int) -> None:
        if self._stopped():
            raise Cancelled("cancelled")
        request = self._request.for_picture(index)
        started = time.perf_counter()
        picture = _Picture(
            index=index,
            request=request,
            engine=engine,
            scheduler=engine.new_scheduler(request.scheduler),
            embeddings=embeddings,
            generator=torch.Generator("cpu").manual_seed(noise_seed(request.seed)),
        )
        if not request.sketch_steps:
            latents = self._denoise(picture, steps=request.steps)
        else:
            latents = self._finish_sketch(picture, request.sketch_steps)
        if request.cleanup_timestep:
            latents = self._cleaned(picture, latents)
        image = engine.decode(latents)
        if self._start is not None:
            image = self._start.finished(image)
        seconds = time.perf_counter() - started
        self._reports.wait()
        self._deliver(
            PictureDone(index=index, seed=request.seed, image=image, seconds=seconds, engine=engine.name)
        )

    def _finish_sketch(self, picture: _Picture, sketch_steps: int) -> Tensor:
        """Latents of a picture that goes on from the handoff step of a sketch, which may be drawn already."""
        request, scheduler = picture.request, picture.scheduler
        handoff.check_scheduler(scheduler)
        rest = handoff.remaining_timesteps(scheduler, request.steps, sketch_steps)
        latents = handoff.prefix_latents(self._model).find(handoff.key_of(request, sketch_steps))
        done = 0
        if latents is None:
            done = handoff.handoff_step(sketch_steps)
            latents = self._denoise(picture, steps=sketch_steps, stop_after=done, more=len(rest))
        return self._denoise(picture, done=done, timesteps=tuple(rest), latents=latents)

    def _denoise(self, picture: _Picture, *, done: int = 0, more: int = 0, **way: Any) -> Tensor:
        """Latents at the end of a way, or of its first part.

        Args:
            done: steps of the picture that were reported before.
            more: steps that follow later.
            way: steps, timesteps, latents, stop_after of `Denoising`.
        """
        request = picture.request
        course = Denoising(
            width=request.width,
            height=request.height,
            scheduler=picture.scheduler,
            generator=picture.generator,
            guidance=request.guidance,
            guidance_end=request.guidance_end,
            strength=request.strength,
            cache_interval=request.cache_interval,
            cue=self._cue,
            **way,
        )
        if self._start is not None:
            course = replace(course, picture=self._start.picture, mask=self._start.mask)
        whole_way = self._start is None and handoff.possible(picture.scheduler)
        kept_at = handoff.handoff_step(course.steps or 0) if whole_way else 0

        def on_step(step: DenoisedStep) -> bool:
            if self._stopped():
                return False
            whole = done + (course.stop_after or step.count) + more
            self._report(picture, done + step.number, whole, step.predicted)
            if course.steps is not None and step.number == kept_at:
                key = handoff.key_of(request, course.steps)
                handoff.prefix_latents(self._model).keep(key, step.latents)
            return True

        latents = picture.engine.denoise(picture.embeddings, course, on_step)
        if self._stopped():
            raise Cancelled("cancelled")
        return latents

    def _cleaned(self, picture: _Picture, latents: Tensor) -> Tensor:
        """Finished `latents` (1CHW) denoised once more in one step, as if they had the noise of the cleanup timestep.

        They have none, so that the network need not copy any: what it leaves of noise in flat regions as mottle, for
        want of precision, is not there, and what mottle there is it takes for noise (docs/log.md).
        """
        request = picture.request
        way = Denoising(
            width=request.width,
            height=request.height,
            scheduler=picture.engine.new_scheduler(handoff.SAMPLER),
            generator=picture.generator,
            guidance=1.0,
            timesteps=(float(request.cleanup_timestep),),
            latents=latents,
            cue=self._cue,
        )
        cleaned = picture.engine.denoise(picture.embeddings, way, lambda _: not self._stopped())
        if self._stopped():
            raise Cancelled("cancelled")
        return cleaned

    def _stopped(self) -> bool:
        return self._cancel.is_set() or self.closed.is_set()

    def _deliver(self, picture: PictureDone) -> None:
        """Hands pictures on in their order, whichever is ready first."""
        with self._lock:
            self._finished[picture.index] = picture
            while self._finished and min(self._finished) == self._delivered:
                self.events.put(self._finished.pop(self._delivered))
                self._delivered += 1

    def _previews_beside(self) -> bool:
        """Whether a thread makes them: where a device computes, and all parts of the model stay on it."""
        return self._model.device != "cpu" and self._model.config.offload == "none"

    def _report(self, picture: _Picture, step: int, steps: int, predicted: Tensor) -> None:
        def report() -> None:
            preview: Image.Image | None = None
            if _shows_preview(step, steps):
                preview = picture.engine.preview(predicted, (picture.request.width, picture.request.height))
            with self._lock:
                self._steps_done += 1
                elapsed = time.perf_counter() - self._started
                left = self._request.count * steps - self._steps_done
                eta = elapsed / self._steps_done * left
                done = StepDone(picture=picture.index, step=step, steps=steps, eta=eta, preview=preview)
                self.events.put(done)

        self._reports.make(report)


def noise_seed(seed: int) -> int:
    """What torch's generator on the CPU is seeded with, which takes 32 bits and ignores the others.

    Below 2**32 the seed itself, as in other programs; of larger ones all bits are mixed, so that 5 and 2**32 + 5 are
    two pictures.
    """
    if seed < 2**32:
        return seed
    return int.from_bytes(hashlib.blake2b(seed.to_bytes(8, "little"), digest_size=4).digest(), "little")


def _shows_preview(step: int, steps: int) -> bool:
    """Every second step or less often; never after the last, which the picture follows."""
    every = max(2, -(-steps // _PREVIEWS))
    return step < steps and (step == 1 or step % every == 0)
