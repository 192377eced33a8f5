"""What a record keeps of a search: the card of the attempt that was taken, with what became of all of them."""

import math
from collections.abc import Sequence
from dataclasses import replace

from sdxl_lora.scoring.card import LoggedAttempt, ScoreCard, SearchLog
from sdxl_lora.search.attempts import Attempt


def card_of(
    attempt: Attempt, attempts: Sequence[Attempt], *, reason: str = "", by_taste: bool = False
) -> ScoreCard:
    """The card of the attempt that is kept, with the log of all, and why this one if not by its score."""
    if attempt.judgement is None:
        return ScoreCard()
    log = SearchLog(
        attempts=tuple(logged(one) for one in attempts),
        kept=attempt.number,
        accepted=attempt.accepted,
        reason=reason,
        by_taste=by_taste,
        count=len(attempts),
    )
    return replace(attempt.judgement, search=log)


def logged(attempt: Attempt) -> LoggedAttempt:
    """One attempt without its picture."""
    judgement = attempt.judgement
    return LoggedAttempt(
        number=attempt.number,
        prompt=attempt.request.prompt,
        seed=attempt.request.seed,
        scorer=judgement.scorer if judgement else "",
        score=judgement.score if judgement else math.nan,
        accepted=attempt.accepted,
        change=attempt.change,
        kept=attempt.kept,
        verdict=attempt.verdict,
        steps=attempt.steps,
        sketch=attempt.sketch,
        finishes=attempt.finishes,
    )
