"""What was sent -> a `JobSpec`, and how its pictures are handed out: where the API's fields get their meaning."""

from dataclasses import dataclass
from typing import Any

from sdxl_lora import generation
from sdxl_lora.api.access import Caller
from sdxl_lora.api.library import Library
from sdxl_lora.api.problems import Problem
from sdxl_lora.api.settings import Limits
from sdxl_lora.errors import RequestError
from sdxl_lora.jobs.spec import Effort, JobSpec
from sdxl_lora.request import FIELDS, GenerationRequest, LoraSpec, templated
from sdxl_lora.request.kinds import Kind

_LEVELS = {"medium": "draft", "high": "standard", "hd": "strict", "xhigh": "strict", "max": "strict"}
_EFFORT = ("level", "min_score", "max_attempts")
_BY_NAME = {field.name: field for field in FIELDS}
_BY_FLAG = {
    field.flag.removeprefix("--").replace("-", "_"): field
    for field in FIELDS
    if field.kind.repeatable and field.flag
}


@dataclass(frozen=True, kw_only=True)
class Output:
    """How pictures are handed out."""

    format: str = "png"
    quality: int | None = None  # of jpeg and webp; None = the usual one
    by_url: bool = False
    stream: bool = False
    partial_images: int = 0


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A spec for all the pictures of one request."""

    spec: JobSpec
    output: Output


def read(values: dict[str, Any], caller: Caller, library: Library, limits: Limits) -> Wish:
    """What `values`, which keep the schema, mean. Raises `InputError`, `Problem`."""
    given = {name: value for name, value in values.items() if value is not None}
    request = GenerationRequest(**_fields(given, library), count=given.get("n", 1))
    check(request, limits)
    effort = {name: given[name] for name in _EFFORT if name in given}
    if not effort and (level := _LEVELS.get(given.get("quality", ""))):
        effort = {"level": level}
    output = Output(
        format=given.get("output_format", "png"),
        quality=given.get("output_compression"),
        by_url=given.get("response_format") == "url",
        stream=given.get("stream", False),
        partial_images=given.get("partial_images", 0),
    )
    return Wish(spec=spec(request, caller, effort=Effort(**effort), sku=given.get("sku", "")), output=output)


def spec(
    request: GenerationRequest, caller: Caller, *, effort: Effort | None = None, sku: str = ""
) -> JobSpec:
    """What programs ask for makes room for people at browsers, also between two of its pictures."""
    return JobSpec(request=request, effort=effort or Effort(), priority="batch", user=caller.user, group=sku)


def check(request: GenerationRequest, limits: Limits) -> None:
    """Raises `InputError` for what can be seen not to be drawable before it waits, `Problem` where it is too large."""
    sides = [side for side in (request.width, request.height) if side is not None]
    if len(sides) == 2 and sides[0] * sides[1] > limits.pixels:
        raise Problem(
            422,
            f"{sides[0]} x {sides[1]} are more than the {limits.pixels:,} pixels that this server draws",
            code="too_large",
            param="size",
        )
    generation.check(request)
    if not generation.has_cue_networks(request):
        raise RequestError(
            "the networks that show a logo while drawing are not on this machine; draw with --logo-cue there once"
        )


def _fields(given: dict[str, Any], library: Library) -> dict[str, Any]:
    """Fields of a `GenerationRequest`."""
    found: dict[str, Any] = {
        name: _value(_BY_NAME[name].kind, value)
        for name, value in given.items()
        if name in _BY_NAME and name != "slots"
    }
    for flag, field in _BY_FLAG.items():
        if flag in given:
            texts = [given[flag]] if isinstance(given[flag], str) else given[flag]
            more = tuple(field.kind.parse(text) for text in texts)
            found[field.name] = (*found.get(field.name, ()), *more)
    if "size" in given:
        found |= _size(given["size"], given)
    found["model"] = library.model(found.get("model", "auto"))
    found["loras"] = tuple(
        LoraSpec(path=library.lora(lora.path), weight=lora.weight) for lora in found.get("loras", ())
    )
    slots = given.get("slots", {})
    pairs = dict(slots.items() if isinstance(slots, dict) else slots) | dict(found.pop("slots", ()))
    filled = templated.fields(
        found.get("template", ""), pairs, found.get("prompt", ""), found.get("negative_prompt")
    )
    return {**found, **filled}


def _value(kind: Kind, value: Any) -> Any:
    return kind.from_json(value)


def _size(size: str, given: dict[str, Any]) -> dict[str, int]:
    if size == "auto":
        return {}
    if "width" in given or "height" in given:
        raise Problem(400, "give size, or width and height, not both", code="invalid_value", param="size")
    width, height = map(int, size.split("x"))
    return {"width": width, "height": height}
