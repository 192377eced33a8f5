"""One request to recorded pictures: the single path that pages, queue and command line share.

Knows nothing of queues, turns or pages. Threads may share one `Studio`; the model serves one at a time.
"""

import logging
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from sdxl_lora import generation
from sdxl_lora.config import GenerationRequest
from sdxl_lora.errors import StudioError
from sdxl_lora.generation import Event, PictureDone
from sdxl_lora.models.loading import ModelConfig, load
from sdxl_lora.records import Record, Store
from sdxl_lora.scoring import Scorer, base, checks, spec_text

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A picture is safely kept; follows its `PictureDone`."""

    index: int  # 0-based place in the request
    record: Record
    unscored: str | None = None  # one line: why the picture has no score


class Studio:
    """Makes pictures, scores them and keeps them under one data folder."""

    def __init__(self, home: Path, *, scorer: Callable[[], Scorer] = base.default_scorer) -> None:
        """`scorer`: asked for at each picture. Raises `StorageError` if `home` cannot be used."""
        self.store = Store(home)
        self._scorer = scorer

    def run(
        self, request: GenerationRequest, *, cancel: threading.Event | None = None, session: str = ""
    ) -> Iterator[Event | Recorded]:
        """Yields the events of `generation.generate`, and a `Recorded` after every `PictureDone`.

        A picture that cannot be scored is kept without a score. Raises any `StudioError`, `Cancelled` among
        them; pictures recorded before that stay.
        """
        resolved = generation.resolve(request)
        model = load(ModelConfig.of(resolved))
        for event in generation.generate(model, resolved, cancel=cancel):
            yield event
            if isinstance(event, PictureDone):
                yield self._record(event, resolved, session)

    def _record(self, done: PictureDone, request: GenerationRequest, session: str) -> Recorded:
        alone = request.for_picture(done.index)
        scores, unscored = self._score(done.image, alone.prompt)
        record = self.store.add(
            done.image, request=alone, scores=scores, seconds=done.seconds, session=session
        )
        return Recorded(index=done.index, record=record, unscored=unscored)

    def _score(self, image: Image.Image, prompt: str) -> tuple[dict[str, dict[str, Any]], str | None]:
        """Scores as records keep them, and why there are none."""
        scorer = self._scorer()
        text = spec_text(prompt)
        try:
            [value] = scorer.score([image], [text])
        except StudioError as error:
            log.warning("not scored: %s", error)
            return {}, str(error)
        if not math.isfinite(value):
            return {}, checks.blank_reason(image) or f"{scorer.name} gave no number"
        return {scorer.key: {"name": scorer.name, "value": value, "text": text}}, None
