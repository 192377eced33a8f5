"""Which column of a table means what: template slots, request fields, and what only a catalogue has.

A column is understood by its name (`Colour`, `color` and `COLOUR` are one), or as it is mapped. Knows no rows.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sdxl_lora import prompts
from sdxl_lora.errors import DataError, UnknownNameError
from sdxl_lora.request import FIELDS

IGNORED = "ignore"  # a target
OWN = {  # target -> what it is called
    "sku": "Product number (SKU)",
    "name": "Name of the view",
    "prompt": "More words",
    "template": "Template",
    "photo": "Photo of the product",
    "brand_kit": "Brand kit",
    "preset": "Shops",
    "alt": "Alternative text",
    "level": "How hard to try",
    "min_score": "Least score",
    "max_attempts": "Most attempts",
}
REQUEST = {field.name: field.label for field in FIELDS if field.flag and field.name not in (*OWN, "slots")}
_ALIASES = {
    "kit": "brand_kit",
    "article": "sku",
    "article_no": "sku",
    "article_number": "sku",
    "artikelnr": "sku",
    "artikel_nr": "sku",
    "artikelnummer": "sku",
    "id": "sku",
    "item": "sku",
    "item_no": "sku",
    "item_number": "sku",
    "product_code": "sku",
    "product_id": "sku",
    "product_no": "sku",
    "product_number": "sku",
    "style_no": "sku",
    "variant_sku": "sku",
    "ref": "sku",
    "reference": "sku",
    "style_number": "sku",
    "view": "name",
    "shot": "name",
    "words": "prompt",
    "color": "colour",
    "second_color": "second_colour",
    "logo_color": "logo_colour",
    "farbe": "colour",
    "couleur": "colour",
    "garment": "product",
    "scene": "setting",
    "lora": "loras",
    "avoid": "negative_prompt",
    "effort": "level",
    "shop": "preset",
    "shops": "preset",
    "presets": "preset",
    "alt_text": "alt",
    "image": "photo",
    "picture": "photo",
    "problem": IGNORED,  # the column that a file of failed rows has
}


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What every column means."""

    targets: Mapping[str, str]  # column -> target
    unused: tuple[str, ...]  # columns that mean nothing here


def targets() -> dict[str, str]:
    """Every target a column can have -> what it is called; slots of all templates among them."""
    slots = {slot.name: slot.label for template in prompts.templates().values() for slot in template.slots}
    return {**OWN, **REQUEST, **slots, IGNORED: "Not used"}


def choose(columns: Iterable[str], given: Mapping[str, str] | None = None) -> Meaning:
    """What each column means: as `given` (column -> target), else by its name.

    Raises `UnknownNameError` for a column or target that is not there, `DataError` for two columns of one meaning.
    """
    names, known = list(columns), targets()
    plain = {_plain(name): name for name in reversed(names)}
    chosen: dict[str, str] = {}
    for column, target in (given or {}).items():
        exact = column if column in names else plain.get(_plain(column), "")
        if not exact:
            raise UnknownNameError("column", column, names)
        chosen[exact] = _target(target, known)
    taken = {target for target in chosen.values() if target != IGNORED}
    unused = []
    for name in names:
        if name in chosen:
            continue
        guess = by_name(name, known)
        if not guess or (guess in taken and guess != IGNORED):
            unused.append(name)
        else:
            chosen[name] = guess
            taken.add(guess)
    used = [target for target in chosen.values() if target != IGNORED]
    twice = next((target for target in used if used.count(target) > 1), None)
    if twice is not None:
        both = " and ".join(repr(name) for name, target in chosen.items() if target == twice)
        raise DataError(f"columns {both} are both mapped to {twice}; map one of them to {IGNORED}")
    return Meaning(targets=chosen, unused=tuple(unused))


def by_name(column: str, known: Mapping[str, str]) -> str:
    """The target that a column's name says; "" for none."""
    name = _plain(column)
    name = _ALIASES.get(name, name)
    return name if name in known else ""


def _target(target: str, known: Mapping[str, str]) -> str:
    found = by_name(target, known)
    if not found:
        raise UnknownNameError("slot or field", target, known)
    return found


def _plain(name: str) -> str:
    text = unicodedata.normalize("NFKD", name).casefold()
    return re.sub(r"[^\w]+", "_", "".join(c for c in text if not unicodedata.combining(c))).strip("_")
