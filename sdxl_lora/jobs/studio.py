"""One request to finished pictures, and to recorded ones: the single path that pages, queue and command line share.

`Drawing` is what any machine can do, `Studio` the one that keeps records. Every picture is judged; one that cannot be
is kept all the same. Threads may share one; the model serves one at a time. Knows nothing of queues, turns or pages.
"""

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from sdxl_lora import generation
from sdxl_lora.finishing.chain import Chain, Piece, Step
from sdxl_lora.finishing.compositing import Composite
from sdxl_lora.finishing.detailing import Detail
from sdxl_lora.finishing.embedding import Embed
from sdxl_lora.finishing.embroidering import Embroider
from sdxl_lora.finishing.recolouring import Recolour
from sdxl_lora.finishing.scoring import Score
from sdxl_lora.finishing.signing import Sign
from sdxl_lora.finishing.staging import Background
from sdxl_lora.finishing.storing import Keep
from sdxl_lora.finishing.upscaling import Upscale
from sdxl_lora.finishing.watermarking import Watermark
from sdxl_lora.generation import Event, PictureDone, StepDone, detail, retouch
from sdxl_lora.jobs.events import Recorded
from sdxl_lora.jobs.task import Task
from sdxl_lora.logos import asked
from sdxl_lora.models import registry
from sdxl_lora.models.loading import ModelConfig, load
from sdxl_lora.records import Database, Store
from sdxl_lora.request import GenerationRequest, ResolvedRequest
from sdxl_lora.scoring import base, lettering
from sdxl_lora.scoring.base import Scorer
from sdxl_lora.scoring.card import ScoreCard
from sdxl_lora.scoring.clip import ClipScorer
from sdxl_lora.scoring.probes import probes_of
from sdxl_lora.scoring.verifier import Verifier, reported_for

_ALONE = Task()


class Drawing:
    """Makes pictures, scores and finishes them; what becomes of them is up to the last steps."""

    def __init__(
        self,
        home: Path,
        last: Sequence[Step],
        *,
        scorer: Callable[[], Scorer] | None = None,
        explain: bool = False,
    ) -> None:
        """Args:
        home: where the user's calibrations are.
        last: the steps of the chain after the score; one of them gives the piece its record.
        scorer: asked for at each picture; None = `scoring.base.scorer_for` the picture's model.
        explain: also find out what of the words shows, and check what must not be wrong; takes about as long
            again as the score, and several times that for words that were not seen lately.
        """
        self.home = home
        self.explains = explain
        self._scorer = scorer
        self._chain = Chain(
            [
                Upscale(),
                Detail(self._detailed),
                Recolour(),
                Composite(),
                Embroider(self._embroidered),
                Background(),
                Score(self._verifier),
                *last,
            ]
        )

    def check(self) -> None:
        """Whether pictures can be finished at all, before one is drawn. Raises `InputError`, `ProvenanceError`."""

    def run(
        self,
        request: GenerationRequest,
        *,
        cancel: threading.Event | None = None,
        session: str = "",
        task: Task = _ALONE,
    ) -> Iterator[Event | Recorded]:
        """Yields the events of `generation.generate`, and a `Recorded` after every `PictureDone`.

        Pictures that the task has done are left out. A picture that cannot be scored is kept without a score. Raises
        any `StudioError`, `Cancelled` among them; pictures recorded before that stay.
        """
        self.check()
        # of what is resolved it was seen then whether it can be drawn
        resolved = request if isinstance(request, ResolvedRequest) else generation.resolve(request)
        draw = self._drawing(resolved)
        for left in task.left(resolved.count):
            part = replace(resolved, seed=resolved.for_picture(left.start).seed, count=len(left))
            for event in draw(part, cancel=cancel):
                if isinstance(event, StepDone):
                    yield replace(event, picture=left.start + event.picture)
                elif isinstance(event, PictureDone):
                    index = left.start + event.index
                    yield replace(event, index=index)
                    piece = Piece(
                        image=event.image,
                        request=event.drawn(resolved.for_picture(index)),
                        seconds=event.seconds,
                        session=session,
                        cancel=cancel,
                        place=task.place(index),
                        card=_unjudged(resolved),
                    )
                    yield replace(self.finish(piece), index=index)
                else:
                    yield event

    def _drawing(self, request: ResolvedRequest) -> Callable[..., Iterator[Event]]:
        """What makes the pictures of a request: its model, loaded, or nothing but the start picture itself."""
        if not request.is_drawn:
            return generation.as_it_is
        return functools.partial(generation.generate, load(ModelConfig.of(request)))

    def finish(self, piece: Piece) -> Recorded:
        """The chain after decoding: scored unless a search has done so, embedded, kept. Raises `StorageError`."""
        done = self._chain(piece)
        assert done.record is not None  # the last step
        return Recorded(index=0, record=done.record, unscored=done.unscored, notice=done.notice)

    def _detailed(self, piece: Piece) -> Image.Image:
        """The enlarged picture of a piece, with what its model draws into it."""
        request = generation.resolve(piece.request)
        model, picture = load(ModelConfig.of(request)), piece.image.convert("RGB")
        return detail.add(model, request, picture, cancel=piece.cancel)

    def _embroidered(self, piece: Piece) -> Image.Image:
        """The picture of a piece, with its embroidered logos drawn over a little by its model."""
        request = generation.resolve(piece.request)
        model, picture = load(ModelConfig.of(request)), piece.image.convert("RGB")
        assert piece.sewn is not None  # else this is not asked for
        drawn = retouch.part(model, request, picture, piece.sewn, asked.EMBROIDERY, cancel=piece.cancel)
        if piece.image.mode == "RGBA":
            drawn.putalpha(piece.image.getchannel("A"))
        return drawn

    def _verifier(self, request: GenerationRequest) -> Verifier:
        scorer = base.scorer_for(request.model) if self._scorer is None else self._scorer()
        if not self.explains:
            return Verifier(scorer, gates=False)
        return Verifier(
            scorer,
            probes=probes_of(scorer) if isinstance(scorer, ClipScorer) else None,
            others=reported_for(request.model),
            read_brand=registry.capabilities_of(request.model).letters and lettering.available(),
            capabilities=registry.capabilities_of(request.model),
        )


class Studio(Drawing):
    """Makes pictures, and keeps them under one data folder."""

    def __init__(
        self,
        where: Path | Database | Store,
        *,
        scorer: Callable[[], Scorer] | None = None,
        explain: bool = False,
    ) -> None:
        """As `Drawing`. `where`: the data folder, or its database or store where others share it.

        Raises `StorageError` if the data folder cannot be used.
        """
        self.store = where if isinstance(where, Store) else Store(where)
        self._sign, self._keep = Sign(self.store), Keep(self.store)
        last: list[Step] = [Watermark(self.store.get), Embed(self.store.get), self._sign, self._keep]
        super().__init__(self.store.home, last, scorer=scorer, explain=explain)

    def check(self) -> None:
        """Also raises where a signature is required, and there is nothing to sign with."""
        self._sign.check()

    def record(self, piece: Piece) -> Recorded:
        """Signs and keeps what a machine without records has finished. Raises as `finish`."""
        done = Chain([self._sign, self._keep])(piece)
        assert done.record is not None  # the last step
        return Recorded(index=0, record=done.record, unscored=done.unscored, notice=done.notice)


def _unjudged(request: ResolvedRequest) -> ScoreCard | None:
    """An empty card where the picture's product was not drawn from words, which would be judged by them; else None."""
    return None if request.is_drawn and not request.product else ScoreCard()
