"""What a person found wrong with a picture, turned into an edit of the request that is shown before it runs.

Each tag has one rule; free text is matched with the tags' words, and what no rule knows becomes a negative prompt only
where it says what should not be there ("no hood"). Pure: requests in, requests out.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from sdxl_lora.config import GenerationRequest
from sdxl_lora.errors import PromptError, UnknownNameError
from sdxl_lora.prompts import attributes, emphasis
from sdxl_lora.scoring.spec import subject_start

LOUDER = 1.4  # weight of what did not show enough
_NEGATION = re.compile(r"\b(?:no|without|remove|less|not so much|too much) (?P<what>[\w-]+)", re.IGNORECASE)


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

    Raises `PromptError` where nothing is.
    """
    found = []
    for tag, rule in TAGS.items():
        if re.search(rule.matches, text, re.IGNORECASE):
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


def _louder(request: GenerationRequest, attribute: str, say: Callable[[str], None]) -> GenerationRequest:
    """The claim of that name emphasised, where the prompt makes it."""
    start = subject_start(request.prompt)
    words = emphasis.plain(request.prompt[start:])
    claims = [claim for claim in attributes.find(words, dict(request.slots)) if claim.name == attribute]
    if not claims:
        say(f"the prompt names no {attribute}; add one")
        return request
    prompt = emphasis.emphasise(request.prompt, claims[0].value, LOUDER, start=start)
    if prompt == request.prompt:
        return request
    say(f"emphasised {claims[0].value} ({LOUDER:g})")
    return replace(request, prompt=prompt)


def _without(request: GenerationRequest, words: str, say: Callable[[str], None]) -> GenerationRequest:
    """The words added to the negative prompt, where they are not in it."""
    there = {clause.strip().lower() for clause in request.negative_prompt.split(",")}
    new = [clause.strip() for clause in words.split(",") if clause.strip().lower() not in there]
    if not new:
        return request
    say(f"added {', '.join(new)} to the negative prompt")
    return replace(request, negative_prompt=", ".join(filter(None, [request.negative_prompt, *new])))
