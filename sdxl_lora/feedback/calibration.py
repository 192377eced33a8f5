"""Thresholds from a model's own pictures: no number is good or bad before one knows what is usual.

About thirty pictures per template and model give the distribution of the scores; the threshold is a quantile of
it (0.65 unless a level says otherwise). Sketches of the same seeds, drawn with fewer steps, give their rank correlation
with the whole pictures (Spearman); they are used only where that is high enough to pay. Kept as `calibrations.json` in
a folder: the user's data folder, and a model's own, which may come with what was measured when it was made.
"""

import json
import math
import os
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from sdxl_lora.errors import DataError, StorageError
from sdxl_lora.feedback.attempts import Sketching

NAME = "calibrations.json"
FEWEST = 8  # pictures; fewer say nothing about a quantile
USUAL = 30
QUANTILE = 0.65
_CERTAIN = 2.5  # deviations from chance; several numbers of steps are looked at
_SHARPNESS_QUANTILE = 0.02  # pictures blurred like the worst in fifty fail the gate


@dataclass(frozen=True, kw_only=True)
class SketchSample:
    """Scores of the same pictures drawn with fewer steps, in the order of the whole pictures' scores."""

    steps: int
    scores: tuple[float, ...]

    def correlation(self, final: Sequence[float], prompts: Sequence[str]) -> float:
        """Spearman's rank correlation with the whole pictures' scores among pictures of one prompt, -1..1.

        Scores are compared after each prompt's mean is taken off: what differs between prompts says nothing about
        which seed to go on with. NaN where no prompt has two pictures, or nothing differs.
        """
        early, late = _centred(self.scores, prompts), _centred(final, prompts)
        if len(early) < 3 or np.ptp(early) == 0 or np.ptp(late) == 0:
            return math.nan
        return float(spearmanr(early, late).statistic)

    def advantage(self, final: Sequence[float], prompts: Sequence[str], steps: int) -> float:
        """What sketches promise for pictures of that many `steps`, against whole pictures; more than 1 pays.

        The price of two whole pictures is compared: the better of the two, against the whole picture of the best of as
        many sketches as the other one's steps give. Gains over a single picture, in its standard deviations, where
        choosing by sketches gives the share of the gain that their correlation is. NaN as `correlation`.
        """
        return self.correlation(final, prompts) * _best_of(steps // self.steps) / _best_of(2)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What is usual for one template, model and scorer."""

    model: str
    template: str  # "" = prompts without a template
    scorer: str
    scores: tuple[float, ...]  # finite, in the order they were made
    prompts: tuple[str, ...]  # of the same pictures
    sharpness: tuple[float, ...] = ()
    sketches: tuple[SketchSample, ...] = ()

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

    def sketching(self, steps: int) -> Sketching | None:
        """The sketches that pay most for pictures of that many steps; None where none do for certain."""
        best, found = 1.0, None
        for sample in self.sketches:
            certain = sample.correlation(self.scores, self.prompts) * math.sqrt(len(self.scores) - 1)
            advantage = sample.advantage(self.scores, self.prompts, steps)
            if (
                certain > _CERTAIN and advantage > best
            ):  # a correlation's deviation by chance is 1 / sqrt(n - 1)
                gain = statistics.fmean(self.scores) - statistics.fmean(sample.scores)
                best, found = advantage, Sketching(steps=sample.steps, gain=gain)
        return found

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Inverse of `dataclasses.asdict`, through JSON. Raises `DataError`."""
        try:
            sketches = tuple(
                SketchSample(steps=int(s["steps"]), scores=tuple(map(float, s["scores"])))
                for s in values.get("sketches", ())  # older files have none
            )
            return cls(
                model=str(values["model"]),
                template=str(values["template"]),
                scorer=str(values["scorer"]),
                scores=tuple(map(float, values["scores"])),
                prompts=tuple(map(str, values["prompts"])),
                sharpness=tuple(map(float, values["sharpness"])),
                sketches=sketches,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
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
        """All templates of a model together: for prompts and templates that have no calibration of their own."""
        own = [c for c in self if (c.model, c.scorer) == (model, scorer)]
        if not own:
            return None
        common = set.intersection(*({sample.steps for sample in c.sketches} for c in own))
        return Calibration(
            model=model,
            template="",
            scorer=scorer,
            scores=tuple(value for c in own for value in c.scores),
            prompts=tuple(value for c in own for value in c.prompts),
            sharpness=tuple(value for c in own for value in c.sharpness),
            sketches=tuple(
                SketchSample(
                    steps=steps,
                    scores=tuple(v for c in own for s in c.sketches if s.steps == steps for v in s.scores),
                )
                for steps in sorted(common)
            ),
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


def _best_of(number: int) -> float:
    """Expected value of the largest of so many standard normal numbers (Blom's approximation, 1958)."""
    return statistics.NormalDist().inv_cdf((number - 0.375) / (number + 0.25)) if number > 1 else 0.0


def _centred(values: Sequence[float], prompts: Sequence[str]) -> NDArray[np.float64]:
    """Values less their prompt's mean, of the prompts that have several."""
    groups: dict[str, list[float]] = {}
    for value, prompt in zip(values, prompts, strict=True):
        groups.setdefault(prompt, []).append(value)
    rows = [np.array(group) - np.mean(group) for group in groups.values() if len(group) > 1]
    # rounded, so that what is equal but for rounding has equal ranks
    return np.round(np.concatenate(rows), 9) if rows else np.empty(0)
