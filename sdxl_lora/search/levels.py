"""How hard to try, as three plain choices: Draft, Standard, Strict."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sdxl_lora.search.attempts import Policy, Sketching

if TYPE_CHECKING:
    from sdxl_lora.search.calibration import Calibration


@dataclass(frozen=True, kw_only=True)
class Level:
    """One choice."""

    title: str
    max_attempts: int
    quantile: float  # of the calibration's scores: the threshold
    gates: bool  # whether hard checks count
    says: str  # one line for the user


STANDARD: Final = "standard"  # where nobody chooses one
LEVELS: Final[dict[str, Level]] = {
    "draft": Level(
        title="Draft",
        max_attempts=2,
        quantile=0.5,
        gates=False,
        says="the work of two pictures at most, anything above the middle is fine",
    ),
    "standard": Level(
        title="Standard",
        max_attempts=4,
        quantile=0.65,
        gates=True,
        says="the work of four pictures at most, the best third is good enough",
    ),
    "strict": Level(
        title="Strict",
        max_attempts=8,
        quantile=0.8,
        gates=True,
        says="the work of eight pictures at most, only the best fifth is good enough",
    ),
}


def policy_of(
    level: Level,
    calibration: Calibration | None,
    *,
    sketching: Sketching | None = None,
    min_score: float | None = None,
    max_attempts: int | None = None,
) -> Policy:
    """The policy of a level; numbers of the user's own win. Without a calibration there is no threshold."""
    policy = Policy(
        max_attempts=level.max_attempts if max_attempts is None else max_attempts, sketching=sketching
    )
    if min_score is not None:
        return replace(policy, threshold=min_score)
    return policy if calibration is None else replace(policy, threshold=calibration.threshold(level.quantile))
