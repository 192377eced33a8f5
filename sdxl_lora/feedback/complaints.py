"""What a person means who writes what is wrong with a picture: wishes for the template's fields, complaints, and what
should not be there; each clause that no rule understands is given back as it is, and nothing is guessed of it.

A clause is taken for a wish only where it says what should be ("make it red", "on the sleeve"); where it says what is
("it came out black"), it complains of that. "Not navy", "instead of the chest" name what should go. Written for
English; short sentences in the table's other languages are translated first. Pure strings: knows no request.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sdxl_lora.prompts import attributes, translation
from sdxl_lora.prompts.vocabulary import WORDS

Kind = Literal["complaint", "wish", "no logo", "negative"]


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """One thing that is meant."""

    kind: Kind
    about: str  # tag of the complaint, slot of the wish, words that should not be there; "" for "no logo"
    value: str = ""  # of the wish


@dataclass(frozen=True, kw_only=True)
class Understanding:
    """What was understood of a text, in its order, and the clauses that were not."""

    meanings: tuple[Meaning, ...]
    unclear: tuple[str, ...]


_LOGO = r"(?:logo|emblem|symbol|badge|brand mark)s?"
_BACKGROUND = r"(?:back ?ground|back ?drop|setting|scene)"
_BUSY = r"(?:busy|clutter|messy|distract|chaotic|too much)"
_REMOVE = (
    r"(?:remove|delete|drop|lose|erase|omit|kill|get rid of|take (?:off|away)|without|no(?! longer)|any)"
)
_SMALL = (
    r"(?:small(?!est)|tiny|little|big|bigger|large|larger|enlarge|size|prominent|hardly|barely|invisible|visible"
    r"|cannot|can't|can not|seen|see|missing|where|find)"
)
_OLD = re.compile(
    r"\b(?:instead of|rather than|as opposed to|not|than|no longer)\b(?: (?:on|in|at|a|an|the))*(?: [\w-]+){1,2}"
)
_SWAP = re.compile(
    r"\b(?:replace|swap|change|switch|exchange|turn|convert)\b (?P<old>.+?) (?:with|for|to|into|by|against) (?P<new>.+)"
)
_STATEMENT = re.compile(
    r"^(?:(?:but|and|well|hey|why)? ?(?:it|this|that|the [\w -]+?|which|i asked for|i ordered|i said)\b ?)"
    r"(?:'s|is|are|was|came out|comes out|looks?|turned out|became|has become|shows?|$|\w+$)"
)
_SHOULD = re.compile(
    r"\b(?:should|must|needs? to|make|want(?:ed)?|would|could|can|change|use|prefer|rather|please|instead|give|i'd|let"
    r"|turn|into|paint|put|show|replace|swap)\b"
)
_FILLER = re.compile(
    r"^(?:please|thanks?|thank you|keep .*|the rest .*|leave .*|(?:but )?i asked for one|otherwise .*|and|but|also)?$"
)
_NEGATED = re.compile(r"^(?:and |but )?not (?:on |in |at )?(?:a |an |the )?[\w-]+(?: [\w-]+)?$")
_ABSENT = re.compile(
    r"\b(?:no|without|avoid|remove|less|fewer|not so (?:much|many)|too (?:much|many)|get rid of|drop|delete|lose)\b"
    r"(?: (?:the|any|that|those|of|a|an))*\s+(?P<what>[\w-]+)"
)
_FORBIDDEN = re.compile(  # what follows is what should not be done
    r"\b(?:do not|don't|dont|never|no need to|not to|(?:must|should|shall|need)(?: not|n't))\b"
)
_EXCEPTED = re.compile(r"\b(?:except|apart from|other than|(?:everything|anything|all|nothing) but)\b")
_PRAISED = re.compile(  # nothing to change
    r"^(?!.*\b(?:not|isn't|aren't|no|too|if|would|should)\b)"
    r".*\b(?:is|are|looks?)(?: \w+)? (?:fine|perfect|good|great|right|ok|okay|nice|lovely|correct|beautiful)$"
)
_DENIED = re.compile(
    r"\b(?:not|isn't|aren't|no longer)(?: \w+)? "
    r"(?:blur\w*|fuzzy|unsharp|cropped|cut off|busy|clutter\w*|messy|distorted|broken|deformed)"
)
_TOO_LARGE = re.compile(
    r"\btoo (?:big|large|prominent|dominant|visible)\b|\bless (?:big|large|prominent|dominant|visible)\b"
    r"|\bnot (?:be |as |so |any |that )*(?:big(?:ger)?|larger?|prominent)\b(?! enough)|\b(?:smaller|shrink|reduce)\b"
)
_COMPLAINTS = (  # tag -> what says so; the first that fits
    ("bad hands", r"\b(?:hands?|fingers?)\b"),
    ("blurry", r"\bblur|out of focus|unsharp|fuzzy|\bsoft focus|not (?:\w+ )?sharp|sharper"),
    ("cropped", r"\bcrop|cut off|out of (?:the )?frame|outside (?:of )?(?:the )?(?:picture|frame|image)"),
    ("logo distorted", rf"{_LOGO}.*(?:distorted|broken|wrong|deformed|misspel|melted)|misspel"),
    ("background busy", rf"{_BUSY}.*{_BACKGROUND}|{_BACKGROUND}.*{_BUSY}"),
)  # fmt: skip
_WRONG = (  # tag -> what says that it is not as asked
    (
        "wrong colour",
        r"(?:wrong|off|not the|another|bad) colou?r|colou?r\b.*\b(?:wrong|off|not right|incorrect)",
    ),
    ("wrong garment", r"(?:wrong|not the) (?:garment|product|item|clothes|piece)|garment.*wrong"),
    ("wrong pattern", r"(?:wrong|not the) pattern|pattern\b.*\b(?:wrong|off)"),
)
_SLOT_OF = {"wrong colour": "colour", "wrong garment": "product", "wrong pattern": "pattern"}
_PLACES = {
    "sleeve": "on the sleeve", "arm": "on the sleeve", "chest": "on the chest", "breast": "on the chest",
    "front": "on the front", "centre": "in the centre", "center": "in the centre", "middle": "in the centre",
    "hem": "near the hem", "thigh": "on the thigh", "leg": "on the leg", "side": "on the side",
}  # fmt: skip
_SHOWN = (
    ("on a hanger", r"\bhanger|\bhang(?:ing)?\b"),
    ("on a mannequin", r"\bmannequin|\bdummy"),
    ("worn by a model", r"worn by|(?:on|by|wear\w*) (?:a |an )?(?:model|person|man|woman|somebody|someone)"),
    ("laid flat", r"\b(?:laid|lay|lie|lying|put) (?:it )?flat|flat lay"),
)
_POLITE_ELSEWHERE = re.compile(
    r"\b(?:bitte|mach(?:e|en)?|es|soll|sein|lieber|s'il (?:te|vous) pla[iî]t|mets?|rends?(?:-le)?|por favor|hazlo"
    r"|hacerlo|ponlo)\b"
    r"|[にしてくださいお願いします]{3,}|请|改成|换成"
)

_WITHOUT_ELSEWHERE = {  # "without", as the table has it -> what else says that
    "ohne": re.compile(r"\b(?:kein(?:e[nmrs]?)?|entfern(?:e|en|t)?|lösche?n?)\b(?!$)", re.IGNORECASE),
    "sans": re.compile(r"\b(?:enl[eè]ve[rz]?|supprime[rz]?|retire[rz]?|pas de)\b(?!$)", re.IGNORECASE),
    "sin": re.compile(r"\b(?:quit[ae]r?|elimin[ae]r?|borr[ae]r?)\b(?!$)", re.IGNORECASE),
    "没有": re.compile(r"不要|去掉|去除"),
    "without logo": re.compile(r"ロゴ(?:なし|無し|は?(?:いらない|不要)|を(?:消|外|取|なく)\w*)"),
}


def understand(text: str, said: Mapping[str, str], places: Sequence[str] = ()) -> Understanding:
    """What `text` means of a picture.

    Args:
        said: claim (colour, garment, logo ...) -> what the prompt says of it now, without emphasis.
        places: where the logo may be, as the template offers; others are not understood.
    """
    meanings: list[Meaning] = []
    unclear: list[str] = []
    context = ""
    for clause in re.split(r"[.;,!?\n]+", _translated(text).lower().replace("’", "'")):
        clause = " ".join(clause.split())
        found = _whole_or_parts(clause, said, places, context)
        if found is None:
            unclear.append(clause)
        else:
            meanings += [one for one in found if one not in meanings]
        context = context or (_LOGO if re.search(_LOGO, clause) else "")
    wished = {one.about for one in meanings if one.kind == "wish"}
    # "the colour is off, make it red" asks for red, not for more navy
    kept = tuple(one for one in meanings if one.kind != "complaint" or _SLOT_OF.get(one.about) not in wished)
    return Understanding(meanings=kept, unclear=tuple(unclear))


def _translated(text: str) -> str:
    for without, pattern in _WITHOUT_ELSEWHERE.items():
        text = pattern.sub(f"{without} ", text)
    bare = " ".join(_POLITE_ELSEWHERE.sub(" ", text).strip(" .!?").split())
    english = translation.of_sentence(bare) if bare else None
    if english is None:
        return text
    return english if re.match(r"without\b", english) else f"make it {english}"


def _whole_or_parts(
    clause: str, said: Mapping[str, str], places: Sequence[str], context: str
) -> list[Meaning] | None:
    """Clauses joined by "and" are understood one by one, or as one where that fails."""
    if _EXCEPTED.search(clause):
        return None
    parts = [part for part in re.split(r"\band\b|\bbut\b", clause) if part.strip()]
    found = [_clause(" ".join(part.split()), said, places, context) for part in parts]
    if len(parts) > 1 and all(one is not None for one in found):
        return [meaning for one in found for meaning in one or ()]
    return _clause(clause, said, places, context)


def _clause(
    clause: str, said: Mapping[str, str], places: Sequence[str], context: str
) -> list[Meaning] | None:
    """What one clause means; [] for words that mean nothing; None where it is not understood."""
    if _FILLER.match(clause) or _PRAISED.match(clause) or _DENIED.search(clause):
        return []
    for tag, pattern in _COMPLAINTS:
        if re.search(pattern, clause):
            return [Meaning(kind="complaint", about=tag)]
    if _FORBIDDEN.search(clause):
        return _of_forbidden(clause)
    swap = _SWAP.search(clause)
    wish = swap["new"] if swap else " ".join(_OLD.sub(" ", clause).split())
    about_logo = bool(re.search(rf"\b{_LOGO}\b", clause)) or _names(clause, said.get("logo", ""))
    if about_logo:
        return _of_logo(clause, wish, said, places)
    for tag, pattern in _WRONG:
        if re.search(pattern, clause):
            return [Meaning(kind="complaint", about=tag)]
    place = _place(wish, places) if context else None
    if place:
        return [Meaning(kind="wish", about="logo_position", value=place)]
    return _of_rest(clause, wish, said)


def _of_forbidden(clause: str) -> list[Meaning] | None:
    """ "It must not have a logo"; and "do not remove it", which changes nothing. The opposite of the rest is open."""
    articles = r"(?: (?:a|an|any|the|that|this))*"
    if re.search(rf"\b(?:have|want|show|add|be)\b{articles} {_LOGO}(?: (?:on|there|at all)\b.*)?$", clause):
        placed = any(re.search(rf"\b{name}\b", clause) for name in _PLACES)
        return None if placed else [Meaning(kind="no logo", about="")]
    return [] if re.search(rf"\b(?:{_REMOVE}|change|touch|alter|move|crop)\b", clause) else None


def _of_logo(clause: str, wish: str, said: Mapping[str, str], places: Sequence[str]) -> list[Meaning] | None:
    seen = re.search(
        rf"\b(?:no|any) {_LOGO} (?:is |to be )?(?:visible|there|shown|seen)|{_LOGO} is missing|missing {_LOGO}",
        clause,
    )
    if not seen and not re.search(r"\b(?:see|seen|find|where|much|hardly)\b", clause):
        removed = (
            rf"\b{_REMOVE}\b.*\b{_LOGO}\b|\b(?:take|leave) .*{_LOGO}.*\b(?:off|out|away)\b|{_LOGO}[- ]free"
        )
        if re.search(removed, clause):
            return [Meaning(kind="no logo", about="")]
    if _TOO_LARGE.search(clause):
        return None  # only the opposite could be said louder
    if any(re.search(rf"\b{name}\b", wish) for name in _PLACES):
        place = _place(wish, places)
        return None if place is None else [Meaning(kind="wish", about="logo_position", value=place)]
    found = []
    for slot, families in (("logo_colour", attributes.COLOURS), ("logo", attributes.EMBLEMS)):
        value = _of_families(wish, families, without=said.get(_CLAIMS[slot], ""))
        if value is not None:
            found.append(Meaning(kind="wish", about=slot, value=value))
    if found:  # "the logo is black" says what is, and not what should be
        return None if _STATEMENT.match(clause) and not _SHOULD.search(clause) else found
    if re.search(r"\bmissing|\bwhere\b|\bno\b|\b(?:does not|doesn't) (?:have|show)\b", clause):
        return [Meaning(kind="complaint", about="logo missing")]
    if re.search(rf"\b{_SMALL}\b", clause):
        return [Meaning(kind="complaint", about="logo too small")]
    return None


def _of_rest(clause: str, wish: str, said: Mapping[str, str]) -> list[Meaning] | None:
    """Background, presentation, pattern, material, garment, colour; then what should not be there."""
    states = bool(_STATEMENT.match(clause)) and not _SHOULD.search(clause)
    absent = _ABSENT.search(clause)
    if not absent and (setting := _setting(wish)) is not None:
        return [Meaning(kind="wish", about="setting", value=setting)]
    for shown, pattern in _SHOWN:
        if re.search(pattern, wish):
            return [Meaning(kind="wish", about="presentation", value=shown)]
    asked = re.search(r"\bi (?:asked for|ordered|said)\b", clause)
    for slot, tag, families in (
        ("product", "wrong garment", attributes.GARMENTS),
        ("pattern", "wrong pattern", attributes.PATTERNS[1:]),
        ("colour", "wrong colour", attributes.COLOURS),
    ):
        now = said.get(_CLAIMS[slot], "")
        value = _of_families(wish, families, without=now)
        if (
            value is None
            and _names(clause, now)
            and (_NEGATION.search(clause) or states or asked)
            and slot != "product"
        ):
            return [Meaning(kind="complaint", about=tag)]
        if (
            slot == "product"
            and value is None
            and re.search(r"^(?:this|that|it)(?: is|'s) (?:no|not)\b", clause)
            and _names_kind(clause, now)
        ):
            return [Meaning(kind="complaint", about=tag)]
        if value is not None and not absent:
            if states:
                return [Meaning(kind="complaint", about=tag)]
            found = [Meaning(kind="wish", about=slot, value=value)]
            colour = _of_families(wish, attributes.COLOURS, without=said.get("colour", ""))
            if slot != "colour" and colour is not None:
                found.append(Meaning(kind="wish", about="colour", value=colour))
            return found
    material = next((word for word in WORDS["materials"] if _names(wish, word)), None)
    if material is not None and not absent and not states:
        return [Meaning(kind="wish", about="material", value=material)]
    if _NEGATED.match(clause):
        return []
    of_background = absent and re.search(rf"\b{re.escape(absent['what'])} {_BACKGROUND}\b", clause)
    if absent and absent["what"] not in _NO_THINGS.split() and not of_background:
        return [Meaning(kind="negative", about=absent["what"])]
    return None


_CLAIMS = {  # slot -> claim of `prompts.attributes`
    "product": "garment", "pattern": "pattern", "colour": "colour", "logo": "logo", "logo_colour": "logo colour",
}  # fmt: skip
_NEGATION = re.compile(r"\b(?:not|isn't|wrong|instead of|rather than|off)\b")
_NO_THINGS = (
    "background backdrop setting scene way idea more longer thanks thank problem good fun the it that this"
)


def _of_families(text: str, families: attributes.Families, *, without: str) -> str | None:
    """The longest word of the families in `text` that is not what is there already; "light blue" is no blue."""
    words = sorted({word for family in families for word in family}, key=len, reverse=True)
    for match in re.finditer(rf"(?<![\w-])(?:{'|'.join(map(re.escape, words))})(?![\w-])", text):
        family = next(family for family in families if match[0] in family)
        if without.lower() not in family:
            return _CANONICAL.get(match[0], match[0])
    return None


_CANONICAL = {"stripe": "striped", "stripes": "striped", "camo": "camouflage", "plaid": "checked"}


def _setting(text: str) -> str | None:
    colours = "|".join(re.escape(word) for word in WORDS["colours"])
    if match := re.search(rf"\b({colours})\b.*\b{_BACKGROUND}|{_BACKGROUND}\b.*\b({colours})\b", text):
        return f"{match[1] or match[2]} background"
    named = [word for family in attributes.BACKGROUNDS for word in family if _names(text, word)]
    if named and max(named, key=len) != "studio lighting":
        longest = max(named, key=len)
        return _tidy_setting(longest)
    for key in ("forest", "beach", "studio"):
        if re.search(rf"\b{key}\b", text):
            return f"{key} background"
    return None


def _tidy_setting(words: str) -> str:
    """As the catalogue templates suggest it, where they do."""
    for suggestion in WORDS["catalogue settings"]:
        if suggestion.split()[0] in words.split() and suggestion.split()[0] not in ("on", "in"):
            return suggestion
    return words


def _place(text: str, places: Sequence[str]) -> str | None:
    """The place that is named, as the template says it; None where it has none of the kind."""
    for name, place in _PLACES.items():
        if re.search(rf"\b{name}\b", text):
            offered = [one for one in places if one == place or re.search(rf"\b{name}\b", one)]
            return offered[0] if offered else (None if places else place)
    return None


def _names(text: str, phrase: str) -> bool:
    return bool(phrase) and bool(re.search(rf"(?<![\w-]){re.escape(phrase.lower())}(?![\w-])", text))


def _names_kind(text: str, garment: str) -> bool:
    """Whether `text` names the garment, or the last word of it: a jacket for a windbreaker jacket."""
    return _names(text, garment) or (bool(garment) and _names(text, garment.split()[-1]))
