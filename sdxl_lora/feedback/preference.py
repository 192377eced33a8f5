"""What people like, learned from their votes: a regularised logistic regression on CLIP features, per brand.

It re-orders candidates that passed the same gates and never outweighs a gate. How well it predicts is measured on
votes it was not trained on (stratified folds, every vote held out once); until the lower end of that measure's 99 %
interval beats chance it is off, and says why. With 60 votes and hundreds of features nearly any direction fits the
votes exactly, so the regularisation is strong; it is chosen within each fold, never by the votes that measure.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdxl_lora.errors import DataError
from sdxl_lora.scoring.card import ScoreCard

FEWEST = 8  # votes of each kind; fewer cannot be told from luck
FOLDS = 5
STRENGTHS = (0.01, 0.1, 1.0, 10.0)  # inverse regularisation, scikit-learn's C, on standardised features
_Z = 2.58  # of a 99 % interval: it is looked at again after every vote

Features = NDArray[np.float64]  # [pictures, dimensions]


@dataclass(frozen=True, kw_only=True)
class Report:
    """How well votes are foretold that were not trained on."""

    approvals: int
    rejections: int
    auc: float  # chance that an approved picture is placed before a rejected one, held out; 0.5 = guessing
    low: float  # lower and upper end of its 99 % interval (Hanley and McNeil 1982)
    high: float
    reason: str  # why it is on or off, one line

    @property
    def on(self) -> bool:
        """Whether the preference may re-order pictures."""
        return self.low > 0.5


@dataclass(frozen=True, kw_only=True)
class Preference:
    """A taste as a direction in CLIP's space. `weights` is None until it beats chance."""

    report: Report
    weights: NDArray[np.float64] | None = None  # [dimensions], on raw features
    offset: float = 0.0

    def predict(self, features: Features) -> NDArray[np.float64]:
        """Probability of approval for every row; 0.5 for all while it is off."""
        if self.weights is None:
            return np.full(len(features), 0.5)
        logits = np.clip(features @ self.weights + self.offset, -60, 60)
        chances: NDArray[np.float64] = 1 / (1 + np.exp(-logits))
        return chances


def learn(features: Features, approved: Sequence[bool]) -> Preference:
    """The preference behind these votes. Deterministic.

    Args:
        features: CLIP image embeddings [votes, dimensions], all of one CLIP model.
        approved: the vote on each.

    Raises `DataError` if the numbers do not fit together or are not finite.
    """
    wanted = np.asarray(approved, dtype=bool)
    if features.ndim != 2 or len(features) != len(wanted):
        raise DataError(f"{len(wanted)} votes do not fit features of shape {features.shape}")
    if not np.isfinite(features).all():
        raise DataError("a voted picture has features that are not finite; leave it out")
    yes, no = int(wanted.sum()), int((~wanted).sum())
    if min(yes, no) < FEWEST:
        missing = "approvals" if yes < no else "rejections"
        reason = f"off: {yes} approvals and {no} rejections; from {FEWEST} of each it can learn ({missing} are missing)"
        nothing = Report(approvals=yes, rejections=no, auc=math.nan, low=0.0, high=1.0, reason=reason)
        return Preference(report=nothing)
    report = _report(yes, no, _held_out_auc(features, wanted))
    if not report.on:
        return Preference(report=report)
    weights, offset = _fit(features, wanted, _best_strength(features, wanted))
    return Preference(report=report, weights=weights, offset=offset)


def order(judgements: Sequence[ScoreCard], features: Features, preference: Preference) -> list[int]:
    """Indices from best to worst: least wrong, then the preference while it is on, then the score.

    Blank pictures (score NaN) come last, whatever the preference.
    """
    chances = preference.predict(features)

    def place(index: int) -> tuple[int, int, float, float]:
        judgement = judgements[index]
        if not math.isfinite(judgement.score) or not math.isfinite(chances[index]):
            return (1, 0, 0.0, 0.0)
        return (0, judgement.faults, -float(chances[index]), -judgement.score)

    return sorted(range(len(judgements)), key=place)


def _fit(features: Features, wanted: NDArray[np.bool_], strength: float) -> tuple[NDArray[np.float64], float]:
    """Weights and offset on raw features, from a regression on standardised ones."""
    from sklearn.linear_model import LogisticRegression  # takes a second to import

    mean, deviation = features.mean(axis=0), features.std(axis=0)
    # dividing by the square root of the dimensions makes C mean the same for every CLIP
    scale = np.where(deviation > 0, deviation, 1.0) * math.sqrt(features.shape[1])
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000)
    model.fit((features - mean) / scale, wanted)
    weights: NDArray[np.float64] = model.coef_[0] / scale
    return weights, float(model.intercept_[0] - mean @ weights)


def _held_out_auc(features: Features, wanted: NDArray[np.bool_]) -> float:
    """Area under the ROC curve on votes held out, the strength chosen without them: mean over folds."""
    areas = [
        _auc(features, wanted, train, test, _best_strength(features[train], wanted[train]))
        for train, test in _folds(features, wanted)
    ]
    return float(np.mean(areas))


def _best_strength(features: Features, wanted: NDArray[np.bool_]) -> float:
    """The regularisation that foretells these votes best, by folds of them."""
    folds = _folds(features, wanted)

    def area(strength: float) -> float:
        return float(np.mean([_auc(features, wanted, *fold, strength) for fold in folds]))

    return max(STRENGTHS, key=area)


def _folds(
    features: Features, wanted: NDArray[np.bool_]
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """(indices to train on, indices held out); each fold has both kinds."""
    from sklearn.model_selection import StratifiedKFold

    return list(StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(features, wanted))


def _auc(
    features: Features,
    wanted: NDArray[np.bool_],
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    strength: float,
) -> float:
    from sklearn.metrics import roc_auc_score

    weights, _ = _fit(features[train], wanted[train], strength)
    return float(roc_auc_score(wanted[test], features[test] @ weights))


def _report(yes: int, no: int, auc: float) -> Report:
    """Interval by Hanley and McNeil, Radiology 143 (1982), equation 1."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (yes - 1) * (q1 - auc**2) + (no - 1) * (q2 - auc**2)
    half = _Z * math.sqrt(max(variance, 0.0) / (yes * no))
    low, high = max(0.0, auc - half), min(1.0, auc + half)
    if low > 0.5:
        reason = f"on: places an approved picture before a rejected one {auc:.0%} of the time ({low:.0%} to {high:.0%})"
    else:
        reason = f"off: {auc:.0%} on held-out votes ({low:.0%} to {high:.0%}) is no better than guessing yet"
    return Report(approvals=yes, rejections=no, auc=auc, low=low, high=high, reason=reason)
