"""Templates: patterns with slots that become a prompt, whatever is left empty.

Pattern syntax
    {colour}         the slot's value; {colour:title} with capitals, for product names
    [ with {logo}]   left out when a slot directly inside is empty; may be nested
    {a} {A}          "a" or "an" before what follows; {a:product} also nothing where the product is plural
Values are put in as they are and never read as syntax; only their emphasis is left out of names. Pure strings: knows
no files and no models.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sdxl_lora.errors import PromptError, UnknownNameError
from sdxl_lora.prompts.emphasis import plain

MAX_VALUE = 200  # characters of one slot

_TOKEN = re.compile(
    r"\{(?P<field>[^{}\[\]]*)\}|(?P<open>\[)|(?P<close>\])|(?P<text>[^{}\[\]]+)|(?P<stray>[{}])"
)
_FIELD = re.compile(r"(?P<name>[a-z][a-z0-9_]*|A)(?::(?P<option>[a-z][a-z0-9_]*))?")

# Words whose first letter is not their first sound.
_AN_DESPITE_CONSONANT = ("hour", "honest", "heir", "8", "11", "18")
_A_DESPITE_VOWEL = ("uni", "use", "usu", "uti", "eu", "one", "once", "ukulele")
_LETTERS_SAID_WITH_VOWEL = "AEFHILMNORSX"
_SINGULAR_IN_S = ("ss", "us", "is", "canvas", "lens")


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One blank of a template."""

    name: str  # in the pattern
    label: str  # for people
    default: str = ""  # used where no value is given
    suggestions: tuple[str, ...] = ()
    optional: bool = False  # may be emptied


@dataclass(frozen=True)
class _Value:
    slot: str
    title: bool


@dataclass(frozen=True)
class _Article:
    governor: str | None  # slot whose plural needs no article
    capital: bool


@dataclass(frozen=True)
class _Group:
    pieces: "tuple[_Piece, ...]"


_Piece = str | _Value | _Article | _Group


@dataclass(frozen=True, kw_only=True)
class Template:
    """A pattern and its slots. Raises `PromptError` if they do not fit together."""

    name: str  # e.g. jacket-lifestyle
    title: str  # for people
    category: str  # e.g. outerwear
    style: str  # catalogue or lifestyle
    pattern: str
    slots: tuple[Slot, ...]
    negative: str = ""  # negative prompt that goes with it
    _pieces: tuple[_Piece, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        pieces = _parse(self.pattern)
        object.__setattr__(self, "_pieces", pieces)
        used, declared = set(_names(pieces)), {slot.name for slot in self.slots}
        if used - declared:
            raise PromptError(f"the pattern uses undeclared slots: {', '.join(sorted(used - declared))}")
        if declared - used:
            raise PromptError(f"the pattern does not use these slots: {', '.join(sorted(declared - used))}")
        for slot in self.slots:
            if not slot.optional and not slot.default:
                raise PromptError(f"slot {slot.name!r} needs a default or 'optional: true'")

    def complete(self, values: Mapping[str, str]) -> dict[str, str]:
        """A value for every slot, in the template's order: the given one, tidied, or the default.

        Raises `UnknownNameError` on a slot that the template does not have, `PromptError` on a value that is
        too long or empties a slot that is needed.
        """
        known = {slot.name for slot in self.slots}
        for name in values:
            if name not in known:
                raise UnknownNameError("slot", name, known)
        return {slot.name: _checked(slot, values.get(slot.name)) for slot in self.slots}


def fill(template: Template, values: Mapping[str, str]) -> str:
    """The prompt that `values` (slot name -> text) make of the template; errors as `Template.complete`."""
    complete = template.complete(values)
    text = "".join(_resolved(list(_rendered(template._pieces, complete)), complete))
    return _tidied(text)


def slot_names(pattern: str) -> tuple[str, ...]:
    """The slots that a pattern uses, in its order. Raises `PromptError` where it is no pattern."""
    return tuple(dict.fromkeys(_names(_parse(pattern))))


def article(following: str) -> str:
    """`a` or `an`, by the first sound of `following` as far as spelling tells."""
    match = re.search(r"\w[\w.-]*", following)
    if match is None:
        return "a"
    word = match.group()
    lower = word.lower()
    if len(word) > 1 and word.isupper() and word.isalpha() and len(word) <= 4:  # said letter by letter
        return "an" if word[0] in _LETTERS_SAID_WITH_VOWEL else "a"
    if lower.startswith(_AN_DESPITE_CONSONANT):
        return "an"
    return "an" if lower[0] in "aeiou" and not lower.startswith(_A_DESPITE_VOWEL) else "a"


def is_plural(noun: str) -> bool:
    """Whether a noun phrase such as "cargo pants" is plural; "pair of jeans" and "dress" are not."""
    head = noun.lower().split(" of ")[0].strip()
    return head.endswith("s") and not head.endswith(_SINGULAR_IN_S)


def _checked(slot: Slot, value: str | None) -> str:
    if value is None:
        return slot.default
    tidy = " ".join(value.split()).strip(" ,")
    if len(tidy) > MAX_VALUE:
        raise PromptError(f"the {slot.label.lower()} has {len(tidy)} characters; shorten it to {MAX_VALUE}")
    if not tidy and not slot.optional:
        raise PromptError(f"the {slot.label.lower()} is empty; say what it is, for example {slot.default!r}")
    return tidy


def _parse(pattern: str) -> tuple[_Piece, ...]:
    """Pattern to pieces. Raises `PromptError`."""
    stack: list[list[_Piece]] = [[]]
    for match in _TOKEN.finditer(pattern):
        if match["stray"]:
            raise PromptError(f"stray {match['stray']!r} in the pattern at character {match.start() + 1}")
        if match["open"]:
            stack.append([])
        elif match["close"]:
            if len(stack) == 1:
                raise PromptError(f"']' without '[' in the pattern at character {match.start() + 1}")
            group = _Group(tuple(stack.pop()))
            stack[-1].append(group)
        elif match["text"]:
            stack[-1].append(match["text"])
        else:
            stack[-1].append(_parse_field(match["field"]))
    if len(stack) > 1:
        raise PromptError("'[' without ']' in the pattern")
    return tuple(stack[0])


def _parse_field(text: str) -> _Piece:
    match = _FIELD.fullmatch(text)
    if match is None:
        raise PromptError(f"{{{text}}} in the pattern is not a slot; slots are named in small letters")
    if match["name"] in ("a", "A"):
        return _Article(governor=match["option"], capital=match["name"] == "A")
    if match["option"] not in (None, "title"):
        raise PromptError(f"{{{text}}} in the pattern: only ':title' may follow a slot's name")
    return _Value(slot=match["name"], title=match["option"] == "title")


def _names(pieces: tuple[_Piece, ...]) -> Iterator[str]:
    for piece in pieces:
        if isinstance(piece, _Value):
            yield piece.slot
        elif isinstance(piece, _Article) and piece.governor:
            yield piece.governor
        elif isinstance(piece, _Group):
            yield from _names(piece.pieces)


def _rendered(pieces: tuple[_Piece, ...], values: dict[str, str]) -> Iterator[str | _Article]:
    """Texts and undecided articles, in order; groups with an empty slot are gone."""
    for piece in pieces:
        if isinstance(piece, _Value):
            yield _titled(values[piece.slot]) if piece.title else values[piece.slot]
        elif isinstance(piece, _Group):
            if all(values[p.slot] for p in piece.pieces if isinstance(p, _Value)):
                yield from _rendered(piece.pieces, values)
        else:
            yield piece


def _resolved(parts: list[str | _Article], values: dict[str, str]) -> Iterator[str]:
    """Texts only. An article looks at everything up to the next one."""
    capital = False
    for i, part in enumerate(parts):
        if isinstance(part, _Article):
            following = "".join(p for p in parts[i + 1 :] if isinstance(p, str))
            plural = part.governor is not None and is_plural(plain(values[part.governor]))
            word = "" if plural else article(following)
            yield word.capitalize() if part.capital else word
            capital = part.capital and not word
        elif capital and part.strip():
            start = len(part) - len(part.lstrip())
            yield part[:start] + part[start:][:1].upper() + part[start + 1 :]
            capital = False
        else:
            yield part


def _titled(text: str) -> str:
    """Capitals at the start of words, and no emphasis; other capitals stay ("DRY-fit (tee:1.4)" -> "DRY-fit Tee")."""
    return " ".join(word[:1].upper() + word[1:] for word in plain(text).split())


def _tidied(text: str) -> str:
    """Single spaces, and no comma without something before and after it."""
    clauses = (" ".join(clause.split()) for clause in text.split(","))
    return ", ".join(clause for clause in clauses if clause)
