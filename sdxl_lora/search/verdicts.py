"""What became of an attempt, and of all of them, in words for the user."""

import math

from sdxl_lora.scoring.card import ScoreCard
from sdxl_lora.search.attempts import Attempt


def of(
    judgement: ScoreCard | None, threshold: float | None, *, gain: float | None = None
) -> tuple[bool, str]:
    """(whether the picture is accepted, why or why not).

    Args:
        judgement: None where there is no picture.
        threshold: None = nothing is accepted at once, the best of all is taken.
        gain: of a sketch, which is never accepted itself: what its whole picture would score more.
    """
    if judgement is None:
        return False, "no picture"
    if not math.isfinite(judgement.score):
        reason = next((gate.reason for gate in judgement.failed), f"{judgement.scorer} gave no number")
        return False, reason
    if judgement.failed:
        return False, "; ".join(f"{gate.name}: {gate.reason}" for gate in judgement.failed)
    score = judgement.score + (gain or 0.0)
    says = f"{judgement.scorer} {score:.3f}"
    if gain is not None:
        says = f"sketch of {says}"
    if threshold is None:
        return False, f"{says}; no threshold, the best of all is taken"
    reaches = score >= threshold
    return reaches and gain is None, f"{says} {'reaches' if reaches else 'is below'} {threshold:.3f}"


def summary(best: Attempt, attempts: int, threshold: float | None) -> str:
    """One line about all attempts."""
    if best.accepted:
        return f"accepted attempt {best.number} of {attempts}"
    if best.judgement is not None and best.judgement.failed:
        return f"none of {attempts} attempts passed every check; attempt {best.number} is the best"
    if threshold is None:
        return f"attempt {best.number} is the best of {attempts}"
    return f"none of {attempts} attempts reached {threshold:.3f}; attempt {best.number} is the best"
