"""Which engine draws: what was wished for, what this machine has, and what is ready.

torch with compiled blocks draws only where it is wished for: the first picture waits for the compiler.

OpenVINO needs a network that was converted for the very model, LoRAs and size, in bf16. Until there is one torch
draws, and the conversion is made in the background. Where it failed torch draws, too, which is said once.
"""

import os
import threading
from typing import cast

from sdxl_lora.config import EngineName
from sdxl_lora.errors import RequestError
from sdxl_lora.lru_cache import LruCache
from sdxl_lora.models import conversions
from sdxl_lora.models.compiled_engine import CompiledEngine
from sdxl_lora.models.conversions import Conversion
from sdxl_lora.models.engine import Embeddings
from sdxl_lora.models.loading import LoadedModel
from sdxl_lora.models.openvino_engine import OpenVINOEngine
from sdxl_lora.models.torch_engine import TorchEngine
from sdxl_lora.request import ResolvedRequest

NAMES = ("torch", "compiled", "openvino")
_CONVERTED_UNASKED = 500_000_000  # bytes of a model; larger ones take minutes and as much of the disk again
_REMEMBERED = 2  # converted networks in memory

_said: set[object] = set()
_lock = threading.Lock()


def choose(
    wanted: str, device: str, precision: str, size: int | None, *, cached: bool = False, cued: bool = False
) -> EngineName:
    """The engine asked for; for "auto" OpenVINO on a processor that has it, for small models. Raises `RequestError`.

    Args:
        wanted: one of `NAMES`, or "auto": what `SDXL_LORA_ENGINE` says, or the best.
        precision: decided, never "auto"; OpenVINO draws in bf16.
        size: bytes of the model's weights; None = not known.
        cached: deep layers are reused between steps, which only torch's network can.
        cued: the network sees a logo, which only torch's can.
    """
    chosen = (os.environ.get("SDXL_LORA_ENGINE") or "auto") if wanted == "auto" else wanted
    if chosen not in (*NAMES, "auto"):
        raise RequestError(
            f"SDXL_LORA_ENGINE is {chosen!r}; use auto, {', '.join(NAMES[:-1])} or {NAMES[-1]}"
        )
    if chosen == "auto":
        small = size is not None and size <= _CONVERTED_UNASKED
        fits = device == "cpu" and precision == "bf16" and small and not (cached or cued)
        return "openvino" if fits and conversions.version() else "torch"
    if chosen == "openvino" and not conversions.version():
        raise RequestError("engine openvino needs a package: pip install openvino; or use auto or torch")
    if chosen == "openvino" and device != "cpu":
        raise RequestError(
            f"engine openvino runs on processors, this machine draws on {device}; use auto or torch"
        )
    if chosen == "openvino" and precision != "bf16":
        raise RequestError(
            f"engine openvino draws in bf16, not in {precision}; use precision bf16 or engine torch"
        )
    if chosen != "torch" and cached:
        raise RequestError(f"engine {chosen} computes every step whole; use cache interval 1 or engine torch")
    return cast(EngineName, chosen)


def of(model: LoadedModel, request: ResolvedRequest, embeddings: Embeddings) -> tuple[TorchEngine, str]:
    """The engine that draws `request` now, and one line worth knowing (empty = none).

    The model must be in use by the caller; `embeddings` are of the prompt, its length decides.
    """
    if request.is_cued:
        other = request.engine != "torch"
        return (
            model.engine,
            f"drawn with torch: a logo is shown while drawing, which {request.engine} cannot" * other,
        )
    if request.engine == "compiled":
        return _compiled(model)
    if request.engine != "openvino" or model.device != "cpu":
        return model.engine, ""
    conversion = Conversion.of(request)
    if failure := conversion.failure:
        return model.engine, _once(conversion, f"drawn with torch, as OpenVINO failed: {failure}")
    if not conversion.ready:
        conversions.begin(conversion)
        return model.engine, ""
    engine = _engine(model, conversion)
    if engine is None:
        return of(model, request, embeddings)  # it has failed
    return (engine if engine.takes(embeddings) else model.engine), ""


def _engine(model: LoadedModel, conversion: Conversion) -> OpenVINOEngine | None:
    """The engine of a conversion that is ready; None = it cannot be used, which it remembers."""
    cache: LruCache[Conversion, OpenVINOEngine] = model.base.cache.setdefault(
        "converted", LruCache(_REMEMBERED)
    )
    found = cache.find(conversion)
    if found is not None:
        return found
    try:
        return cache.keep(conversion, OpenVINOEngine(model.engine, conversion))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        conversion.fail(" ".join(str(error).split()))
        return None


def _compiled(model: LoadedModel) -> tuple[TorchEngine, str]:
    """The engine whose blocks are compiled, or torch's once its compiler has failed."""
    engine = model.base.cache.get("compiled")
    if engine is None:
        engine = model.base.cache["compiled"] = CompiledEngine(model.engine)
    if not engine.failure:
        return engine, ""
    return model.engine, _once(model.config, f"drawn with torch, as compiling failed: {engine.failure}")


def _once(conversion: object, line: str) -> str:
    with _lock:
        if conversion in _said:
            return ""
        _said.add(conversion)
    return line
