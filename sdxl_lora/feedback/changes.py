"""What differs between two requests, in the words of the form: for edits that are seen before they run, and history.

Pure: requests in, words out.
"""

import difflib
from dataclasses import dataclass, replace
from typing import Any

from sdxl_lora import prompts
from sdxl_lora.errors import InputError
from sdxl_lora.prompts import Template
from sdxl_lora.request import FIELDS, Field, GenerationRequest

_WORDS = ("prompt", "negative_prompt")  # told apart word by word
_SAME = 0.5  # share of words in common from which only the others are named
_OF_THE_MODEL = (None, "auto")  # left to the model, which may have decided meanwhile


@dataclass(frozen=True, kw_only=True)
class Change:
    """One field before and after."""

    what: str  # the field's label: a slot's, "Words", "Avoid", "Steps" ...
    before: str
    after: str

    def __str__(self) -> str:
        if not self.before:
            return f"{self.what}: {self.after}"
        return f"{self.what}: {self.before} → {self.after or 'nothing'}"


def template_of(request: GenerationRequest) -> Template | None:
    """The template of a request, while its prompt is still exactly what the template gives."""
    if not request.template:
        return None
    try:
        template = prompts.get(request.template)
        return template if prompts.fill(template, dict(request.slots)) == request.prompt else None
    except InputError:  # it is gone, or has changed since
        return None


def alike(one: GenerationRequest, other: GenerationRequest) -> bool:
    """Whether two requests wish for the same: equal but for seed and number, and for what one leaves to the model."""
    return one.prompt == other.prompt and _clauses(one) == _clauses(other) and not _settings(one, other)


def changes(before: GenerationRequest, after: GenerationRequest) -> tuple[Change, ...]:
    """Everything that makes `after` another wish: slots or words, what to avoid, settings. Seeds and counts do not."""
    found = [*_words(before, after)]
    new = [c for c in _clauses(after) if c not in _clauses(before)]
    gone = [c for c in _clauses(before) if c not in _clauses(after)]
    if new or gone:
        found.append(Change(what="Avoid", before=", ".join(gone), after=", ".join(new)))
    return (*found, *_settings(before, after))


def _settings(before: GenerationRequest, after: GenerationRequest) -> list[Change]:
    found = []
    for field in FIELDS:
        if field.wished and field.name not in _WORDS:
            old, now = _meant(before, field), _meant(after, field)
            if old != now and old not in _OF_THE_MODEL and now not in _OF_THE_MODEL:
                words = [field.kind.words(value) for value in (old, now)]
                found.append(Change(what=field.label, before=words[0], after=words[1]))
    return found


def _meant(request: GenerationRequest, field: Field) -> Any:
    """The value, where nothing is said what that stands for; of LoRAs not which contents they had."""
    value = getattr(request, field.name)
    if value is None and not field.from_model:
        return field.otherwise
    return tuple(replace(lora, sha256="") for lora in value) if field.name == "loras" else value


def _words(before: GenerationRequest, after: GenerationRequest) -> list[Change]:
    """Slot by slot where both come from one template, else what differs between the sentences."""
    template = template_of(after)
    if template is None or template_of(before) != template:
        if before.prompt == after.prompt:
            return []
        old, new = _apart(before.prompt, after.prompt)
        return [Change(what="Words", before=old, after=new)]
    earlier, now = template.complete(dict(before.slots)), template.complete(dict(after.slots))
    return [
        Change(what=slot.label, before=earlier[slot.name], after=now[slot.name])
        for slot in template.slots
        if earlier[slot.name] != now[slot.name]
    ]


def _apart(before: str, after: str) -> tuple[str, str]:
    """The words that differ, where most are the same; else both sentences."""
    old, new = before.split(), after.split()
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    if matcher.ratio() < _SAME:
        return before, after
    parts = [code for code in matcher.get_opcodes() if code[0] != "equal"]
    return (
        " … ".join(" ".join(old[i:j]) for _, i, j, _, _ in parts if i < j),
        " … ".join(" ".join(new[i:j]) for _, _, _, i, j in parts if i < j),
    )


def _clauses(request: GenerationRequest) -> list[str]:
    return [clause.strip() for clause in request.negative_prompt.split(",") if clause.strip()]
