"""Pictures made only to learn what is usual for a template and a model; none of them is kept.

Colours and backgrounds are drawn from the template's own suggestions, three pictures of each prompt, and seeds count
up: the same arguments give the same calibration.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

from PIL import Image

from sdxl_lora import generation, prompts
from sdxl_lora.config import GenerationRequest
from sdxl_lora.errors import DataError
from sdxl_lora.feedback.calibration import Calibration, PreviewSample
from sdxl_lora.generation import PictureDone, StepDone
from sdxl_lora.models.loading import ModelConfig, load
from sdxl_lora.scoring import checks
from sdxl_lora.scoring.base import Scorer
from sdxl_lora.scoring.spec import spec_text

FRACTIONS = (0.25, 0.4, 0.55, 0.7)  # of the steps, where previews are scored
PER_PROMPT = 3  # pictures, so that seeds of one prompt can be compared
VARIED = ("product", "colour", "pattern", "logo", "logo_colour", "setting")


def varied_requests(template: str, request: GenerationRequest, count: int) -> Iterator[GenerationRequest]:
    """`count` requests of a template, `PER_PROMPT` with the same suggested values, each with the next seed."""
    found, rng = prompts.get(template), random.Random(request.seed or 0)
    values: dict[str, str] = {}
    for index in range(count):
        if index % PER_PROMPT == 0:
            values = {
                slot.name: rng.choice(slot.suggestions)
                for slot in found.slots
                if slot.name in VARIED and slot.suggestions and slot.default
            }
        yield replace(
            request,
            prompt=prompts.fill(found, values),
            negative_prompt=found.negative,
            seed=(request.seed or 0) + index,
            template=template,
            slots=tuple(found.complete(values).items()),
        )


def calibrate(
    requests: Iterator[GenerationRequest],
    scorer: Scorer,
    *,
    progress: Callable[[], object] = lambda: None,
) -> Calibration:
    """Makes and scores the pictures, previews too; blank ones are left out.

    Raises `DataError` if there are too few with a score, and what generation raises.
    """
    scores: list[float] = []
    sharpness: list[float] = []
    words: list[str] = []
    previews: dict[float, list[float]] = {fraction: [] for fraction in FRACTIONS}
    resolved = None
    for request in requests:
        resolved = generation.resolve(request)
        text = spec_text(resolved.prompt)
        images: list[Image.Image] = []
        shown: dict[float, Image.Image] = {}
        for event in generation.generate(load(ModelConfig.of(resolved)), resolved):
            if isinstance(event, StepDone) and event.preview is not None:
                for fraction in FRACTIONS:
                    if event.step >= fraction * event.steps:
                        shown.setdefault(fraction, event.preview)
            elif isinstance(event, PictureDone):
                images.append(event.image)
        progress()
        if checks.blank_reason(images[0]) is not None:
            continue
        many = [*images, *shown.values()]
        final, *early = scorer.score(many, [text] * len(many))
        scores.append(final)
        words.append(resolved.prompt)
        sharpness.append(checks.sharpness(images[0]))
        for fraction, value in zip(shown, early, strict=True):
            previews[fraction].append(value)
    if resolved is None:
        raise DataError("there are no prompts to calibrate with")
    return Calibration(
        model=resolved.model,
        template=resolved.template or "",
        scorer=scorer.name,
        scores=tuple(scores),
        prompts=tuple(words),
        sharpness=tuple(sharpness),
        previews=tuple(
            PreviewSample(fraction=fraction, scores=tuple(values))
            for fraction, values in previews.items()
            if len(values) == len(scores)
        ),
    )
