"""Judges a picture that nobody has judged yet. One that cannot be judged goes on without a score, and says why."""

import logging
from collections.abc import Callable
from dataclasses import replace

from sdxl_lora.errors import StudioError
from sdxl_lora.finishing.chain import Piece, Stage
from sdxl_lora.request import GenerationRequest
from sdxl_lora.scoring import checks
from sdxl_lora.scoring.card import ScoreCard
from sdxl_lora.scoring.verifier import Verifier

log = logging.getLogger(__name__)


class Score:
    """Asks the verifier of the picture's request."""

    stage = Stage.SCORE

    def __init__(self, verifier_of: Callable[[GenerationRequest], Verifier]) -> None:
        self._verifier_of = verifier_of

    def wanted(self, piece: Piece) -> bool:
        """Not where a search has judged it."""
        return piece.card is None

    def __call__(self, piece: Piece) -> Piece:
        """The picture with its card."""
        verifier = self._verifier_of(piece.request)
        try:
            [card] = verifier.judge([piece.image], piece.request)
        except StudioError as error:
            log.warning("not scored: %s", error)
            return replace(piece, card=ScoreCard(), unscored=str(error))
        if not card.scored:
            reason = checks.blank_reason(piece.image) or f"{card.scorer} gave no number"
            return replace(piece, card=ScoreCard(), unscored=reason)
        notice = "; ".join(filter(None, [piece.notice, *verifier.notices])) or None
        return replace(piece, card=card, notice=notice)
