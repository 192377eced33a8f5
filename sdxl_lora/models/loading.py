"""`ModelConfig` -> `LoadedModel`: which model is in memory, and who uses it now.

One base model is kept per process and shared. Its weights are used by one worker at a time, under its lock,
because LoRAs change it and diffusers' pipelines keep state in themselves. Taking other LoRAs does not reload
the base. Safety checkers are never loaded. Knows nothing of pictures.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from diffusers import DiffusionPipeline

from sdxl_lora.config import Architecture, Offload, Precision
from sdxl_lora.errors import Cancelled, InputError, MemoryLimitError
from sdxl_lora.models import identity, lora, offloading, registry, room, schedulers
from sdxl_lora.models.building import build
from sdxl_lora.models.device import Device, choose_device
from sdxl_lora.models.precision import choose_precision, compute_dtype
from sdxl_lora.models.torch_engine import TorchEngine
from sdxl_lora.request import GenerationRequest, LoraSpec

_POLL = 0.1  # seconds between looks at `stopped` while waiting for the model


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What to load, and how."""

    model: str = "auto"  # name, folder or hub id
    loras: tuple[LoraSpec, ...] = ()
    precision: Precision = "auto"
    device: str | None = None  # None = the fastest there is
    scheduler: str | None = None  # see `schedulers.NAMES`; None = the model's own
    offload: Offload = "none"  # which parts of it wait in main memory, see `offloading`
    size: tuple[int, int] | None = (
        None  # of the pictures, px: what they need must be free; None = the model's own
    )
    model_sha256: str = ""  # of the model's files, see `identity`; "" = whatever lies there

    @classmethod
    def of(cls, request: GenerationRequest, device: str | None = None) -> Self:
        """The configuration that makes the pictures of `request`."""
        return cls(
            model=request.model,
            loras=request.loras,
            precision=request.precision,
            device=device,
            scheduler=request.scheduler,
            offload=request.offload,
            size=(request.width, request.height) if request.width and request.height else None,
            model_sha256=request.model_sha256,
        )


@dataclass(kw_only=True, eq=False)
class Base:
    """An engine that may be shared; everything on it is touched under `lock` only."""

    engine: TorchEngine
    lock: threading.Lock = field(default_factory=threading.Lock)
    loras: tuple[LoraSpec, ...] = ()  # the ones that are on now
    adapters: lora.MergedAdapters = field(default_factory=lora.MergedAdapters)  # their trace in the weights
    cache: dict[str, Any] = field(default_factory=dict)  # what generation computed with this model


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A handle on the shared base: which LoRAs and scheduler to use it with.

    Whoever encodes, denoises or decodes with `engine` does so inside `with model.use()`, which waits for the model and
    merges this handle's LoRAs into it.
    """

    config: ModelConfig
    info: registry.ModelInfo
    architecture: Architecture
    device: Device
    precision: Precision  # decided, never "auto"
    base: Base = field(repr=False)

    @property
    def engine(self) -> TorchEngine:
        """What runs the model; see `models.engine.Engine`."""
        return self.base.engine

    @property
    def dtype(self) -> torch.dtype:
        """The number format that the denoising network computes in."""
        return compute_dtype(self.precision, self.device)

    @contextmanager
    def use(self, stopped: Callable[[], bool] = lambda: False) -> Iterator[TorchEngine]:
        """The engine for this caller alone, with this handle's LoRAs on.

        Raises `LoraError`, or `Cancelled` if `stopped()` comes true while waiting.
        """
        while not self.base.lock.acquire(timeout=_POLL):
            if stopped():
                raise Cancelled("cancelled while waiting for the model")
        try:
            self._load_adapters()
            yield self.base.engine
        finally:
            self.base.lock.release()

    def _load_adapters(self) -> None:
        if self.base.loras == self.config.loras:
            return
        files = lora.check(identity.pinned(self.config.loras), self.engine.pipeline, self.info.name)
        offload, pipeline = self.config.offload, self.engine.pipeline
        offloading.switch_off(pipeline, offload)
        try:
            self.base.loras = ()
            self.base.adapters.unload()
            self.base.adapters = lora.load_adapters(files, pipeline)
            self.base.loras = self.config.loras
        finally:
            if offload != "none":
                offloading.switch_on(pipeline, offload, self.device)


_cache: dict[tuple[str, str, Device, Precision, Offload], Base] = {}
_cache_lock = threading.Lock()


def load(config: ModelConfig) -> LoadedModel:
    """The model of `config`, from memory if it is the one that was used last.

    It is the same only with the same contents: a model that changed in its folder is loaded anew. Fetches hub models
    that are not on this machine. Raises `InputError` (unknown name, unsupported architecture, LoRA that does not fit,
    contents other than the configuration's hashes say), `ModelUnavailableError`, and before any weights are read
    `MemoryLimitError`.
    """
    schedulers.check(config.scheduler)
    device = choose_device(config.device)
    info = registry.fetch(config.model)
    assert info.folder is not None  # fetch() has it, or has raised
    assert info.architecture is not None
    precision = choose_precision(config.precision, device, quantised=info.quantised)
    offloading.check(config.offload, device)
    digest = identity.check_model(info, config.model_sha256)
    config = replace(config, loras=identity.pinned(config.loras), model_sha256=digest)
    key = (str(info.folder), digest, device, precision, config.offload)
    with _cache_lock:
        base = _cache.get(key)
        if base is None:
            _cache.clear()  # one model at a time: make room first
            room.check(info, precision, device, config.offload, config.size)
            try:
                pipeline = build(info, info.folder, device, precision, config.offload)
            except torch.OutOfMemoryError:  # somebody else took what was free a moment ago
                raise MemoryLimitError(
                    f"{info.name} does not fit into the memory of {device}; close other programs on it, or see"
                    " `models fit` for settings that need less"
                ) from None
            base = Base(engine=TorchEngine(pipeline, info.capabilities))
            _cache[key] = base
    lora.check(config.loras, base.engine.pipeline, info.name)
    return LoadedModel(
        config=config,
        info=info,
        architecture=info.architecture,
        device=device,
        precision=precision,
        base=base,
    )


def wrap(pipeline: DiffusionPipeline, info: registry.ModelInfo, precision: Precision = "fp32") -> LoadedModel:
    """A handle on a pipeline that the caller built, for example one in training; it is not cached."""
    if info.architecture is None:
        raise InputError(f"the architecture of {info.name} is not known")
    return LoadedModel(
        config=ModelConfig(model=info.name, precision=precision),
        info=info,
        architecture=info.architecture,
        device=choose_device(pipeline.device.type),
        precision=precision,
        base=Base(engine=TorchEngine(pipeline, info.capabilities)),
    )


def unload() -> None:
    """Forgets the shared model, so that its memory is free once nobody uses it."""
    with _cache_lock:
        _cache.clear()
