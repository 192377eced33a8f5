"""What a prompt asks for that its model cannot draw: said before anything is drawn, and never scored as shown.

Works from the facts in a model's description (`models.capabilities`): a model with a closed vocabulary has words that
it does not know, products that it cannot draw, and a number of them that it puts into one picture. A model that says
nothing of the kind has no limits here, and nothing is claimed of it. Judges words; loads no model.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sdxl_lora.models import registry
from sdxl_lora.models.capabilities import Capabilities, split
from sdxl_lora.prompts import closest, emphasis, translation
from sdxl_lora.prompts.vocabulary import WORDS
from sdxl_lora.scoring.spec import scored_text

# Words that carry nothing to draw: whether a model knows them makes no difference.
_FUNCTION_TEXT = """
    a an the this that these those some any my your our his her its their and or but so then of for to from by at
    in into on onto over under with within as is are be being been was were has have having it he she they we you
    i me us please make draw paint create generate show showing shows want would like can could should let put picture
    image photo one very really more most just only not there here which who whose standing posing looking
"""
_FUNCTION_WORDS = frozenset(_FUNCTION_TEXT.split())
_MOST_LISTED = 6  # words named in one line


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """A word that the model was never shown."""

    word: str
    closest: str | None  # what it knows instead; None = nothing near


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What stands between a prompt and a picture of it; empty where nothing does."""

    model: str
    unknown: tuple[Unknown, ...] = ()  # in the order of the prompt
    products: tuple[str, ...] = ()  # named in the prompt, in the model's own words
    most_products: int | None = None  # that the model puts into one picture
    draws_product: bool = True  # False: the model has a closed list, and the prompt names none of it
    translation: str | None = (
        None  # the prompt in English, where each of its words is known in another language
    )

    @property
    def several(self) -> bool:
        """Whether more products are named than the model draws."""
        return self.most_products is not None and len(self.products) > self.most_products

    def lines(self) -> tuple[str, ...]:
        """What to tell a person, one line each."""
        said = []
        if self.unknown:
            words = [_named(word) for word in self.unknown[:_MOST_LISTED]]
            rest = len(self.unknown) - len(words)
            more = f" and {rest} more" if rest > 0 else ""
            said.append(f"{self.model} does not know: {', '.join(words)}{more}")
        if not self.draws_product:
            said.append(
                f"{self.model} draws none of what is named here; the picture will show something else"
            )
        if self.several:
            number = "one product" if self.most_products == 1 else f"{self.most_products} products"
            said.append(f"{self.model} draws {number} in a picture; here are {', '.join(self.products)}")
        if self.translation is not None:
            said.append(f"in English: {self.translation}")
        return tuple(said)

    def __bool__(self) -> bool:
        """Whether there is anything to say."""
        return bool(self.lines())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def of(model: str, prompt: str, slots: Mapping[str, str] | None = None) -> Limits:
    """The limits that `prompt` meets with the model of that name; none for a model that is unknown or says nothing.

    Args:
        slots: of the template it was filled from; its brand and person are no things to draw.
    """
    return of_capabilities(registry.capabilities_of(model), model, prompt, slots)


def of_capabilities(
    capabilities: Capabilities, model: str, prompt: str, slots: Mapping[str, str] | None = None
) -> Limits:
    """The same for given capabilities; `model` is what to call it."""
    text = scored_text(emphasis.plain(prompt))
    brand = emphasis.plain((slots or {}).get("brand", "")).strip()
    if brand:
        text = re.sub(rf"(?<!\w){re.escape(brand)}(?!\w)", " ", text, flags=re.IGNORECASE)
    unknown = _unknown(capabilities, text)
    products = _products(capabilities, text)
    return Limits(
        model=model,
        unknown=unknown,
        products=products,
        most_products=capabilities.products_per_picture,
        draws_product=capabilities.products is None or bool(products) or not _names_something(text, unknown),
        translation=translation.of_sentence(text) if unknown else None,
    )


def _unknown(capabilities: Capabilities, text: str) -> tuple[Unknown, ...]:
    if capabilities.words is None:
        return ()
    words = [word for word in capabilities.unknown_words(text) if word not in _FUNCTION_WORDS]
    signs = dict.fromkeys(c for c in text if unicodedata.category(c) in ("So", "Cn"))  # emoji

    def knows(phrase: str) -> bool:
        return not capabilities.unknown_words(phrase)

    # the split of a text leaves out signs; in its own order they come last
    return tuple(
        Unknown(word=word, closest=closest.closest(word, knows, capabilities.words))
        for word in [*words, *signs]
    )


def _products(capabilities: Capabilities, text: str) -> tuple[str, ...]:
    """The model's own products that are named, each once, in the order of the text; longest names first."""
    names = {
        name: product
        for product, others in capabilities.products or ()
        for name in (product, *others)
        if name not in WORDS["materials"]  # a denim jacket is no pair of jeans
    }
    if not names:
        return ()
    listed = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    found = re.finditer(rf"(?<![\w-])({listed})(?:s|es)?(?![\w-])", text, re.IGNORECASE)
    return tuple(dict.fromkeys(names[match[1].lower()] for match in found))


def _names_something(text: str, unknown: tuple[Unknown, ...]) -> bool:
    """Whether there is a word to draw at all: unknown ones are, known ones that are no product may be a scene."""
    return bool(unknown) or bool(set(split(text)) - _FUNCTION_WORDS)


def _named(word: Unknown) -> str:
    return word.word if word.closest is None else f"{word.word} (closest: {word.closest})"
