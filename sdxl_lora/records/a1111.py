"""The `parameters` text of AUTOMATIC1111's web UI: written for other programs, read from their pictures.

    prompt, one or more lines
    Negative prompt: one or more lines
    Steps: 20, Sampler: Euler, CFG scale: 5, Seed: 42, Size: 1024x1024, Model: sdxl

What cannot be said in a `GenerationRequest` of this machine (a model or LoRA known elsewhere by a short name,
a value out of range) is left out and named in a note. Knows nothing of files.
"""

import re
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from sdxl_lora.errors import InputError, PromptError
from sdxl_lora.records import foreign, samplers
from sdxl_lora.request import FIELDS, Field, GenerationRequest

_NEGATIVE = "Negative prompt:"
_LORA = re.compile(r"\s*<lora:([^:<>]+)(?::[^<>]*)?>")
_SETTING = re.compile(r'\s*([A-Za-z][\w /-]*):\s*("(?:[^"\\]|\\.)*"|[^,]*)(?:,|$)')

_STRENGTH = "Denoising strength"
_NAMES = ("Model", "Sampler")  # what another program calls them says little here
_HARMLESS = (  # settings whose loss changes no picture
    *(
        "Version",
        "Model hash",
        "Schedule type",
        "Lora hashes",
        "TI hashes",
        "Hashes",
        "VAE hash",
        "RNG",
        "User",
    ),
)
_KEYS: dict[str, list[Field]] = {}  # A1111 key -> what is written under it
for _field in FIELDS:
    if _field.a1111:
        _KEYS.setdefault(_field.a1111, []).append(_field)


def write(request: GenerationRequest, size: tuple[int, int]) -> str:
    """The text for one picture of `size` (width, height) px; undecided settings are left out."""
    tags = "".join(f" <lora:{PurePath(lora.path).stem}:{lora.weight:g}>" for lora in request.loras)
    lines = [request.prompt + tags]
    if request.negative_prompt:
        lines.append(f"{_NEGATIVE} {request.negative_prompt}")
    decided = _settings(request, size)
    lines.append(", ".join(f"{name}: {_quoted(value)}" for name, value in decided.items()))
    return "\n".join(lines)


def read(text: str) -> tuple[GenerationRequest, tuple[str, ...]]:
    """Request for one picture, and notes on what it could not take over.

    Raises `PromptError` if there is no usable prompt.
    """
    if text.lstrip().startswith("{") and (values := foreign.parsed(text)) is not None:
        return foreign.read(values)
    prompt, negative, settings = _split(text)
    notes: list[str] = []
    loras = _LORA.findall(prompt)
    if loras:
        prompt = _LORA.sub("", prompt).strip()
        notes.append(f"LoRA {', '.join(loras)}: load it from its file")
    if not prompt:
        raise PromptError("it has no prompt")
    request = GenerationRequest(prompt=prompt, negative_prompt=negative)
    for key, parts in _KEYS.items():
        if key not in settings or key in _NAMES:
            continue
        try:
            request = replace(request, **_values(key, parts, settings))
        except (ValueError, InputError):
            notes.append(f"{key} {settings[key]} cannot be used here")
    if request.strength is not None:  # and the picture it began from is not in the file
        request = replace(request, strength=None)
        if not _is_enlarged(settings):
            notes.append(f"{_STRENGTH} {settings[_STRENGTH]}: choose the start picture again")
    if "Model" in settings:
        notes.append(f"model {settings['Model']}: choose one here")
    if "Sampler" in settings:
        theirs = (settings["Sampler"], settings.get("Schedule type", ""))
        request = replace(request, scheduler=samplers.ours(*theirs))
        if request.scheduler is None:
            notes.append(f"sampler {' '.join(theirs).strip()}: choose one here")
    done = set(_KEYS) - ({_STRENGTH} if _is_enlarged(settings) else set())
    dropped = [f"{key} {value}" for key, value in settings.items() if key not in (*done, *_HARMLESS)]
    if dropped:
        notes.append(f"not done here: {', '.join(dropped)}")
    return request, tuple(notes)


def settings_of(text: str) -> dict[str, str]:
    """The settings in the last line of `parameters`, by AUTOMATIC1111's names, as they stand there."""
    return _split(text)[2]


def _settings(request: GenerationRequest, size: tuple[int, int]) -> dict[str, str]:
    """A1111 key -> value of what is decided and not the usual; fields that share a key are joined as 640x480."""
    made = {field.name: getattr(request, field.name) for field in FIELDS} | {
        "width": size[0],
        "height": size[1],
    }
    if request.scheduler is not None:
        made["scheduler"] = samplers.theirs(request.scheduler)
    found = {}
    for key, parts in _KEYS.items():
        if all(made[field.name] not in (None, field.otherwise) for field in parts):
            found[key] = "x".join(field.kind.words(made[field.name]) for field in parts)
    return found


def _values(key: str, parts: list[Field], settings: dict[str, str]) -> dict[str, Any]:
    """Field -> value of one setting. Raises `ValueError`, `InputError`."""
    texts = [settings[key]] if len(parts) == 1 else settings[key].split("x")
    return {field.name: field.kind.parse(text) for field, text in zip(parts, texts, strict=True)}


def _is_enlarged(settings: dict[str, str]) -> bool:
    """Whether a second, larger pass was drawn ("Hires. fix"); the denoising strength is that pass's."""
    return any(name.startswith("Hires") for name in settings)


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
