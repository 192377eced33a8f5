"""What is wished for: `GenerationRequest`, from page or command line to record.

Knows nothing of models: what a wish leaves open is decided by `generation.resolve`.
"""

import math
import unicodedata
from dataclasses import dataclass, fields, replace
from typing import Any, Self, get_args

from sdxl_lora.config import MAX_PROMPT_CHARACTERS, Precision
from sdxl_lora.errors import PromptError, RequestError

MAX_STEPS = 150
MAX_COUNT = 64
MAX_SIDE = 4_096  # px
MAX_SEED = 2**63 - 1
OWN_SCHEDULER = "own"  # the sampler in the model's own files


@dataclass(frozen=True, kw_only=True)
class LoraSpec:
    """One LoRA to load onto the model."""

    path: str  # file, folder or hub id
    weight: float = 1.0  # scale; 0 = off
    sha256: str = ""  # of the file it was, for the record; only a `ResolvedRequest` insists on it

    def __post_init__(self) -> None:
        for name, text in (("path", self.path), ("hash", self.sha256)):
            if not isinstance(text, str):
                raise RequestError(f"the {name} of a LoRA is {text!r}, which is no text")
        if isinstance(self.weight, bool) or not isinstance(self.weight, int | float):
            raise RequestError(f"LoRA weight {self.weight!r} is not a number")
        if not math.isfinite(self.weight) or abs(self.weight) > 10:
            raise RequestError(
                f"LoRA weight {self.weight} is not between -10 and 10; 1 is the trained strength"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """`PATH` or `PATH:WEIGHT`, as on the command line."""
        path, colon, weight = text.rpartition(":")
        if colon and path:
            try:
                return cls(path=path, weight=float(weight))
            except ValueError:
                pass  # a colon inside the path itself
        return cls(path=text)


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """Everything that decides a picture, from page or command line to record.

    `None` means "the model's own default" (see `models.registry.ModelDefaults`), or for the seed "draw one".
    Picture `i` (from 0) of a request has seed `seed + i`, so any picture of a batch can be made again alone.
    """

    prompt: str
    negative_prompt: str = ""
    model: str = "auto"
    loras: tuple[LoraSpec, ...] = ()
    steps: int | None = None
    guidance: float | None = None  # classifier-free guidance scale; 1 = off
    guidance_end: float | None = None  # share of the way with guidance, from its noisy start; 1 = all of it
    seed: int | None = None
    count: int = 1
    width: int | None = None  # px, a multiple of 8
    height: int | None = None  # px, a multiple of 8
    precision: Precision = "auto"
    scheduler: str | None = None
    sketch_steps: int | None = None  # the first half of the way in the strides of such a sketch; 0 = even
    template: str = ""  # template the prompt was filled from; kept for the record
    slots: tuple[tuple[str, str], ...] = ()  # (slot, value) pairs of that template
    model_sha256: str = ""  # of the model it was, for the record; only a `ResolvedRequest` insists on it

    def __post_init__(self) -> None:
        _check_prompt(self.prompt)
        _check_text("negative prompt", self.negative_prompt)
        _check_integer("steps", self.steps, 1, MAX_STEPS)
        if self.sketch_steps != 0:
            _check_integer("sketch steps", self.sketch_steps, 2, MAX_STEPS)
        _check_integer("count", self.count, 1, MAX_COUNT)
        _check_integer("seed", self.seed, 0, MAX_SEED)
        for name in ("width", "height"):
            _check_side(name, getattr(self, name))
        if self.guidance is not None and not (math.isfinite(self.guidance) and 0 <= self.guidance <= 30):
            raise RequestError(f"guidance {self.guidance} is not a number between 0 and 30; 3 to 7 is usual")
        if self.guidance_end is not None and not 0 <= self.guidance_end <= 1:
            raise RequestError(
                f"guidance end {self.guidance_end} is not between 0 and 1; 1 guides every step"
            )
        if self.precision not in get_args(Precision):
            raise RequestError(f"precision {self.precision!r} is not one of {', '.join(get_args(Precision))}")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` gives an equal request back."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["loras"] = [{f.name: getattr(lora, f.name) for f in fields(lora)} for lora in self.loras]
        values["slots"] = [list(pair) for pair in self.slots]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Inverse of `to_dict`. Raises `RequestError` on unknown or malformed fields."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise RequestError(f"unknown request fields: {', '.join(unknown)}")
        try:
            loras = tuple(LoraSpec(**lora) for lora in values.get("loras", ()))
            slots = tuple((str(name), str(value)) for name, value in values.get("slots", ()))
            template = values.get("template") or ""  # null, before a template was a text
            return cls(**{**values, "loras": loras, "slots": slots, "template": template})
        except (TypeError, ValueError) as error:
            raise RequestError(f"this is not a generation request: {error}") from error

    def for_picture(self, index: int) -> Self:
        """The request that makes picture `index` of this one alone. The seed must be decided."""
        if self.seed is None:
            raise RequestError("the seed of this request is not decided yet")
        return replace(self, seed=(self.seed + index) % (MAX_SEED + 1), count=1)


def _check_prompt(prompt: str) -> None:
    if not isinstance(prompt, str) or not prompt.strip():
        raise PromptError("the prompt is empty; say what to make, for example 'a navy windbreaker jacket'")
    _check_text("prompt", prompt)


def _check_text(name: str, text: str) -> None:
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise PromptError(f"the {name} has {len(text):,} characters; shorten it to {MAX_PROMPT_CHARACTERS:,}")
    # Cc = control characters; Cs = lone surrogates, which no file or database can store
    bad = {c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\r\t"}
    if bad:
        codes = ", ".join(f"U+{ord(c):04X}" for c in sorted(bad))
        raise PromptError(f"the {name} contains control characters ({codes}); remove them")


def _check_integer(name: str, value: int | None, low: int, high: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise RequestError(f"{name} {value!r} is not a whole number")
    if not low <= value <= high:
        raise RequestError(f"{name} {value} is not between {low} and {high}")


def _check_side(name: str, value: int | None) -> None:
    _check_integer(name, value, 64, MAX_SIDE)
    if value is not None and value % 8:
        raise RequestError(f"{name} {value} is not a multiple of 8; use {round(value / 8) * 8}")
