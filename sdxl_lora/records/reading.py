"""Requests as a record keeps them, also those of a newer version: what is not known here is left out, and named."""

from dataclasses import fields
from typing import Any

from sdxl_lora.errors import InputError
from sdxl_lora.request import GenerationRequest

UNREADABLE = "(made by a newer version)"  # stands where the words cannot be read


_TEXTS = {
    "prompt": str,
    "negative_prompt": str,
    "model": str,
    "scheduler": str | None,
    "template": str | None,
}


def split(values: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields that a `GenerationRequest` of this version has, and the names of the others."""
    known = {field.name for field in fields(GenerationRequest)}
    return {n: v for n, v in values.items() if n in known}, tuple(str(n) for n in values if n not in known)


def known_request(values: Any) -> tuple[GenerationRequest, tuple[str, ...]]:
    """The request of a record, and the names of the fields that this version does not know or whose values it refuses.

    A request with names beside it can be looked at; making it again would make another picture.
    """
    taken, unknown = split(values if isinstance(values, dict) else {})
    wrong = tuple(n for n, kind in _TEXTS.items() if not isinstance(taken.get(n, ""), kind))
    taken = {name: value for name, value in taken.items() if name not in wrong}
    unknown += wrong
    try:
        return GenerationRequest.from_dict(taken), unknown
    except InputError:
        pass  # one of the values: find out which
    left_out, request = list(unknown), {"prompt": UNREADABLE}
    for name in sorted(taken, key=lambda name: name != "prompt"):
        try:
            GenerationRequest.from_dict({**request, name: taken[name]})
        except InputError:
            left_out.append(name)
        else:
            request[name] = taken[name]
    if "prompt" not in taken:
        left_out.append("prompt")
    return GenerationRequest.from_dict(request), tuple(left_out)
