"""Thresholds from a model's own pictures: no number is good or bad before one knows what is usual.

About thirty pictures per template and model give the distribution of the scores; the threshold is a quantile of
it (0.65 unless a level says otherwise). With previews at part of the steps it also gives their rank correlation
with the final scores (Spearman), and pictures are given up early only where that is high enough: choosing two of
eight at 30 % of the steps pays from about 0.5 (Gaussian scores). Kept as `calibrations.json` in a folder: the user's
data folder, and a model's own, which may come with what was measured when it was made.
"""

import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from sdxl_lora.errors import DataError, StorageError
from sdxl_lora.feedback.attempts import Pruning

NAME = "calibrations.json"
FEWEST = 8  # pictures; fewer say nothing about a quantile
USUAL = 30
QUANTILE = 0.65
LEAST_CORRELATION = 0.5  # of preview and final score, to give pictures up early
_CERTAIN = 2.5  # deviations from chance; several fractions are looked at
_SHARPNESS_QUANTILE = 0.02  # pictures blurred like the worst in fifty fail the gate


@dataclass(frozen=True, kw_only=True)
class PreviewSample:
    """Scores of pictures part of the way, in the order of the final scores."""

    fraction: float  # of the steps
    scores: tuple[float, ...]

    def correlation(self, final: Sequence[float], prompts: Sequence[str]) -> float:
        """Spearman's rank correlation with the final scores among pictures of one prompt, -1..1.

        Scores are compared after each prompt's mean is taken off: what differs between prompts says nothing about
        which seed to go on with. NaN where no prompt has two pictures, or nothing differs.
        """
        early, late = _centred(self.scores, prompts), _centred(final, prompts)
        if len(early) < 3 or np.ptp(early) == 0 or np.ptp(late) == 0:
            return math.nan
        return float(spearmanr(early, late).statistic)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What is usual for one template, model and scorer."""

    model: str
    template: str  # "" = prompts without a template
    scorer: str
    scores: tuple[float, ...]  # finite, in the order they were made
    prompts: tuple[str, ...]  # of the same pictures
    sharpness: tuple[float, ...] = ()
    previews: tuple[PreviewSample, ...] = ()

    def __post_init__(self) -> None:
        if len(self.scores) < FEWEST:
            raise DataError(
                f"{len(self.scores)} pictures with a score say too little; calibrate with {FEWEST} or more"
            )

    def threshold(self, quantile: float = QUANTILE) -> float:
        """The score that this share of pictures stays below."""
        return float(np.quantile(self.scores, quantile))

    @property
    def least_sharpness(self) -> float | None:
        """What nearly every picture is sharper than; None where it was not measured."""
        return float(np.quantile(self.sharpness, _SHARPNESS_QUANTILE)) if self.sharpness else None

    @property
    def pruning(self) -> Pruning | None:
        """The earliest point at which previews foretell the score well enough; None where none does."""
        for sample in sorted(self.previews, key=lambda sample: sample.fraction):
            correlation = sample.correlation(self.scores, self.prompts)
            certain = correlation * math.sqrt(len(self.scores) - 1) > _CERTAIN  # its deviation by chance is 1
            if correlation >= LEAST_CORRELATION and certain:
                return Pruning(fraction=sample.fraction)
        return None

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Inverse of `dataclasses.asdict`, through JSON. Raises `DataError`."""
        try:
            previews = tuple(
                PreviewSample(fraction=float(p["fraction"]), scores=tuple(map(float, p["scores"])))
                for p in values["previews"]
            )
            return cls(
                model=str(values["model"]),
                template=str(values["template"]),
                scorer=str(values["scorer"]),
                scores=tuple(map(float, values["scores"])),
                prompts=tuple(map(str, values["prompts"])),
                sharpness=tuple(map(float, values["sharpness"])),
                previews=previews,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"this is no calibration: {error}") from error


class Calibrations:
    """All calibrations in one folder; the latest of a kind replaces the one before."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def find(self, model: str, template: str | None, scorer: str) -> Calibration | None:
        """The calibration for exactly these, if there is one."""
        wanted = (model, template or "", scorer)
        return next((c for c in self if (c.model, c.template, c.scorer) == wanted), None)

    def pooled(self, model: str, scorer: str) -> Calibration | None:
        """All templates of a model together: for prompts and templates that have no calibration of their own.

        Nothing is given up early by it: previews were measured per template.
        """
        own = [c for c in self if (c.model, c.scorer) == (model, scorer)]
        if not own:
            return None
        return Calibration(
            model=model,
            template="",
            scorer=scorer,
            scores=tuple(value for c in own for value in c.scores),
            prompts=tuple(value for c in own for value in c.prompts),
            sharpness=tuple(value for c in own for value in c.sharpness),
        )

    def keep(self, calibration: Calibration) -> None:
        """Adds or replaces. Raises `StorageError` where the disk refuses."""
        kind = (calibration.model, calibration.template, calibration.scorer)
        others = [c for c in self if (c.model, c.template, c.scorer) != kind]
        text = json.dumps([asdict(c) for c in [*others, calibration]], indent=1, allow_nan=False)
        partial = self.path.with_suffix(f".{os.getpid()}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(text, encoding="utf-8")
            partial.replace(self.path)
        except OSError as error:
            raise StorageError(
                f"cannot write {self.path}: {error.strerror}; free space or choose a folder"
            ) from error

    def __iter__(self) -> Iterator[Calibration]:
        """Every calibration; a damaged file is an error that says how to go on."""
        try:
            values = json.loads(self.path.read_text(encoding="utf-8"))
            found = [Calibration.from_dict(value) for value in values]
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"cannot read {self.path}: {error.strerror}") from error
        except (ValueError, TypeError, DataError) as error:
            raise DataError(f"{self.path} is damaged; delete it and calibrate again") from error
        yield from found


def _centred(values: Sequence[float], prompts: Sequence[str]) -> NDArray[np.float64]:
    """Values less their prompt's mean, of the prompts that have several."""
    groups: dict[str, list[float]] = {}
    for value, prompt in zip(values, prompts, strict=True):
        groups.setdefault(prompt, []).append(value)
    rows = [np.array(group) - np.mean(group) for group in groups.values() if len(group) > 1]
    # rounded, so that what is equal but for rounding has equal ranks
    return np.round(np.concatenate(rows), 9) if rows else np.empty(0)
