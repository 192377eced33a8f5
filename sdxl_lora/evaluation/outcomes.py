"""From what was measured to what a metric says: values per picture or one statistic, or the reason why there
is none.

Every function takes what was measured, the name of the picture set (the generated ones or a baseline) and the
task whose arrays it reads.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sdxl_lora.editing.colour import difference
from sdxl_lora.evaluation import distribution
from sdxl_lora.evaluation.measure import Measured, decode
from sdxl_lora.scoring import lettering

TOO_FEW = 50  # pictures below which a Frechet distance says nothing and is not shown
RELIABLE = 2_048  # pictures below which it depends more on their number than on the model (arXiv:1911.07023)
CLIP_WEIGHT = 2.5  # Hessel et al. 2021, arXiv:2104.08718, section 3


class Unavailable(Exception):
    """Why a metric has no value, in one line with what to do."""


@dataclass(frozen=True)
class Outcome:
    """What a metric found: values per picture, or one statistic of the whole set, or both."""

    values: Sequence[float | None] | None = None  # in the order of the pairs
    statistic: float | None = None  # for metrics of whole sets; None: the mean of the values
    ci95: tuple[float, float] | None = None  # of the statistic
    standard_error: float | None = None
    skipped: Mapping[int, str] = field(default_factory=dict)  # place -> why there is no value
    extra: Mapping[str, Any] = field(default_factory=dict)  # more for the settings
    of_references: bool = False  # the values belong to reference pictures (recall, coverage)


def pairwise(measured: Measured, name: str, task: str) -> Outcome:
    """One value per pair, as measured; equal pictures have no finite PSNR and are skipped."""
    values = [float(value) for value in measured.of_pairs(task, name)]
    equal = {i: "equal to the reference: infinite" for i, value in enumerate(values) if np.isinf(value)}
    return Outcome([None if i in equal else value for i, value in enumerate(values)], skipped=equal)


def clip(measured: Measured, name: str, task: str) -> Outcome:
    """2.5 max(cos, 0) of each picture with its caption; none where the network was not trained on such pictures."""
    pictures = measured.of_pictures(task, measured.sets[name]).astype(np.float64)
    texts = measured.captions_embedded[task].astype(np.float64)
    cosines = (pictures * texts).sum(axis=1)
    outside = measured.outside(task, measured.sets[name])
    values = (CLIP_WEIGHT * np.maximum(cosines, 0)).tolist()
    inside = [cosine for i, cosine in enumerate(cosines.tolist()) if i not in outside]
    return Outcome(
        [None if i in outside else value for i, value in enumerate(values)],
        skipped=outside,
        extra={"mean_cosine": sum(inside) / len(inside)} if inside else {},
    )


def blip(column: int) -> Callable[[Measured, str, str], Outcome]:
    """One column of BLIP's pair (ITM, ITC)."""

    def compute(measured: Measured, name: str, task: str) -> Outcome:
        values = [float(value) for value in measured.of_captions(task, name)[:, column]]
        flat = {
            i: "one flat colour: BLIP says nothing of it" for i, value in enumerate(values) if np.isnan(value)
        }
        return Outcome([None if i in flat else value for i, value in enumerate(values)], skipped=flat)

    return compute


def similarity(measured: Measured, name: str, task: str) -> Outcome:
    """Cosine between each picture's embedding and its reference's."""
    one = distribution.normalised(measured.of_pictures(task, measured.sets[name]))
    other = distribution.normalised(measured.of_pictures(task, measured.references))
    cosines: list[float | None] = (one * other).sum(axis=1).tolist()
    return Outcome(cosines)


def _sets(measured: Measured, name: str, task: str, least: int) -> tuple[Any, Any]:
    if name == "another_product":
        raise Unavailable("the references themselves: their distance to themselves says nothing")
    if len(measured.references) < least:
        raise Unavailable(f"{len(measured.references)} pictures are too few, it needs {least}; add pictures")
    return measured.of_pictures(task, measured.sets[name]), measured.of_pictures(task, measured.references)


def frechet(measured: Measured, name: str, task: str) -> Outcome:
    """Unavailable below `TOO_FEW` pictures, with a warning below `RELIABLE`."""
    n = len(measured.references)
    if n < TOO_FEW:
        raise Unavailable(
            f"{n} pictures are too few for a Frechet distance to mean anything: it needs {TOO_FEW} to be "
            f"shown and {RELIABLE:,} to be reliable; look at KID, or add pictures"
        )
    generated, real = _sets(measured, name, task, TOO_FEW)
    extra = {} if n >= RELIABLE else {"warning": f"n too small: biased below {RELIABLE:,} pictures; see KID"}
    return Outcome(statistic=distribution.frechet_distance(generated, real), extra=extra)


def discrepancy(
    distance: Callable[[Any, Any], distribution.Estimate],
) -> Callable[[Measured, str, str], Outcome]:
    """An unbiased distance of two sets, with its jackknife interval."""

    def compute(measured: Measured, name: str, task: str) -> Outcome:
        estimate = distance(*_sets(measured, name, task, 2))
        n = len(measured.references)
        extra = {"warning": f"n = {n}: the interval is wide"} if n < TOO_FEW else {}
        return Outcome(
            statistic=estimate.value, ci95=estimate.ci95, standard_error=estimate.standard_error, extra=extra
        )

    return compute


def manifold(part: str) -> Callable[[Measured, str, str], Outcome]:
    """One part of `distribution.Manifold`, by name."""

    def compute(measured: Measured, name: str, task: str) -> Outcome:
        sets = _sets(measured, name, task, distribution.NEIGHBOURS + 1)
        key = ("manifold", name, task)  # four metrics read it, and it takes all distances of all pictures
        if key not in measured.shared:
            measured.shared[key] = distribution.manifold(*sets)
        values = getattr(measured.shared[key], part)
        return Outcome([float(value) for value in values], of_references=part in ("recall", "coverage"))

    return compute


def diversity(measured: Measured, name: str, task: str) -> Outcome:
    """Mean distance of each picture to the others."""
    sources = measured.sets[name]
    if len(sources) < 2:
        raise Unavailable("one picture has no diversity; add pictures")
    return Outcome([float(v) for v in distribution.diversity(measured.of_pictures(task, sources))])


def vendi(measured: Measured, name: str, task: str) -> Outcome:
    """Effective number of different pictures."""
    return Outcome(statistic=distribution.vendi_score(measured.of_pictures(task, measured.sets[name])))


def colour(measured: Measured, name: str, task: str) -> Outcome:
    """CIEDE2000 per pair; pairs without a garment mask are skipped with the reason."""
    values: list[float | None] = []
    skipped = {}
    for place, pair in enumerate(zip(measured.sets[name], measured.references, strict=True)):
        found = [measured.raw(task, source) for source in pair]
        # a mask that failed left its reason, as text, in the place of the colour
        reasons = [
            f"{which}: {lab.tobytes().decode()}"
            for which, lab in zip(("generated", "reference"), found, strict=True)
            if lab.dtype == np.uint8
        ]
        if reasons:
            skipped[place] = "; ".join(reasons)
            values.append(None)
        else:
            values.append(difference(tuple(found[0]), tuple(found[1])))
    return Outcome(values, skipped=skipped)


def ocr(measured: Measured, name: str, task: str) -> Outcome:
    """1 read, 0 misread; pictures without readable text are skipped and counted."""
    if not any(measured.brands):
        raise Unavailable("no brands: give --captions with a column 'brand'")
    values: list[float | None] = []
    skipped, counts, boxes = {}, {"read": 0, "misread": 0, "not readable": 0}, {}
    for place, (source, brand) in enumerate(zip(measured.sets[name], measured.brands, strict=True)):
        words = decode(measured.raw(task, source))
        boxes[place] = [{"text": w.text, "confidence": w.confidence, "box": w.box} for w in words]
        if not brand:
            skipped[place] = "no brand given"
            values.append(None)
            continue
        found = lettering.judge(words, brand)
        counts[found.state] += 1
        if found.state == "not readable":
            skipped[place] = "not readable"
        values.append(None if found.state == "not readable" else float(found.state == "read"))
    return Outcome(values, skipped=skipped, extra={"states": counts, "words": boxes})
