"""Request fields as flags of the command line, with defaults from the environment."""

import argparse
import os
from typing import Any

from sdxl_lora.request.kinds import Switch
from sdxl_lora.request.wish import FIELDS


def add(parser: argparse.ArgumentParser, *, start: bool = False) -> None:
    """A flag for every field that has one; argparse converts its setting as if it had been typed.

    `start`: those of the picture that is begun from, too.
    """
    for field in FIELDS:
        if not field.flag or (field.of_start and not start):
            continue
        if field.kind.repeatable:
            how: dict[str, Any] = {"action": "append", "default": []}
        elif isinstance(field.kind, Switch):
            default = os.environ.get(field.setting) or None
            how = {"type": field.kind.parse, "nargs": "?", "const": True, "default": default}
        else:
            how = {"type": field.kind.parse, "default": os.environ.get(field.setting) or None}
        parser.add_argument(
            field.flag,
            dest=field.name,
            metavar=field.metavar or None,
            help=field.flag_help or field.help,
            **how,
        )


def values(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the flags say, by field, where they say something. Raises `InputError` for one of another form."""
    found = {}
    for field in FIELDS:
        value = getattr(arguments, field.name, None) if field.flag else None
        if value is not None:
            found[field.name] = tuple(map(field.kind.parse, value)) if field.kind.repeatable else value
    return found
