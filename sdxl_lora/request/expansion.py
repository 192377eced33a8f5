"""One request with choices in it (`{navy|red}`, `__colours__`) -> one request per picture's words.

A slot of a template is one choice per picture, however often the template says it: its value is expanded before the
template is filled. The rest of the prompt, and a prompt of no template, is expanded as it stands.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from sdxl_lora import prompts
from sdxl_lora.errors import InputError, PromptError
from sdxl_lora.prompts import Expansion, Template
from sdxl_lora.request.wish import GenerationRequest


@dataclass(frozen=True, kw_only=True)
class Variants:
    """Everything one request stands for."""

    request: GenerationRequest
    template: Template | None  # None: the prompt is expanded as it stands
    slots: tuple[tuple[str, Expansion], ...]
    rest: Expansion  # of the whole prompt, or of what follows the template's words

    @property
    def count(self) -> int:
        """How many requests there are; may be astronomically large."""
        total = self.rest.count
        for _, expansion in self.slots:
            total *= expansion.count
        return total

    def __iter__(self) -> Iterator[GenerationRequest]:
        """Every request, what stands last in the prompt changing fastest. Raises `PromptError`."""
        if self.template is None:
            yield from (replace(self.request, prompt=prompt) for prompt in self.rest)
            return
        names = [name for name, _ in self.slots]
        for values in itertools.product(*(expansion for _, expansion in self.slots)):
            slots = self.template.complete(dict(zip(names, values, strict=True)))
            filled = prompts.fill(self.template, slots)
            for rest in self.rest:
                prompt = f"{filled}, {rest}" if rest else filled
                yield replace(self.request, prompt=prompt, slots=tuple(slots.items()))


def expand(request: GenerationRequest) -> Variants:
    """What `request` stands for. Raises `PromptError`, `UnknownNameError` where its choices cannot be read."""
    found = _of_template(request)
    if found is None:
        return Variants(request=request, template=None, slots=(), rest=prompts.expand(request.prompt))
    template, rest = found
    slots = tuple((name, prompts.expand(value)) for name, value in request.slots)
    return Variants(request=request, template=template, slots=slots, rest=prompts.expand(rest))


def each(request: GenerationRequest, most: int) -> list[GenerationRequest]:
    """The requests, if they make at most `most` pictures together; else `PromptError`."""
    variants = expand(request)
    pictures = variants.count * request.count
    if pictures > most:
        raise PromptError(
            f"this prompt stands for {variants.count:,} prompts, {pictures:,} pictures; the most is {most}"
        )
    return list(variants)


def literal(request: GenerationRequest) -> GenerationRequest:
    """The request of a picture as a wish: what stands in its words is meant as it stands, and is no choice."""
    slots = tuple((name, prompts.escape(value)) for name, value in request.slots)
    return replace(request, prompt=prompts.escape(request.prompt), slots=slots)


def _of_template(request: GenerationRequest) -> tuple[Template, str] | None:
    """The template, and what follows its words, while the prompt still begins with what the template gives."""
    if not request.template:
        return None
    try:
        template = prompts.get(request.template)
        filled = prompts.fill(template, dict(request.slots))
    except InputError:  # it is gone, or has changed since
        return None
    if request.prompt == filled:
        return template, ""
    head = f"{filled}, "
    return (template, request.prompt[len(head) :]) if request.prompt.startswith(head) else None
