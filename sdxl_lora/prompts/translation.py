"""Words of the templates' fields in German, French, Spanish, Japanese and Chinese, translated by a table.

Field by field: what stands in the colour's field is looked up among colours only, so that the French "marine" is navy
there and nothing elsewhere. A whole sentence is only ever proposed in translation, never changed unasked, and only
where every word of it is known: half a translation says something else. Pure strings.
"""

import functools
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import yaml

from sdxl_lora.prompts import attributes, emphasis
from sdxl_lora.prompts.vocabulary import WORDS

_FILE = Path(__file__).with_name("translations.yaml")
LANGUAGES = ("German", "French", "Spanish", "Japanese", "Chinese")
_FIELDS = {  # slot of the shipped templates -> list of the table
    "colour": "colours",
    "second_colour": "colours",
    "logo_colour": "colours",
    "product": "products",
    "pattern": "patterns",
    "material": "materials",
    "logo": "emblems",
    "logo_position": "positions",
    "presentation": "presentations",
    "setting": "settings",
}
_GERMAN, _FRENCH, _SPANISH = 0, 1, 2
_BEFORE_NOUN = ("colours", "patterns", "materials")  # lists of adjectives
_ENDINGS = ("er", "es", "en", "em", "e")  # of German adjectives
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")  # scripts that put no blanks between words


def of_field(slot: str, value: str) -> str | None:
    """What `value` of a template's slot is in English; None where the table does not know it."""
    field = _FIELDS.get(slot)
    if field is None or not value.strip():
        return None
    folded = _folded(emphasis.plain(value))
    found = None if folded in _english() else _lookup(folded, _table()[field], field)
    return None if found == folded else found


def of_fields(values: Mapping[str, str]) -> dict[str, str]:
    """Slot -> English, for every slot of `values` that is in another language."""
    found = {slot: of_field(slot, value) for slot, value in values.items()}
    return {slot: english for slot, english in found.items() if english is not None}


def of_sentence(text: str) -> str | None:
    """`text` in English where each of its words is in the table of one language; None else.

    Word by word, what qualifies a noun put before it: good enough for a proposal that people read before they take it.
    """
    for place in range(len(LANGUAGES)):
        clauses = [_clause(clause, place) for clause in re.split(r"[,、，;]", text) if clause.strip()]
        if clauses and all(clauses):
            english = ", ".join(filter(None, clauses))
            return None if english == _folded(text) else english
    return None


def of_word(word: str) -> str | None:
    """One word in any language and any list, for "the closest it knows"; None where no list has it."""
    folded = _folded(word)
    for field, table in _table().items():
        if field != "joining" and (found := _lookup(folded, table, field)) is not None:
            return found
    return None


def _clause(text: str, place: int) -> str | None:
    """A clause in the language at `place` of the table; None where a word is not in it."""
    left, found = _folded(text), []
    while left:
        match = _longest(left, place)
        if match is None:
            return None
        length, field, english = match
        found.append((field, english))
        left = left[length:].lstrip()
    if place in (_FRENCH, _SPANISH):
        found = _adjectives_first(found)
    said = [f"{english} logo" if field == "emblems" else english for field, english in found]
    return " ".join(said).replace("logo logo", "logo")


def _longest(text: str, place: int) -> tuple[int, str, str] | None:
    """The longest entry of one language that `text` begins with: (its length, its list, the English)."""
    best: tuple[int, str, str] | None = None
    for field, words in _by_language()[place].items():
        for word, english in words.items():
            end = len(word)
            if not text.startswith(word) or (best is not None and end <= best[0]):
                continue
            if place == _GERMAN and field in _BEFORE_NOUN:
                end += next((len(e) for e in _ENDINGS if re.match(rf"{e}(?!\w)", text[end:])), 0)
            if end == len(text) or not text[end].isalnum() or _UNSPACED.match(word[-1]):
                best = (end, field, english)
    return best


def _adjectives_first(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """ "veste rouge" is a red jacket: what follows a noun and qualifies it goes before it."""
    ordered: list[tuple[str, str]] = []
    for field, english in found:
        nouns = [i for i, (other, _) in enumerate(ordered) if other not in (*_BEFORE_NOUN, "joining")]
        logos = [i for i, (_, other) in enumerate(ordered) if other in ("logo", "background")]
        last = max([*nouns, *logos], default=None)
        if field in _BEFORE_NOUN and last is not None and last == len(ordered) - 1:
            ordered.insert(last, (field, english))
        else:
            ordered.append((field, english))
    return ordered


@functools.lru_cache(maxsize=1)
def _english() -> frozenset[str]:
    """What is a word of an English list already, whatever it means elsewhere ("gilet")."""
    families = (*attributes.GARMENTS, *attributes.COLOURS, *attributes.PATTERNS, *attributes.EMBLEMS)
    listed = {word for words in WORDS.values() for word in words}
    return frozenset({word for family in families for word in family} | {word.lower() for word in listed})


def _lookup(folded: str, table: Mapping[str, str], field: str) -> str | None:
    if folded in table:
        return table[folded]
    if field in _BEFORE_NOUN:
        for ending in _ENDINGS:
            if folded.endswith(ending) and (stem := folded.removesuffix(ending)) in table:
                return table[stem]
    return None


def _folded(text: str) -> str:
    return " ".join(
        unicodedata.normalize("NFKC", text).casefold().replace("ß", "ss").replace("’", "'").split()
    )


@functools.lru_cache(maxsize=1)
def _by_language() -> tuple[dict[str, dict[str, str]], ...]:
    """Per language: list -> word -> English."""
    lists = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return tuple(
        {
            field: {
                _folded(word): english
                for english, languages in entries.items()
                for word in str(languages[place]).split("/")
                if word
            }
            for field, entries in lists.items()
        }
        for place in range(len(LANGUAGES))
    )


@functools.lru_cache(maxsize=1)
def _table() -> dict[str, dict[str, str]]:
    """List -> word of any language -> English; English words are their own translation and win."""
    lists: dict[str, dict[str, str]] = {}
    for language in reversed(_by_language()):  # the first language wins where two share a word
        for field, words in language.items():
            lists.setdefault(field, {}).update(words)
    for words in lists.values():
        words.update({english: english for english in set(words.values())})
    return lists
