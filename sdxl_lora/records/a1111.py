"""The `parameters` text of AUTOMATIC1111's web UI: written for other programs, read from their pictures.

    prompt, one or more lines
    Negative prompt: one or more lines
    Steps: 20, Sampler: Euler, CFG scale: 5, Seed: 42, Size: 1024x1024, Model: sdxl

What cannot be said in a `GenerationRequest` of this machine (a model or LoRA known elsewhere by a short name,
a value out of range) is left out and named in a note. Knows nothing of files.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from sdxl_lora.errors import InputError, PromptError
from sdxl_lora.request import GenerationRequest

_NEGATIVE = "Negative prompt:"
_LORA = re.compile(r"\s*<lora:([^:<>]+)(?::[^<>]*)?>")
_SETTING = re.compile(r'\s*([A-Za-z][\w /-]*):\s*("(?:[^"\\]|\\.)*"|[^,]*)(?:,|$)')


def write(request: GenerationRequest, size: tuple[int, int]) -> str:
    """The text for one picture of `size` (width, height) px; undecided settings are left out."""
    tags = "".join(f" <lora:{PurePath(lora.path).stem}:{lora.weight:g}>" for lora in request.loras)
    lines = [request.prompt + tags]
    if request.negative_prompt:
        lines.append(f"{_NEGATIVE} {request.negative_prompt}")
    settings: dict[str, Any] = {
        "Steps": request.steps,
        "Sampler": request.scheduler,
        "Sketch steps": request.sketch_steps,  # our own; others ignore what they do not know
        "CFG scale": request.guidance,
        "Guidance end": request.guidance_end,  # our own too
        "Seed": request.seed,
        "Size": f"{size[0]}x{size[1]}",
        "Model": request.model,
    }
    decided = {name: value for name, value in settings.items() if value is not None}
    lines.append(", ".join(f"{name}: {_quoted(value)}" for name, value in decided.items()))
    return "\n".join(lines)


def read(text: str) -> tuple[GenerationRequest, tuple[str, ...]]:
    """Request for one picture, and notes on what it could not take over.

    Raises `PromptError` if there is no usable prompt.
    """
    prompt, negative, settings = _split(text)
    notes: list[str] = []
    loras = _LORA.findall(prompt)
    if loras:
        prompt = _LORA.sub("", prompt).strip()
        notes.append(f"LoRA {', '.join(loras)}: load it from its file")
    if not prompt:
        raise PromptError("it has no prompt")
    request = GenerationRequest(prompt=prompt, negative_prompt=negative)
    for name, convert in _FIELDS.items():
        if name not in settings:
            continue
        try:
            request = replace(request, **convert(settings[name]))
        except (ValueError, InputError):
            notes.append(f"{name} {settings[name]} cannot be used here")
    for name in ("Model", "Sampler"):
        if name in settings:
            notes.append(f"{name.lower()} {settings[name]}: choose one here")
    return request, tuple(notes)


def _size(text: str) -> dict[str, Any]:
    width, _, height = text.partition("x")
    return {"width": int(width), "height": int(height)}


_FIELDS: dict[str, Callable[[str], dict[str, Any]]] = {
    "Steps": lambda text: {"steps": int(text)},
    "Sketch steps": lambda text: {"sketch_steps": int(text)},
    "CFG scale": lambda text: {"guidance": float(text)},
    "Guidance end": lambda text: {"guidance_end": float(text)},
    "Seed": lambda text: {"seed": int(text)},
    "Size": _size,
}


def _split(text: str) -> tuple[str, str, dict[str, str]]:
    """Prompt, negative prompt, and the settings of the last lines."""
    lines = text.replace("\r\n", "\n").split("\n")
    starts = [i for i, line in enumerate(lines) if line.startswith("Steps: ")]
    end = starts[-1] if starts else len(lines)
    settings = {name: _unquoted(value.strip()) for name, value in _SETTING.findall("\n".join(lines[end:]))}
    negative = next((i for i, line in enumerate(lines[:end]) if line.startswith(_NEGATIVE)), end)
    prompt = "\n".join(lines[:negative]).strip()
    return prompt, "\n".join(lines[negative:end]).removeprefix(_NEGATIVE).strip(), settings


def _quoted(value: Any) -> str:
    """Values with a comma, colon or line break stand in quotation marks, as AUTOMATIC1111 writes them."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    if not any(c in text for c in ',:\n"'):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unquoted(text: str) -> str:
    if len(text) < 2 or not (text[0] == text[-1] == '"'):
        return text
    return re.sub(r"\\(.)", r"\1", text[1:-1])
