"""One request to recorded pictures: the single path that pages, queue and command line share.

Every picture is judged; a picture that cannot be is kept all the same. Knows nothing of queues, turns or pages.
Threads may share one `Studio`; the model serves one at a time.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from sdxl_lora import generation
from sdxl_lora.errors import StudioError
from sdxl_lora.generation import Event, PictureDone
from sdxl_lora.models import registry
from sdxl_lora.models.loading import ModelConfig, load
from sdxl_lora.records import Database, Record, Store
from sdxl_lora.request import GenerationRequest
from sdxl_lora.scoring import base, checks, lettering
from sdxl_lora.scoring.base import Scorer
from sdxl_lora.scoring.card import ScoreCard
from sdxl_lora.scoring.clip import ClipScorer
from sdxl_lora.scoring.probes import probes_of
from sdxl_lora.scoring.verifier import Verifier, reported_for

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A picture is safely kept; follows its `PictureDone`."""

    index: int  # 0-based place in the request
    record: Record
    unscored: str | None = None  # one line: why the picture has no score
    notice: str | None = None  # one line: what else could not be judged


class Studio:
    """Makes pictures, scores them and keeps them under one data folder."""

    def __init__(
        self, where: Path | Database, *, scorer: Callable[[], Scorer] | None = None, explain: bool = False
    ) -> None:
        """Raises `StorageError` if the data folder cannot be used.

        Args:
            where: the data folder, or its database where others share it.
            scorer: asked for at each picture; None = `scoring.base.scorer_for` the picture's model.
            explain: also find out what of the words shows, and check what must not be wrong; takes about as long
                again as the score, and several times that for words that were not seen lately.
        """
        self.store = Store(where)
        self._scorer = scorer
        self._explains = explain

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
        card, unscored, notice = self._judge(done.image, alone)
        record = self.store.add(done.image, request=alone, card=card, seconds=done.seconds, session=session)
        return Recorded(index=done.index, record=record, unscored=unscored, notice=notice)

    def _judge(
        self, image: Image.Image, request: GenerationRequest
    ) -> tuple[ScoreCard, str | None, str | None]:
        """The card, why it has no score, and what else could not be judged."""
        verifier = self._verifier(request)
        try:
            [card] = verifier.judge([image], request)
        except StudioError as error:
            log.warning("not scored: %s", error)
            return ScoreCard(), str(error), None
        if not card.scored:
            return ScoreCard(), checks.blank_reason(image) or f"{card.scorer} gave no number", None
        return card, None, "; ".join(verifier.notices) or None

    def _verifier(self, request: GenerationRequest) -> Verifier:
        scorer = base.scorer_for(request.model) if self._scorer is None else self._scorer()
        if not self._explains:
            return Verifier(scorer, gates=False)
        return Verifier(
            scorer,
            probes=probes_of(scorer) if isinstance(scorer, ClipScorer) else None,
            others=reported_for(request.model),
            read_brand=registry.capabilities_of(request.model).letters and lettering.available(),
            capabilities=registry.capabilities_of(request.model),
        )
