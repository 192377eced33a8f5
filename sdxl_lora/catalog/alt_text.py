"""The text for those who cannot see a picture: what is on it, in one short sentence.

Shops and search engines ask for it; screen readers read it out, so it says the product and not how it was made.
"""

import re
import textwrap
from collections.abc import Mapping

from sdxl_lora.prompts import emphasis
from sdxl_lora.prompts.template import article, is_plural
from sdxl_lora.request import GenerationRequest

MOST = 125  # characters: some screen readers stop there


def alt_text(request: GenerationRequest) -> str:
    """One sentence on what the picture shows, from its slots where it has a product, else from its words."""
    slots = {name: emphasis.plain(value).strip() for name, value in request.slots}
    product = slots.get("product", "")
    if not product:
        return _short(_first_words(emphasis.plain(request.prompt)))
    words = [slots.get(name, "") for name in ("colour", "pattern", "material")]
    thing = " ".join(filter(None, [*words, product]))
    said = thing if is_plural(product) else f"{article(thing)} {thing}"
    brand = f" by {slots['brand']}" if slots.get("brand") else ""
    return _short(f"{said}{brand}{_logo(slots)}{_scene(slots)}")


def _logo(slots: Mapping[str, str]) -> str:
    logo = slots.get("logo", "")
    if not logo:
        return ""
    thing = " ".join(filter(None, [slots.get("logo_colour", ""), logo, "logo"]))
    return f" with {article(thing)} {thing} {slots.get('logo_position', '')}".rstrip()


def _scene(slots: Mapping[str, str]) -> str:
    return "".join(f", {slots[name]}" for name in ("presentation", "setting") if slots.get(name))


def _first_words(prompt: str) -> str:
    """What follows "a photograph of", or the words themselves."""
    found = re.search(
        r"\b(?:photograph(?:y)?|photo|picture|image) of (.+)", prompt, re.IGNORECASE | re.DOTALL
    )
    return found[1] if found else prompt


def _short(text: str) -> str:
    plain = textwrap.shorten(" ".join(text.split()), MOST, placeholder="…").rstrip(",;. ")
    return plain[:1].upper() + plain[1:]
