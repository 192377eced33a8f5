"""Thresholds from a model's own pictures: no number is good or bad before one knows what is usual.

About thirty pictures per template and model give the distribution of the scores; the threshold is a quantile of
it (0.65 unless a level says otherwise). Sketches of the same seeds, drawn with fewer steps, give their rank correlation
with the whole pictures (Spearman); they are used only where that is high enough to pay. Kept as `calibrations.json` in
a folder: the user's data folder, and a model's own, which may come with what was measured when it was made.
"""

import json
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from sdxl_lora import files, plain_json
from sdxl_lora.errors import DataError, StorageError
from sdxl_lora.generation import finishing_steps
from sdxl_lora.search.attempts import Sketching

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
    # of the pictures finished from the sketches; empty where that is not possible
    finished: tuple[float, ...] = ()

    def correlation(self, final: Sequence[float], prompts: Sequence[str]) -> float:
        """Spearman's rank correlation with the finished pictures' scores among pictures of one prompt, -1..1.

        `final`: scores of the pictures drawn anew, for sketches that were not finished.
        Scores are compared after each prompt's mean is taken off: what differs between prompts says nothing about
        which seed to go on with. NaN where no prompt has two pictures, or nothing differs.
        """
        early, late = _centred(self.scores, prompts), _centred(self.finished or final, prompts)
        if len(early) < 3 or np.ptp(early) == 0 or np.ptp(late) == 0:
            return math.nan
        return float(spearmanr(early, late).statistic)

    def advantage(self, final: Sequence[float], prompts: Sequence[str], steps: int) -> float:
        """What sketches promise for pictures of that many `steps`, against whole pictures; more than 1 pays.

        The price of two whole pictures is compared: the better of the two, against the finished one of the best of as
        many sketches as it gives. Gains over a single picture, in standard deviations between seeds, where
        choosing by sketches gives the share of the gain that their correlation is, and what finished pictures score
        more or less than those drawn anew is added. NaN as `correlation`.
        """
        correlation = self.correlation(final, prompts)
        if math.isnan(correlation):
            return math.nan
        sketches = (2 * steps - (self.finishing(steps) or steps)) // self.steps
        gain = correlation * _best_of(sketches)
        if self.finished:
            more = statistics.fmean(self.finished) - statistics.fmean(final)
            gain += more / _deviation(self.finished, prompts)
        return gain / _best_of(2)

    def finishing(self, steps: int) -> int | None:
        """Steps from the handoff step of a sketch to a picture of `steps`; None where it is drawn anew."""
        return finishing_steps(steps, self.steps) if self.finished else None


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
        rows = [self.prompts, *(s.scores for s in self.sketches)]
        rows += [s.finished for s in self.sketches if s.finished]
        if any(len(row) != len(self.scores) for row in rows):
            raise DataError("prompts, sketches and pictures of this calibration are not the same number")

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
            # a correlation's deviation by chance is 1 / sqrt(n - 1)
            if certain > _CERTAIN and advantage > best:
                best, found = advantage, self.sketching_with(sample, steps)
        return found

    def sketching_with(self, sample: SketchSample, steps: int) -> Sketching:
        """Sketches like those of `sample`, whether they pay or not."""
        gain = statistics.fmean(sample.finished or self.scores) - statistics.fmean(sample.scores)
        return Sketching(steps=sample.steps, gain=gain, finishing=sample.finishing(steps))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Inverse of `dataclasses.asdict`, through JSON. Raises `DataError`."""
        try:
            sketches = tuple(
                SketchSample(
                    steps=int(s["steps"]),
                    scores=tuple(map(float, s["scores"])),
                    finished=tuple(map(float, s.get("finished", ()))),
                )
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
                _joined([s for c in own for s in c.sketches if s.steps == steps]) for steps in sorted(common)
            ),
        )

    def keep(self, calibration: Calibration) -> None:
        """Adds or replaces. Raises `StorageError` where the disk refuses."""
        kind = (calibration.model, calibration.template, calibration.scorer)
        others = [c for c in self if (c.model, c.template, c.scorer) != kind]
        text = json.dumps([asdict(c) for c in [*others, calibration]], indent=1, allow_nan=False)
        files.write_atomically(self.path, text.encode())

    def __iter__(self) -> Iterator[Calibration]:
        """Every calibration; a damaged file is an error that says how to go on."""
        try:
            values = plain_json.parse(self.path.read_text(encoding="utf-8"))
            found = [Calibration.from_dict(value) for value in values]
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"cannot read {self.path}: {error.strerror}") from error
        except (ValueError, TypeError, DataError) as error:
            raise DataError(f"{self.path} is damaged; delete it and calibrate again") from error
        yield from found


def _joined(samples: Sequence[SketchSample]) -> SketchSample:
    """Samples of the same steps as one; finished pictures count only where all have them."""
    all_finished = all(sample.finished for sample in samples)
    return SketchSample(
        steps=samples[0].steps,
        scores=tuple(value for sample in samples for value in sample.scores),
        finished=tuple(value for sample in samples for value in sample.finished) if all_finished else (),
    )


def _best_of(number: int) -> float:
    """Expected value of the largest of so many standard normal numbers (Blom's approximation, 1958)."""
    return statistics.NormalDist().inv_cdf((number - 0.375) / (number + 0.25)) if number > 1 else 0.0


def _deviation(values: Sequence[float], prompts: Sequence[str]) -> float:
    """Standard deviation among pictures of one prompt, all prompts together."""
    groups = _groups(values, prompts)
    return math.sqrt(sum(np.sum(group**2) for group in groups) / sum(len(group) - 1 for group in groups))


def _centred(values: Sequence[float], prompts: Sequence[str]) -> NDArray[np.float64]:
    """Values less their prompt's mean, of the prompts that have several."""
    groups = _groups(values, prompts)
    centred: NDArray[np.float64] = np.concatenate(groups) if groups else np.empty(0)
    return centred.round(9)  # so that what is equal but for rounding has equal ranks


def _groups(values: Sequence[float], prompts: Sequence[str]) -> list[NDArray[np.float64]]:
    """For every prompt that has several values, those less their mean."""
    groups: dict[str, list[float]] = {}
    for value, prompt in zip(values, prompts, strict=True):
        groups.setdefault(prompt, []).append(value)
    return [
        np.array(group, np.float64) - statistics.fmean(group) for group in groups.values() if len(group) > 1
    ]
