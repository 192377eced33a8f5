"""Pictures made only to learn what is usual for a template and a model; none of them is kept.

Colours and backgrounds are drawn from the template's own suggestions, three pictures of each prompt, and seeds count
up: the same arguments give the same calibration. Every picture is drawn whole, with a part of its steps as the
loop's sketches are, and finished from those sketches where the model's sampler allows it.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

from PIL import Image

from sdxl_lora import generation, prompts
from sdxl_lora.errors import DataError
from sdxl_lora.generation import PictureDone
from sdxl_lora.models.loading import ModelConfig, load
from sdxl_lora.request import GenerationRequest, ResolvedRequest
from sdxl_lora.scoring import checks
from sdxl_lora.scoring.base import Scorer
from sdxl_lora.scoring.spec import scored_text
from sdxl_lora.search.attempts import finished_from, sketch_of
from sdxl_lora.search.calibration import Calibration, SketchSample

SHARES = (0.2, 0.3)  # of the steps: sketches that are measured
PER_PROMPT = 3  # pictures, so that seeds of one prompt can be compared
VARIED = ("product", "colour", "pattern", "logo", "logo_colour", "setting")

_Kind = tuple[int, bool]  # steps of a sketch, and whether it was finished


def varied_requests(template: str, request: GenerationRequest, count: int) -> Iterator[GenerationRequest]:
    """Requests of a template for `count` pictures, `PER_PROMPT` of each with other suggested values; seeds count up."""
    found, rng = prompts.get(template), random.Random(request.seed or 0)
    for first in range(0, count, PER_PROMPT):
        values = {
            slot.name: rng.choice(slot.suggestions)
            for slot in found.slots
            if slot.name in VARIED and slot.suggestions and slot.default
        }
        yield replace(
            request,
            prompt=prompts.fill(found, values),
            negative_prompt=found.negative,
            seed=(request.seed or 0) + first,
            count=min(PER_PROMPT, count - first),
            template=template,
            slots=tuple(found.complete(values).items()),
        )


def calibrate(
    requests: Iterator[GenerationRequest],
    scorer: Scorer,
    *,
    progress: Callable[[int], object] = lambda _: None,
) -> Calibration:
    """Makes and scores the pictures and their sketches; blank ones are left out.

    `progress` is told how many pictures were made. Raises `DataError` if there are too few with a score, and what
    generation raises.
    """
    scores: list[float] = []
    sharpness: list[float] = []
    words: list[str] = []
    found: dict[_Kind, list[float]] = {}
    resolved = None
    for request in requests:
        resolved = generation.resolve(request)
        whole = _draw(resolved)
        drawn: dict[_Kind, list[Image.Image]] = {}
        for steps in _measured(resolved):
            drawn[steps, False] = _draw(sketch_of(resolved, steps))
            if generation.can_finish_sketches(load(ModelConfig.of(resolved))):
                drawn[steps, True] = _draw(finished_from(resolved, steps))
        text = scored_text(resolved.prompt)
        for index, image in enumerate(whole):
            looks = [image, *(images[index] for images in drawn.values())]
            if any(checks.blank_reason(look) for look in looks):
                continue
            final, *others = scorer.score(looks, [text] * len(looks))
            scores.append(final)
            words.append(resolved.prompt)
            sharpness.append(checks.sharpness(image))
            for kind, score in zip(drawn, others, strict=True):
                found.setdefault(kind, []).append(score)
        progress(len(whole))
    if resolved is None:
        raise DataError("there are no prompts to calibrate with")
    return Calibration(
        model=resolved.model,
        template=resolved.template,
        scorer=scorer.name,
        scores=tuple(scores),
        prompts=tuple(words),
        sharpness=tuple(sharpness),
        sketches=tuple(
            SketchSample(steps=steps, scores=tuple(early), finished=tuple(found.get((steps, True), ())))
            for (steps, finished), early in found.items()
            if not finished
        ),
    )


def _measured(request: ResolvedRequest) -> list[int]:
    """Steps of the sketches that are measured; none where the whole has too few."""
    return sorted({round(share * request.steps) for share in SHARES} - {0, 1, request.steps})


def _draw(request: ResolvedRequest) -> list[Image.Image]:
    events = generation.generate(load(ModelConfig.of(request)), request)
    return [event.image for event in events if isinstance(event, PictureDone)]
