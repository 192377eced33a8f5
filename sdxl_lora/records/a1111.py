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
from sdxl_lora.records import foreign
from sdxl_lora.request import FIELDS, Field, GenerationRequest

_NEGATIVE = "Negative prompt:"
_LORA = re.compile(r"\s*<lora:([^:<>]+)(?::[^<>]*)?>")
_SETTING = re.compile(r'\s*([A-Za-z][\w /-]*):\s*("(?:[^"\\]|\\.)*"|[^,]*)(?:,|$)')

_SAMPLERS = {  # as AUTOMATIC1111 calls them -> ours
    "Euler": "euler",
    "Euler a": "euler-a",
    "DDIM": "ddim",
    "DPM++ 2M": "dpm++ 2m",
    "DPM++ 2M Karras": "dpm++ 2m karras",
    "DPM++ 2M SDE": "dpm++ 2m sde",
    "UniPC": "unipc",
    "Heun": "heun",
}
_COMFY = {"euler_ancestral": "euler-a", "dpmpp_2m": "dpm++ 2m", "uni_pc": "unipc"}  # and what grew from it
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
        notes.append(f"Denoising strength {settings['Denoising strength']}: choose the start picture again")
    if "Model" in settings:
        notes.append(f"model {settings['Model']}: choose one here")
    if "Sampler" in settings:
        name = sampler(settings["Sampler"], settings.get("Schedule type", ""))
        request = replace(request, scheduler=name)
        if name is None:
            notes.append(f"sampler {settings['Sampler']}: choose one here")
    dropped = [f"{key} {value}" for key, value in settings.items() if key not in (*_KEYS, *_HARMLESS)]
    if dropped:
        notes.append(f"not done here: {', '.join(dropped)}")
    return request, tuple(notes)


def sampler(name: str, schedule: str = "") -> str | None:
    """Our name of a sampler as other programs call it; None: there is none here."""
    ours = {theirs.lower(): own for theirs, own in _SAMPLERS.items()}
    ours |= {own: own for own in _SAMPLERS.values()} | _COMFY
    wanted = f"{name} {schedule}" if schedule.lower() == "karras" else name
    return ours.get(wanted.strip().lower())


def name_of(sampler: str) -> str:
    """What AUTOMATIC1111 calls a sampler of ours; ours, where it has none."""
    return {own: theirs for theirs, own in _SAMPLERS.items()}.get(sampler, sampler)


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
        made["scheduler"] = name_of(request.scheduler)
    found = {}
    for key, parts in _KEYS.items():
        if all(made[field.name] not in (None, field.otherwise) for field in parts):
            found[key] = "x".join(field.kind.words(made[field.name]) for field in parts)
    return found


def _values(key: str, parts: list[Field], settings: dict[str, str]) -> dict[str, Any]:
    """Field -> value of one setting. Raises `ValueError`, `InputError`."""
    texts = [settings[key]] if len(parts) == 1 else settings[key].split("x")
    return {field.name: field.kind.parse(text) for field, text in zip(parts, texts, strict=True)}


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
