"""Two settings against each other: every value of one with every value of the other, as jobs, in one labelled grid.

The settings that can be an axis are those of the table of request fields that are a number, a choice or a seed; and of
the request's first LoRA its weight, or which file it is (checkpoints of one training). Everything else stays as in the
request, its seed too, so that only these two things differ. Knows nothing of pages.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from sdxl_lora.errors import RequestError, UnknownNameError
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.request import FIELDS, GenerationRequest
from sdxl_lora.request.kinds import Choice, Factor, Number, Whole

MOST: Final = 100  # pictures of a grid
USER: Final = "grids"  # whose turn they are
_SPAN = re.compile(r"(\d{1,19})\s*(?:-|\.\.)\s*(\d{1,19})")
_WEIGHT, _FILE = "lora_weight", "lora"
_KINDS = (Whole, Number, Choice, Factor)
_NEVER = ("count", "offload", "engine")  # no other picture comes of them


@dataclass(frozen=True)
class Setting:
    """Something that can be an axis."""

    name: str
    label: str
    parse: Callable[[str], Any]
    put: Callable[[GenerationRequest, Any], GenerationRequest]
    example: str


@dataclass(frozen=True)
class Axis:
    """A setting and its values, in their order. Raises `RequestError` where there are none, or one twice."""

    setting: Setting
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values or len(set(self.values)) < len(self.values):
            raise RequestError(
                f"{self.setting.label} needs one or more values, each once: {self.setting.example}"
            )

    @property
    def labels(self) -> list[str]:
        """What stands beside each value."""
        return [f"{self.setting.label} {_said(value)}" for value in self.values]


def settings() -> dict[str, Setting]:
    """Everything that can be an axis, by name."""
    found = {
        field.name: Setting(
            name=field.name,
            label=field.label,
            parse=field.kind.parse,
            put=_putting(field.name),
            example=_example(field.kind),
        )
        for field in FIELDS
        if isinstance(field.kind, _KINDS) and field.name not in _NEVER and not field.of_start
    }
    found[_WEIGHT] = Setting(_WEIGHT, "LoRA weight", float, _weigh, "0.4, 0.7, 1")
    found[_FILE] = Setting(_FILE, "LoRA", str, _exchange, "runs/a/checkpoint-100, runs/a/checkpoint-200")
    return found


def read(name: str, text: str) -> Axis:
    """An axis as somebody writes it: values with commas, whole numbers also as `1-4`. Raises `InputError`."""
    known = settings()
    if name not in known:
        raise UnknownNameError("setting", name, known)
    setting = known[name]
    values: list[Any] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        span = _SPAN.fullmatch(part)
        if span and setting.parse is int:
            first, last = int(span[1]), int(span[2])
            if not 0 <= last - first < MOST:
                raise RequestError(
                    f"{setting.label} {part!r} is no span of at most {MOST} numbers; write 1-4"
                )
            values += range(first, last + 1)
            continue
        try:
            values.append(setting.parse(part))
        except ValueError:
            raise RequestError(
                f"{setting.label} {part[:40]!r} is no number; write {setting.example}"
            ) from None
    return Axis(setting, tuple(values))


@dataclass(frozen=True)
class Grid:
    """A request, and the two settings that change. Raises `InputError` for what cannot be drawn."""

    request: GenerationRequest  # its seed is decided
    across: Axis
    down: Axis

    def __post_init__(self) -> None:
        if self.across.setting.name == self.down.setting.name:
            raise RequestError("both settings are the same; choose two")
        if self.request.seed is None:
            raise RequestError("a grid needs a seed, so that only its two settings differ")
        number = len(self.across.values) * len(self.down.values)
        if number > MOST:
            raise RequestError(f"these are {number} pictures; the most of one grid is {MOST}")
        self.requests()

    def requests(self) -> dict[tuple[int, int], GenerationRequest]:
        """(column, row) -> the request of that cell."""
        plain = replace(self.request, count=1, model_sha256="")
        return {
            (column, row): self.down.setting.put(self.across.setting.put(plain, x), y)
            for row, y in enumerate(self.down.values)
            for column, x in enumerate(self.across.values)
        }

    def specs(self) -> dict[tuple[int, int], JobSpec]:
        """(column, row) -> its job. A cell that another grid has, too, is the same job, and drawn once."""
        return {
            cell: JobSpec(
                request=request, priority="batch", user=USER, idempotency_key=_digest(request.to_dict())
            )
            for cell, request in self.requests().items()
        }


def _putting(name: str) -> Callable[[GenerationRequest, Any], GenerationRequest]:
    return lambda request, value: replace(request, **{name: value})


def _weigh(request: GenerationRequest, weight: float) -> GenerationRequest:
    first, *others = _loras(request)
    return replace(request, loras=(replace(first, weight=weight), *others))


def _exchange(request: GenerationRequest, path: str) -> GenerationRequest:
    first, *others = _loras(request)
    return replace(request, loras=(replace(first, path=path, sha256=""), *others))


def _loras(request: GenerationRequest) -> tuple[Any, ...]:
    if not request.loras:
        raise RequestError(
            "this picture was drawn without a LoRA; choose another setting, or another picture"
        )
    return request.loras


def _example(kind: Any) -> str:
    if isinstance(kind, Choice):
        return ", ".join(kind.options[:3])
    if isinstance(kind, Factor):
        return ", ".join(map(str, kind.options))
    return "3, 5, 7"


def _said(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _digest(values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:24]


__all__ = ["MOST", "Axis", "Grid", "Setting", "read", "settings"]
