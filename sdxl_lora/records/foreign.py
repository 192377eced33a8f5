"""Requests in the JSON of Fooocus and SwarmUI, which stands where AUTOMATIC1111 writes its lines.

    {"sui_image_params": {"prompt": "a cap", "cfgscale": 7, ...}}                  SwarmUI
    {"prompt": "a cap", "guidance_scale": 4.0, "resolution": "(896, 1152)", ...}   Fooocus

Only what a `GenerationRequest` can say is taken over; the rest is named in a note. Knows nothing of files.
"""

import json
import re
from dataclasses import replace
from typing import Any

from sdxl_lora import plain_json
from sdxl_lora.errors import InputError, PromptError
from sdxl_lora.records import samplers
from sdxl_lora.request import FIELDS, GenerationRequest

_THEIRS = {  # key without underscores -> field
    "prompt": "prompt",
    "negativeprompt": "negative_prompt",
    "steps": "steps",
    "cfgscale": "guidance",
    "guidancescale": "guidance",
    "seed": "seed",
    "width": "width",
    "height": "height",
}
_CHOSEN = ("model", "basemodel", "loras")  # by names that say little here
_HARMLESS = ("swarmversion", "version", "metadatascheme", "fullprompt", "fullnegativeprompt", "basemodelhash")


def parsed(text: str) -> dict[str, Any] | None:
    """The values if `text` is such JSON; else None, for a prompt may begin with a brace."""
    try:
        values = plain_json.parse(text)
    except json.JSONDecodeError:
        return None
    if not isinstance(values, dict):
        return None
    inner = values.get("sui_image_params", values)
    return inner if isinstance(inner, dict) else None


def read(values: dict[str, Any]) -> tuple[GenerationRequest, tuple[str, ...]]:
    """Request for one picture, and notes on what it could not take over.

    Raises `PromptError` if there is no usable prompt.
    """
    said = {key.lower().replace("_", ""): value for key, value in values.items()}
    prompt = said.pop("prompt", "")
    if not isinstance(prompt, str) or not prompt.strip():
        raise PromptError("it has no prompt")
    request, notes = GenerationRequest(prompt=prompt), []
    size = re.findall(r"\d+", str(said.pop("resolution", "")))
    if len(size) == 2:
        said |= {"width": size[0], "height": size[1]}
    kinds = {field.name: field.kind for field in FIELDS}
    for key, name in _THEIRS.items():
        value = said.pop(key, None)
        if value not in (None, ""):
            try:
                request = replace(request, **{name: kinds[name].parse(str(value))})
            except (ValueError, InputError):
                notes.append(f"{key} {value} cannot be used here")
    if name := str(said.pop("sampler", "") or ""):
        schedule = str(said.pop("scheduler", "") or "")
        request = replace(request, scheduler=samplers.ours(name, schedule))
        if request.scheduler is None:
            notes.append(f"sampler {name} {schedule}".rstrip() + ": choose one here")
    notes += [f"{key} {said.pop(key)}: choose one here" for key in _CHOSEN if said.get(key)]
    dropped = [
        key for key, value in said.items() if key not in _HARMLESS and value not in (None, "", [], {}, False)
    ]
    if dropped:
        notes.append(f"not done here: {', '.join(dropped)}")
    return request, tuple(notes)
