"""JSON schemas of what is taken and given, the fields of a picture made from the table of request fields."""

from typing import Any, Final

from sdxl_lora.api.settings import Limits
from sdxl_lora.request import FIELDS, Field, schema
from sdxl_lora.request.kinds import Text
from sdxl_lora.search.levels import LEVELS

Schema = dict[str, Any]

# the first two are found out, brand kits are the page's, the count is OpenAI's n, and the number is declared below
_NOT_TAKEN = (
    *("model_sha256", "made_from", "brand", "count", "sku"),
    *("controlnet", "ip_adapter", "controlnet_sha256", "ip_adapter_sha256"),  # no path, nothing is fetched
)
FORMATS: Final = ("png", "jpeg", "webp")
QUALITIES: Final = ("auto", "low", "standard", "medium", "high", "hd", "xhigh", "max")
SKU: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 80, "pattern": "^[!-~]+$"}
SIZE: Final = r"^(auto|[1-9][0-9]{1,3}x[1-9][0-9]{1,3})$"

_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}
_NUMBER: Schema = {"type": "number"}
_TRUTH: Schema = {"type": "boolean"}


def open_field(allowed: Schema, says: str, default: Any = None) -> Schema:
    """A field that may be left out or null."""
    parts = [*allowed["anyOf"]] if set(allowed) == {"anyOf"} else [allowed]
    return {
        "anyOf": [*parts, {"type": "null"}],
        "description": says,
        **({} if default is None else {"default": default}),
    }


def without_null(fields: Schema) -> Schema:
    """Fields as a form has them, which knows no null."""
    return {name: _without_null(field) for name, field in fields.items()}


def _without_null(field: Schema) -> Schema:
    parts = [part for part in field.get("anyOf", []) if part != {"type": "null"}]
    return {**field, "anyOf": parts} if parts else field


def one_of(*names: str) -> Schema:
    """Text that is one of these."""
    return {"type": "string", "enum": list(names)}


def thing(properties: Schema, *, optional: tuple[str, ...] = (), open_ended: bool = False) -> Schema:
    """An object that has all these and, unless `open_ended`, no others."""
    required = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": open_ended,
    }


def listed(items: Schema, **more: Any) -> Schema:
    """A list."""
    return {"type": "array", "items": items, **more}


ERROR: Final = thing(
    {
        "error": thing(
            {
                "message": {**_TEXT, "description": "One line: what is wrong, and what to do."},
                "type": _TEXT,
                "param": {"type": ["string", "null"], "description": "The field that is wrong."},
                "code": _TEXT,
            }
        )
    }
)


def wish_fields(limits: Limits) -> Schema:
    """Every field of a request, as it may be sent; all may be left out."""
    made = schema.json_schema()["properties"]
    found: Schema = {}
    for field in FIELDS:
        if field.name in _NOT_TAKEN:
            continue
        found[field.name] = _opened(made[field.name])
        if field.kind.repeatable and field.flag:
            found.update(_as_text(field))
    found["steps"] = open_field(
        {**_WHOLE, "minimum": 1, "maximum": limits.steps}, made["steps"]["description"]
    )
    pairs = made["slots"]
    by_name = {"type": "object", "additionalProperties": _TEXT}
    found["slots"] = open_field(
        {"anyOf": [by_name, {"type": "array", "items": pairs["items"]}]}, pairs["description"]
    )
    found["level"] = open_field(
        one_of(*LEVELS),
        "How hard to try: " + "; ".join(f"{name}: {level.says}" for name, level in LEVELS.items()) + ".",
    )
    found["min_score"] = open_field(
        {**_NUMBER, "minimum": -1, "maximum": 1}, "Draw again until the score is at least this."
    )
    found["max_attempts"] = open_field(
        {**_WHOLE, "minimum": 1, "maximum": 16}, "At most so many attempts per picture."
    )
    return found


def _opened(field: Schema) -> Schema:
    """A field's schema that null is allowed by, too."""
    facts = {key: value for key, value in field.items() if key in ("title", "description", "default")}
    allowed = {key: value for key, value in field.items() if key not in facts}
    parts = allowed["anyOf"] if set(allowed) == {"anyOf"} else [allowed]
    parts = [part for part in parts if part != {"type": "null"}]
    return {"anyOf": [*parts, {"type": "null"}], **facts}


def _as_text(field: Field) -> Schema:
    """A repeatable field in the words of its flag, as `lora` for `loras`."""
    name = field.flag.removeprefix("--").replace("-", "_")
    text = {**_TEXT, "minLength": 1}
    says = f"{field.help} As on the command line: {field.metavar}."
    return {name: open_field({"anyOf": [text, listed(text)]}, says)}


def generation(limits: Limits) -> Schema:
    """The body of /v1/images/generations: OpenAI's fields, and those of a request beside them."""
    own = wish_fields(limits)
    return {
        "type": "object",
        "properties": {**own, "prompt": _PROMPT, **_openai(limits)},
        "anyOf": [{"required": ["prompt"]}, {"required": ["template"]}],
        "additionalProperties": False,
    }


_PROMPT: Schema = {
    **Text().schema(),
    "description": "What to draw; {a|b} has no meaning here. With `template`: words that are added to it.",
}


def _openai(limits: Limits) -> Schema:
    sizes = "WIDTHxHEIGHT in px; auto is the model's own. Instead of width and height."
    return {
        "n": open_field(
            {**_WHOLE, "minimum": 1, "maximum": limits.pictures},
            "How many pictures; their seeds count up.",
            1,
        ),
        "size": open_field({**_TEXT, "pattern": SIZE}, sizes, "auto"),
        "quality": open_field(
            one_of(*QUALITIES),
            "Where no level is given: medium is draft, high standard, hd, xhigh and max strict; else drawn once.",
        ),
        "output_format": open_field(one_of(*FORMATS), "The kind of file.", "png"),
        "output_compression": open_field(
            {**_WHOLE, "minimum": 0, "maximum": 100}, "Quality of jpeg and webp, in percent."
        ),
        "response_format": open_field(
            one_of("b64_json", "url"), "Pictures in the answer, or where to get them."
        ),
        "stream": open_field(_TRUTH, "Server-sent events instead of one answer.", False),
        "partial_images": open_field(
            {**_WHOLE, "minimum": 0, "maximum": 3}, "With stream: so many looks at each picture on its way."
        ),
        "sku": open_field(
            SKU, "Your number of the product: kept with job and pictures, told with them, and searched by."
        ),
        "background": open_field(one_of("auto", "opaque"), "Taken for compatibility."),
        "moderation": open_field(
            one_of("auto", "low"), "Taken and not used: nothing is judged by what it shows."
        ),
        "style": open_field(one_of("vivid", "natural"), "Taken and not used: say it in the prompt."),
        "complexity": open_field(one_of("low", "medium", "high"), "Taken and not used."),
        "user": open_field({**_TEXT, "maxLength": 512}, "Taken and not kept."),
        "safety_identifier": open_field({**_TEXT, "maxLength": 512}, "Taken and not kept."),
    }


_USAGE = thing(
    {
        "input_tokens": _WHOLE,
        "output_tokens": _WHOLE,
        "total_tokens": _WHOLE,
        "input_tokens_details": thing({"image_tokens": _WHOLE, "text_tokens": _WHOLE}),
    }
)
IMAGES: Final = thing(
    {
        "created": {**_WHOLE, "description": "Unix time, seconds."},
        "data": listed(
            thing(
                {
                    "b64_json": _TEXT,
                    "url": _TEXT,
                    "revised_prompt": {
                        **_TEXT,
                        "description": "What was drawn, the template's words included.",
                    },
                    "id": {**_TEXT, "description": "Of the picture in the gallery; GET /v1/images/{id}."},
                    "seed": _WHOLE,
                    "score": {"type": ["number", "null"]},
                    "scorer": _TEXT,
                },
                optional=("b64_json", "url"),
            )
        ),
        "output_format": one_of(*FORMATS),
        "size": _TEXT,
        "background": one_of("opaque"),
        "usage": _USAGE,
    }
)
MODELS: Final = thing(
    {
        "object": one_of("list"),
        "data": listed(thing({"id": _TEXT, "object": one_of("model"), "created": _WHOLE, "owned_by": _TEXT})),
    }
)
MODEL: Final = MODELS["properties"]["data"]["items"]
JOB: Final = thing(
    {
        "id": _TEXT,
        "object": one_of("job"),
        "sku": {"type": ["string", "null"]},
        "status": one_of("queued", "running", "done", "failed", "cancelled"),
        "created_at": _NUMBER,
        "position": {**_WHOLE, "description": "Jobs that come before it."},
        "progress": {**_NUMBER, "description": "Share done, 0 to 1."},
        "eta_seconds": {
            "type": ["number", "null"],
            "description": "Until done, waiting included, as known now.",
        },
        "pictures": listed(
            thing(
                {
                    "index": _WHOLE,
                    "step": _WHOLE,
                    "steps": _WHOLE,
                    "attempts": _WHOLE,
                    "id": {"type": ["string", "null"], "description": "In the gallery, once it is done."},
                    "url": {"type": ["string", "null"], "description": "Path of the PNG on this server."},
                }
            )
        ),
        "error": {"anyOf": [ERROR["properties"]["error"], {"type": "null"}]},
        "notes": listed(_TEXT),
        "request": {"type": "object", "description": "The request as it was sent; null is not decided yet."},
    }
)
JOBS: Final = thing({"object": one_of("list"), "data": listed(JOB), "has_more": _TRUTH})

INPUT: Final = thing(
    {
        "hash": {**_TEXT, "description": "SHA-256, by which requests name it."},
        "kind": one_of("png", "svg"),
        "width": _WHOLE,
        "height": _WHOLE,
        "notes": listed(_TEXT),
    }
)


def job_body(limits: Limits) -> Schema:
    """The body of POST /v1/jobs: that of a generation, without what only an answer at once can do."""
    body = generation(limits)
    at_once = (
        "stream",
        "partial_images",
        "response_format",
        "output_format",
        "output_compression",
        "background",
    )
    kept = {name: field for name, field in body["properties"].items() if name not in at_once}
    return {**body, "properties": kept}
