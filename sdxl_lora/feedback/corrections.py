"""What a person found wrong with a picture, turned into an edit of the request that is shown before it runs.

Each tag has one rule; free text is understood clause by clause (`complaints`): a wish ("make it red") changes what it
names, what should not be there ("no hood") goes to the negative prompt, and what is not understood is said. Where the
prompt still is what its template gives, the template's slots are edited and the prompt follows; else the prompt itself
is. Pure: requests in, requests out.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from sdxl_lora import prompts
from sdxl_lora.errors import PromptError, UnknownNameError
from sdxl_lora.feedback import complaints
from sdxl_lora.feedback.changes import template_of
from sdxl_lora.feedback.complaints import Meaning
from sdxl_lora.prompts import Template, attributes, emphasis
from sdxl_lora.request import GenerationRequest
from sdxl_lora.scoring.spec import subject_start

LOUDER = 1.4  # weight of what did not show enough


@dataclass(frozen=True, kw_only=True)
class Correction:
    """An edit, not yet run."""

    request: GenerationRequest
    words: str  # what changed, for the user


@dataclass(frozen=True)
class _Rule:
    attribute: str  # claim of the prompt to say louder; "" = none
    negative: str  # words to add to the negative prompt


TAGS: dict[str, _Rule] = {
    "wrong colour": _Rule("colour", ""),
    "wrong garment": _Rule("garment", ""),
    "wrong pattern": _Rule("pattern", ""),
    "logo too small": _Rule("logo", "small logo, tiny logo"),
    "logo missing": _Rule("logo", "no logo, plain"),
    "logo distorted": _Rule("", "distorted logo, misspelled logo"),
    "background busy": _Rule("", "busy background, clutter"),
    "blurry": _Rule("", "blurry, out of focus"),
    "cropped": _Rule("", "cropped, out of frame"),
    "bad hands": _Rule("", "deformed hands, extra fingers"),
}
_LOGO_CLAUSE = re.compile(r"\s*\b(?:with|featuring) an? [^,]*?\b(?:logo|emblem|print)\b[^,]*", re.IGNORECASE)
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
    """One correction per thing that is understood, each upon the one before; last, what was not, which changes nothing.

    Raises `PromptError` where nothing is understood.
    """
    template = template_of(request)
    places = [
        place
        for slot in (template.slots if template else ())
        if slot.name == "logo_position"
        for place in slot.suggestions
    ]
    said = {
        name: emphasis.plain(claim.value) for name in attributes.NAMES if (claim := _claim(request, name))
    }
    meant = complaints.understand(text, said, places)
    found: list[Correction] = []
    unclear = list(meant.unclear)
    for meaning in meant.meanings:
        correction = _meant(request, meaning)
        if correction is None:
            unclear.append(f"{meaning.about}: {meaning.value}".strip(": "))
        elif correction.request != request or meaning.kind == "complaint":
            found.append(correction)
            request = correction.request
    if not found:
        raise PromptError(
            f"it is not clear what to change for {text[:80]!r}; choose a tag, or edit the prompt"
        )
    if unclear:
        words = "; ".join(repr(clause[:80]) for clause in unclear)
        found.append(
            Correction(request=request, words=f"not understood, and nothing changed for it: {words}")
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


def other_colours(request: GenerationRequest, colours: Iterable[str]) -> dict[str, GenerationRequest]:
    """The same request, seed included, with what it shows in each of these colours; empty where it names no colour.

    Left out are its own colour and that of its logo, which would not be seen.
    """
    claim = _claim(request, "colour")
    if claim is None:
        return {}
    logo = _claim(request, "logo colour")
    taken = {emphasis.plain(one.value).strip().lower() for one in (claim, logo) if one is not None}
    found = {}
    for colour in colours:
        if colour not in taken:
            changed = _said(request, claim, colour)
            start = subject_start(
                changed.prompt
            )  # in front of it stands what it is called: "Windbreaker Navy"
            named = rf"(?<![\w-]){re.escape(claim.value)}(?![\w-])"
            title = re.sub(named, colour.title(), changed.prompt[:start], flags=re.IGNORECASE)
            found[colour] = replace(changed, prompt=title + changed.prompt[start:])
    return found


def _meant(request: GenerationRequest, meaning: Meaning) -> Correction | None:
    """The edit that a meaning comes to; None where this prompt has no place for it."""
    said: list[str] = []
    match meaning.kind:
        case "complaint":
            return correct(request, meaning.about)
        case "negative":
            changed = _without(request, meaning.about, said.append)
            return Correction(request=changed, words="; ".join(said))
        case "no logo":
            changed = _without_logo(request)
            return None if changed == request else Correction(request=changed, words="logo: taken off")
    template = template_of(request)
    if template is not None:
        if meaning.about not in {slot.name for slot in template.slots}:
            return None
        before = emphasis.plain(dict(request.slots).get(meaning.about, "")).strip()
        changed = _with_slot(request, template, meaning.about, meaning.value)
    else:
        claim_name = next((c for c, slots in attributes.SLOTS.items() if meaning.about in slots), "")
        claim = _claim(request, claim_name) if claim_name else None
        before = claim.value if claim else ""
        changed = _said(request, claim, meaning.value) if claim else _appended(request, meaning.value)
    name = meaning.about.replace("_", " ")
    return Correction(request=changed, words=f"{name}: {before or 'none'} -> {meaning.value}")


def _appended(request: GenerationRequest, words: str) -> GenerationRequest:
    """The words at the end of the prompt, where nothing of their kind stands in it yet."""
    return replace(request, prompt=f"{request.prompt}, {words}")


def _without_logo(request: GenerationRequest) -> GenerationRequest:
    """The template's logo emptied, or the words about it cut out of the prompt; and kept out of the picture."""
    template = template_of(request)
    if template is not None and any(slot.name == "logo" and slot.optional for slot in template.slots):
        request = _with_slot(request, template, "logo", "")
    else:
        request = replace(request, prompt=_LOGO_CLAUSE.sub("", request.prompt))
    return _without(request, "logo", lambda _: None)


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
