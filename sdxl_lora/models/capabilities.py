"""What a model can do: facts of its description, from `studio.json` in its folder, never from its name.

A file that says nothing leaves the defaults, which fit Stable Diffusion 1.x and SDXL: any word, any product, people and
letters, judged by a general CLIP. A model with a closed vocabulary says which words and products it knows.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

from sdxl_lora.errors import InputError

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")  # "t-shirt" and "levi's" are one word


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What can be asked of a model with a chance to be drawn."""

    letters: bool = True  # legible writing: a brand's name can be looked for on its pictures
    people: bool = True  # faces and bodies, not only figures without features
    products_per_picture: int | None = None  # more are not drawn; None = no limit is known
    products: tuple[tuple[str, tuple[str, ...]], ...] | None = None  # (product, words for it); None = any
    words: frozenset[str] | None = None  # lower case, as `split` gives them; None = no closed list
    inpainting: bool = False  # its network takes a mask and the masked picture
    judge: str | None = (
        None  # folder inside the model's with a CLIP that knows its subjects; None = a general one
    )
    logo_cues: bool = False  # the usual ControlNet and IP-Adapter for SDXL fit its network
    multiple: int = 8  # px that width and height must be divisible by
    largest_area: float = 4.0  # times the area of its own size; larger pictures come out doubled or torn

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """The words of `text` that the model does not know, in their order; none where its vocabulary is open."""
        if self.words is None:
            return ()
        known = self.words
        return tuple(dict.fromkeys(word for word in split(text) if not _is_known(word, known)))

    def product_of(self, words: str) -> str | None:
        """Which of its products `words` name ("navy windbreaker jacket" -> "jacket"); None = none of them.

        The longest word for a product that stands in `words` decides. Without a closed list nothing can be said: None.
        """
        wanted = _singular(words)
        found = [
            (len(name), product)
            for product, names in self.products or ()
            for name in {product, *names}
            if _singular(name) in wanted
        ]
        return max(found)[1] if found else None

    def draws(self, words: str) -> bool | None:
        """Whether the product that `words` name is one of its own; None = it has no closed list."""
        return None if self.products is None else self.product_of(words) is not None


def split(text: str) -> list[str]:
    """The words of a text in lower case, without numbers and punctuation."""
    return [word for word in _WORD.findall(text.lower()) if not word.isdigit()]


def read(values: Mapping[str, Any], *, file: object = "studio.json", **facts: Any) -> Capabilities:
    """From the entry `capabilities` of a `studio.json`; `facts` are what the model's other files say.

    `products` is an object there: product -> list of words for it. Entries of newer versions are passed over.
    Raises `InputError` where an entry is of another kind than its field.
    """
    known = {f.name for f in fields(Capabilities)} - set(facts)
    given: dict[str, Any] = {name: value for name, value in values.items() if name in known}
    for name, value in given.items():
        if not _fits(name, value):
            raise InputError(
                f"{file} cannot be read: capabilities.{name} is {value!r:.60}; see docs/architecture.md"
            )
    if given.get("products") is not None:
        given["products"] = tuple((product, tuple(names)) for product, names in given["products"].items())
    if given.get("words") is not None:
        given["words"] = _words(tuple(given["words"]))
    return Capabilities(**given, **facts)


def write(found: Capabilities) -> dict[str, Any]:
    """JSON-ready; `read` gives equal capabilities back."""
    return {
        **asdict(found),
        "products": None
        if found.products is None
        else {product: list(names) for product, names in found.products},
        "words": None if found.words is None else sorted(found.words),
    }


@lru_cache(maxsize=8)
def _words(entries: tuple[str, ...]) -> frozenset[str]:
    """All words of some entries; a model is described for every picture."""
    return frozenset(word for entry in entries for word in split(entry))


def _singular(text: str) -> str:
    """Words between blanks, each without the s of a plural, so that whole words can be looked for."""
    return f" {' '.join(word.removesuffix('s') for word in split(text))} "


def _is_known(word: str, known: frozenset[str]) -> bool:
    """Hyphens join what is known apart: "navy-blue"; a plural or possessive is its word."""
    if word in known or word.removesuffix("'s") in known or word.removesuffix("s") in known:
        return True
    parts = word.split("-")
    return len(parts) > 1 and all(part in known or part.isdigit() for part in parts)


def _fits(name: str, value: Any) -> bool:
    match name:
        case "letters" | "people" | "inpainting" | "logo_cues":
            return isinstance(value, bool)
        case "products_per_picture":
            return value is None or (type(value) is int and value > 0)
        case "multiple":
            return type(value) is int and value > 0
        case "largest_area":
            return type(value) in (int, float) and value >= 1
        case "judge":
            return value is None or isinstance(value, str)
        case "products":
            return value is None or (
                isinstance(value, dict) and all(_is_words(names) for names in value.values())
            )
    return value is None or _is_words(value)


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)
