"""The user's own templates: written, changed and deleted as the YAML files that `library` reads.

Shipped templates are never written to, and no own template takes the name of one through here.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from sdxl_lora import files
from sdxl_lora.config import home
from sdxl_lora.errors import PromptError, StorageError, UnknownNameError
from sdxl_lora.prompts import library
from sdxl_lora.prompts.template import Slot, Template, fill, slot_names

MAX_TEXT = 2_000  # characters of a pattern or a negative prompt
BETWEEN = "|"  # suggestions in a form


def folder() -> Path:
    """Where they lie."""
    return home() / "templates"


def is_own(name: str) -> bool:
    """Whether the template of that name is a file of the user's; broken ones are too."""
    return bool(library.NAME.fullmatch(name)) and _path(name).is_file()


def copy_of(template: Template) -> Template:
    """The same template under a new name and title, not written yet."""
    garment, comma, style = template.title.rpartition(",")
    title = f"{garment or style} copy{comma}{style if comma else ''}"
    return replace(template, name=name_for(title), title=title)


def name_for(title: str) -> str:
    """A file name for a title, not taken by any template."""
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60] or "template"
    taken = {*library.templates(), *library.problems()}
    return next(name for name in _numbered(slug) if name not in taken)


def slots_of(pattern: str, rows: Sequence[dict[str, Any]]) -> tuple[Slot, ...]:
    """One slot for each that the pattern uses, from the rows of a form; new ones may be left empty.

    Args:
        rows: name, label, default, suggestions (text with `|` between them) and optional; others are ignored.

    Raises `PromptError` where the pattern is none.
    """
    given = {str(row["name"]): row for row in rows}
    slots = []
    for name in slot_names(pattern):
        row = given.get(name, {"optional": True})
        label = str(row.get("label") or "").strip() or name.replace("_", " ").capitalize()
        suggestions = [part.strip() for part in str(row.get("suggestions") or "").split(BETWEEN)]
        slots.append(
            Slot(
                name=name,
                label=label,
                default=" ".join(str(row.get("default") or "").split()),
                suggestions=tuple(part for part in suggestions if part),
                optional=bool(row.get("optional")),
            )
        )
    return tuple(slots)


def save(template: Template) -> Path:
    """Writes a template as a file of the user's, over the one of that name if it is the user's.

    Raises `PromptError` for what is no usable template or a shipped one's name, `StorageError`.
    """
    if not library.NAME.fullmatch(template.name):
        raise PromptError(f"{template.name!r} is no name; use small letters, digits and hyphens")
    if (library.BUNDLED / f"{template.name}.yaml").is_file():
        raise PromptError(f"{template.name!r} is a shipped template and stays as it is; duplicate it instead")
    for what, text in (("title", template.title), ("category", template.category), ("style", template.style)):
        if not text.strip():
            raise PromptError(f"the {what} is empty; say what to call it")
    if max(len(template.pattern), len(template.negative)) > MAX_TEXT:
        raise PromptError(f"a pattern or negative prompt is longer than {MAX_TEXT:,} characters; shorten it")
    if not fill(template, {}).strip():
        raise PromptError(
            "the pattern gives an empty prompt; write some words into it, or give its slots defaults"
        )
    text = yaml.safe_dump(_as_dict(template), sort_keys=False, allow_unicode=True, width=100)
    path = _path(template.name)
    files.write_atomically(path, text.encode())
    return path


def delete(name: str) -> None:
    """Removes a template of the user's. Raises `UnknownNameError` where it is none, `StorageError`."""
    if not is_own(name):
        own = [path.stem for path in folder().glob("*.yaml")]
        raise UnknownNameError("template of your own", name, own)
    try:
        _path(name).unlink()
    except OSError as error:
        raise StorageError(f"cannot delete {_path(name)}: {error.strerror}") from error


def _path(name: str) -> Path:
    return folder() / f"{name}.yaml"


def _numbered(slug: str) -> Any:
    yield slug
    number = 2
    while True:
        yield f"{slug}-{number}"
        number += 1


def _as_dict(template: Template) -> dict[str, Any]:
    """As `library.load` reads it."""
    slots = {}
    for slot in template.slots:
        entry: dict[str, Any] = {"label": slot.label}
        if slot.default:
            entry["default"] = slot.default
        if slot.suggestions:
            entry["suggestions"] = list(slot.suggestions)
        if slot.optional:
            entry["optional"] = True
        slots[slot.name] = entry
    texts = {key: getattr(template, key) for key in ("title", "category", "style", "pattern", "negative")}
    return {**texts, "slots": slots}
