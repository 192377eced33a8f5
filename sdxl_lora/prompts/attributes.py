"""What a sentence claims about a picture: colour, garment, pattern, logo, background, each with its rivals.

A claim is a stretch of the sentence and the words it could be swapped for, so that the same sentence with one
thing changed can be compared with it. Found by words, longest first; what no list knows is not found. Slots of
a template add their own values to the lists. Pure strings: knows no models.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sdxl_lora.prompts.emphasis import plain
from sdxl_lora.prompts.template import article
from sdxl_lora.prompts.vocabulary import WORDS

# Families of words for one thing; the first word of each stands for it as a rival of the others.
GARMENTS: tuple[tuple[str, ...], ...] = (
    ("jacket", "windbreaker jacket", "windbreaker", "track jacket", "shell jacket", "zip-up jacket"),
    ("puffer jacket", "padded jacket", "down jacket", "quilted puffer jacket", "puffer"),
    ("coat", "trench coat", "long coat", "knee-length coat", "overcoat", "wool coat"),
    ("vest", "sleeveless vest", "gilet", "body warmer"),
    ("hoodie", "hooded sweatshirt", "pullover hoodie"),
    ("sweatshirt", "crewneck sweatshirt", "sweater", "oversized sweatshirt", "crewneck"),
    ("t-shirt", "short sleeve t-shirt", "cotton t-shirt", "tee", "tee shirt", "t-shirts"),
    ("shirt", "button-up shirt", "collared shirt", "long sleeve shirt", "polo shirt"),
    ("trousers", "pants", "cargo pants", "chinos", "pair of trousers", "pair of pants"),
    ("jeans", "denim jeans", "denim pants", "pair of jeans"),
    ("shorts", "pair of shorts", "sport shorts", "swim shorts"),
    ("skirt", "flared skirt", "a-line skirt", "pleated skirt", "mini skirt"),
    ("dress", "summer dress", "flared dress", "midi dress", "maxi dress"),
    ("sneakers", "sneaker", "low-top sneaker", "pair of sneakers", "running shoe", "running shoes", "shoes"),
    ("cap", "baseball cap", "ball cap", "hat"),
    ("tote bag", "canvas tote bag", "shopping bag", "tote", "bag"),
)
BACKGROUNDS: tuple[tuple[str, ...], ...] = (
    ("studio background", "in a studio", "plain studio background", "studio lighting"),
    ("white background", "plain white background", "on a white background"),
    ("in front of a beige wall", "beige wall", "neutral wall", "in front of neutral wall"),
    ("on an urban street", "urban street", "standing on an urban street", "city street background"),
    ("in a forest", "forest background", "among trees", "green forest"),
    ("at golden hour", "golden hour lighting", "warm sunset light", "golden hour", "low sun"),
    ("in the fog", "foggy background", "misty morning light", "pale mist", "foggy"),
    ("on a wooden floor", "wooden floor", "flat lay on wood", "wooden boards"),
    ("on a beach", "beach background", "sand and sea", "sunny beach"),
    ("at night", "night city lights", "night street"),
)
_OTHER_WORDS: dict[str, tuple[str, ...]] = {
    "grey": ("gray",),
    "light blue": ("sky blue", "pale blue"),
    "navy": ("navy blue", "dark blue"),
    "beige": ("cream", "sand coloured"),
    "burgundy": ("maroon", "wine red"),
    "olive": ("olive green", "khaki green", "khaki"),
    "purple": ("violet",),
    "teal": ("turquoise",),
    "striped": ("stripe",),
    "checked": ("plaid", "checkered"),
    "camouflage": ("camo",),
    "colour-block": ("color-block", "panelled", "two-tone"),
    "triangle": ("triangular",),
    "circle": ("round", "solid circle"),
    "star": ("five-pointed star",),
    "bar": ("rectangle", "box"),
    "stripes": ("three stripes", "three-stripe"),
    "diamond": ("diamond-shaped",),
    "cross": ("plus",),
    "ring": ("hollow circle",),
}


def _families(words: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple((word, *_OTHER_WORDS.get(word, ())) for word in words)


PATTERNS = _families(("plain", *WORDS["patterns"]))
COLOURS = _families(WORDS["colours"])
EMBLEMS = _families(WORDS["emblems"])

WHITE_BACKGROUND = BACKGROUNDS[1]
_LOGO_WORDS = r"logo|emblem|print|patch|symbol|badge|graphic|sign|motif"
SLOTS: Final = {  # claim -> the slots of the shipped templates that make it
    "colour": ("colour",),
    "second colour": ("second_colour",),
    "garment": ("product",),
    "pattern": ("pattern",),
    "logo": ("logo",),
    "logo colour": ("logo_colour",),
    "background": ("setting",),
}
NAMES = tuple(SLOTS)
Families = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """One claim of a sentence."""

    name: str  # colour, second colour, garment, pattern, logo, logo colour or background
    value: str  # as the sentence has it
    start: int  # where in the sentence, characters
    end: int
    rivals: tuple[str, ...]  # what it could have been instead

    def swapped(self, sentence: str, rival: str) -> str:
        """The sentence with `rival` instead, its article mended ("an olive cap" -> "a navy cap")."""
        before, after = sentence[: self.start], rival + sentence[self.end :]
        mended = re.sub(r"\b([Aa])n?( +)$", lambda m: m[1] + article(after)[1:] + m[2], before)
        return mended + after


def find(sentence: str, slots: Mapping[str, str] | None = None) -> tuple[Attribute, ...]:
    """The claims of `sentence`, in its order.

    Args:
        slots: values of a template's slots; words that no list knows are found by them.
    """
    return _Search(sentence, slots or {}).run()


class _Search:
    """One sentence; what is found is taken, so that the white of a white background is no garment's colour."""

    def __init__(self, sentence: str, slots: Mapping[str, str]) -> None:
        self._sentence = sentence
        self._slots = slots
        self._taken: list[tuple[int, int]] = []
        self._found: list[Attribute] = []

    def run(self) -> tuple[Attribute, ...]:
        self._take("background", BACKGROUNDS)
        logo = self._take("logo", EMBLEMS, following=rf"(?= (?:{_LOGO_WORDS})\b)")
        if logo is not None:
            self._take("logo colour", COLOURS, before=logo.start)
        self._take("garment", GARMENTS)
        self._take("pattern", PATTERNS)
        first = self._take("colour", COLOURS)
        if first is not None:
            self._take("second colour", COLOURS, after=first.end, without=first.value)
        return tuple(sorted(self._found, key=lambda attribute: attribute.start))

    def _take(
        self,
        name: str,
        families: Families,
        *,
        following: str = "",
        before: int | None = None,
        after: int | None = None,
        without: str = "",
    ) -> Attribute | None:
        """Adds the first match that touches `before`, or `after` but for an "and", where given."""
        own = [plain(self._slots.get(slot, "")).strip() for slot in SLOTS[name]]
        words = sorted({*own, *(w for family in families for w in family)} - {""}, key=len, reverse=True)
        pattern = rf"(?<![\w-])(?:{'|'.join(map(re.escape, words))})(?![\w-]){following}"
        matches = [m for m in re.finditer(pattern, self._sentence, re.IGNORECASE) if self._is_free(m.span())]
        if before is not None:
            matches = [m for m in matches if not self._sentence[m.end() : before].strip()]
        if after is not None:
            matches = [m for m in matches if self._sentence[after : m.start()].strip() in ("and", "&")]
        if not matches:
            return None
        match = matches[0]
        rivals = tuple(r for r in _rivals(match[0], families) if r != without)
        found = Attribute(name=name, value=match[0], start=match.start(), end=match.end(), rivals=rivals)
        self._taken.append(match.span())
        self._found.append(found)
        return found

    def _is_free(self, span: tuple[int, int]) -> bool:
        return all(span[1] <= start or end <= span[0] for start, end in self._taken)


def _rivals(value: str, families: Families) -> Iterable[str]:
    """One word of every family that `value` is not in, and that neither contains it nor is in it."""
    low = value.lower()
    for family in families:
        if low not in family and not _overlap(low, family[0]):
            yield family[0]


def _overlap(one: str, other: str) -> bool:
    """Whether one's words are among the other's: "jacket" says nothing against "denim jacket"."""
    a, b = set(one.split()), set(other.split())
    return one not in WORDS["colours"] and (a <= b or b <= a)
