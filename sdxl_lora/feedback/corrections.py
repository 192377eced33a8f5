"""What a person found wrong with a picture, turned into an edit of the request that is shown before it runs.

Each tag has one rule; free text is matched with the tags' words, a wish in it ("make it red") changes what it names,
and what no rule knows becomes a negative prompt only where it says what should not be there ("no hood"). Where the
prompt still is what its template gives, the template's slots are edited and the prompt follows; else the prompt itself
is. Pure: requests in, requests out.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from sdxl_lora import prompts
from sdxl_lora.errors import PromptError, UnknownNameError
from sdxl_lora.feedback.changes import template_of
from sdxl_lora.prompts import Template, attributes, emphasis
from sdxl_lora.request import GenerationRequest
from sdxl_lora.scoring.spec import subject_start

LOUDER = 1.4  # weight of what did not show enough
_NEGATION = re.compile(r"\b(?:no|without|remove|less|not so much|too much) (?P<what>[\w-]+)", re.IGNORECASE)
_WISH = re.compile(
    r"\b(?:make (?:it|them|the [\w -]+?)|change (?:it|them|the [\w -]+?) to|should be|i want(?:ed)?|rather|prefer|use)"
    r"\b"
    r"(?P<what>.*?)(?=\b(?:instead|not|but)\b|[.;!]|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Correction:
    """An edit, not yet run."""

    request: GenerationRequest
    words: str  # what changed, for the user


@dataclass(frozen=True)
class _Rule:
    attribute: str  # claim of the prompt to say louder; "" = none
    negative: str  # words to add to the negative prompt
    matches: str  # what free text says to mean this tag


TAGS: dict[str, _Rule] = {
    "wrong colour": _Rule("colour", "", r"colou?r"),
    "wrong garment": _Rule("garment", "", r"garment|wrong (?:product|clothes|item)"),
    "wrong pattern": _Rule("pattern", "", r"pattern"),
    "logo too small": _Rule(
        "logo", "small logo, tiny logo", r"logo (?:is )?(?:too |very )?(?:small|tiny)|bigger logo"
    ),
    "logo missing": _Rule("logo", "no logo, plain", r"(?:missing|where is the|no) logo|logo (?:is )?missing"),
    "logo distorted": _Rule(
        "", "distorted logo, misspelled logo", r"logo .*(?:distorted|wrong|broken)|misspel"
    ),
    "background busy": _Rule("", "busy background, clutter", r"background|busy|clutter"),
    "blurry": _Rule("", "blurry, out of focus", r"blur|focus|sharp"),
    "cropped": _Rule("", "cropped, out of frame", r"crop|cut off|out of frame"),
    "bad hands": _Rule("", "deformed hands, extra fingers", r"hand|finger"),
}
_Say = Callable[[str], None]


def correct(request: GenerationRequest, tag: str) -> Correction:
    """The request with one complaint answered. Raises `UnknownNameError` naming the nearest tag."""
    rule = TAGS.get(tag)
    if rule is None:
        raise UnknownNameError("complaint", tag, TAGS)
    said: list[str] = []
    if rule.attribute:
        request = _louder(request, rule.attribute, said.append)
    if rule.negative:
        request = _without(request, rule.negative, said.append)
    return Correction(request=request, words=f"{tag}: {'; '.join(said) or 'the prompt says so already'}")


def correct_text(request: GenerationRequest, text: str) -> list[Correction]:
    """One correction per thing that is understood, each upon the one before.

    A wish wins over the complaint of the same thing: "the colour is off, make it red" asks for red, not for more navy.
    Raises `PromptError` where nothing is understood.
    """
    found = _wishes(request, text)
    request = found[-1].request if found else request
    wished = " ".join(correction.words for correction in found)
    for tag, rule in TAGS.items():
        if re.search(rule.matches, text, re.IGNORECASE) and not (
            rule.attribute and f"{rule.attribute}: " in wished
        ):
            found.append(correct(request, tag))
            request = found[-1].request
    if not found:
        for match in _NEGATION.finditer(text):
            said: list[str] = []
            request = _without(request, match["what"].strip().lower(), said.append)
            found.append(Correction(request=request, words="; ".join(said)))
    if not found:
        raise PromptError(
            f"it is not clear what to change for {text[:80]!r}; choose a tag, or edit the prompt"
        )
    return found


def correct_all(request: GenerationRequest, tags: tuple[str, ...], text: str) -> list[Correction]:
    """What tags and words together come to, each correction upon the one before. Raises as the two above."""
    found: list[Correction] = []
    for tag in tags:
        found.append(correct(request, tag))
        request = found[-1].request
    if text.strip():
        found += correct_text(request, text)
    return found


def _wishes(request: GenerationRequest, text: str) -> list[Correction]:
    """What the text asks for by name, where the prompt says something else of the same kind."""
    found = []
    for match in _WISH.finditer(text):
        for wish in attributes.find(match["what"]):
            claim = _claim(request, wish.name)
            if claim is None or emphasis.plain(claim.value).lower() == wish.value.lower():
                continue
            request = _said(request, claim, wish.value)
            found.append(Correction(request=request, words=f"{wish.name}: {claim.value} -> {wish.value}"))
    return found


def _louder(request: GenerationRequest, attribute: str, say: _Say) -> GenerationRequest:
    """The claim of that name emphasised, where the prompt makes it; a template's empty logo gets its usual one."""
    claim = _claim(request, attribute)
    template = template_of(request)
    if claim is None:
        usual = None if template is None else _usual(template, attribute)
        if template is None or usual is None:
            say(f"the prompt names no {attribute}; add one")
            return request
        slot, value = usual
        say(f"asked for {value}")
        return _with_slot(request, template, slot, value)
    changed = _said(request, claim, f"({claim.value}:{LOUDER:g})")
    if changed == request:
        return request
    say(f"emphasised {claim.value} ({LOUDER:g})")
    return changed


def _claim(request: GenerationRequest, attribute: str) -> attributes.Attribute | None:
    """What the prompt says of that kind, in the clause that says what is in the picture."""
    words = emphasis.plain(request.prompt[subject_start(request.prompt) :])
    return next((c for c in attributes.find(words, dict(request.slots)) if c.name == attribute), None)


def _said(request: GenerationRequest, claim: attributes.Attribute, value: str) -> GenerationRequest:
    """The request with `value` in the place of what the claim says: in its slot if it has one, else in the prompt."""
    template = template_of(request)
    if template is not None:
        for name in attributes.SLOTS[claim.name]:
            if emphasis.plain(dict(request.slots).get(name, "")).strip().lower() == claim.value.lower():
                return _with_slot(request, template, name, value)
    start = subject_start(request.prompt)
    louder = emphasis.parse(value)[0].weight
    if louder != 1:
        prompt = emphasis.emphasise(request.prompt, claim.value, louder, start=start)
    elif not emphasis.is_emphasised(request.prompt):
        prompt = request.prompt[:start] + claim.swapped(request.prompt[start:], value)
    else:
        words = rf"(?<![\w-]){re.escape(claim.value)}(?![\w-])"
        prompt = re.sub(words, lambda _: value, request.prompt, flags=re.IGNORECASE)
    return replace(request, prompt=prompt)


def _with_slot(request: GenerationRequest, template: Template, slot: str, value: str) -> GenerationRequest:
    slots = {**dict(request.slots), slot: value}
    return replace(request, prompt=prompts.fill(template, slots), slots=tuple(slots.items()))


def _usual(template: Template, attribute: str) -> tuple[str, str] | None:
    """The slot of an attribute, and what the template itself would say there."""
    for slot in template.slots:
        usual = slot.default or next(iter(slot.suggestions), "")
        if slot.name in attributes.SLOTS[attribute] and usual:
            return slot.name, usual
    return None


def _without(request: GenerationRequest, words: str, say: _Say) -> GenerationRequest:
    """The words added to the negative prompt, where they are not in it."""
    there = {clause.strip().lower() for clause in request.negative_prompt.split(",")}
    new = [clause.strip() for clause in words.split(",") if clause.strip().lower() not in there]
    if not new:
        return request
    say(f"added {', '.join(new)} to the negative prompt")
    return replace(request, negative_prompt=", ".join(filter(None, [request.negative_prompt, *new])))
