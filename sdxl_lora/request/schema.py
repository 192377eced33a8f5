"""The JSON schema of a request (draft 2020-12), made from the table of fields, for whoever writes one by program."""

from typing import Any

from sdxl_lora.request.field import MISSING, Field
from sdxl_lora.request.wish import FIELDS


def json_schema() -> dict[str, Any]:
    """What `GenerationRequest.from_dict` takes."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "GenerationRequest",
        "type": "object",
        "properties": {field.name: _property(field) for field in FIELDS},
        "required": [field.name for field in FIELDS if field.default is MISSING],
        "additionalProperties": False,
    }


def _property(field: Field) -> dict[str, Any]:
    allowed = field.kind.schema()
    facts: dict[str, Any] = {
        "title": field.label,
        "description": f"{field.help} In {field.unit}." if field.unit else field.help,
    }
    if field.open:
        return {"anyOf": [allowed, {"type": "null"}], "default": None, **facts}
    if field.default is MISSING:
        return {**allowed, **facts}
    return {**allowed, "default": field.kind.to_json(field.default), **facts}
