"""One evaluation: pairs in, every metric out, each with its settings, its baselines and its reasons.

The result is plain data (`Evaluation.to_dict`), equal to the last digit for equal files, settings and
versions: it holds no time and no absolute path. Knows nothing of the database and the command line.
"""

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from sdxl_lora import __version__
from sdxl_lora.errors import DataError, ModelUnavailableError, RequestError, UnknownNameError
from sdxl_lora.evaluation import backbones, colour, measure, statistics
from sdxl_lora.evaluation.cache import FeatureCache
from sdxl_lora.evaluation.measure import GENERATED, Measured, Task
from sdxl_lora.evaluation.metrics import METRICS, Metric
from sdxl_lora.evaluation.outcomes import Outcome, Unavailable
from sdxl_lora.evaluation.pairing import Pairing
from sdxl_lora.scoring import lettering

SCHEMA = 1  # of the report
DEFAULT_SIDE = 256  # px; what the original project's numbers were taken at
TOP_BY = ("clip", "clip_mini", "psnr")  # the first of these that has values chooses the top five
_PACKAGES = ("numpy", "scipy", "scikit-image", "pillow", "torch", "transformers", "lpips", "rapidocr")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What decides an evaluation besides the files."""

    resize: int = DEFAULT_SIDE  # px; side of the square PSNR, SSIM and LPIPS are taken at
    metrics: tuple[str, ...] = ()  # keys; empty = all
    baselines: bool = True  # score the blank card, another product and the moved reference as well
    top_by: str | None = None  # metric that chooses the top five for all metrics; None: the first of TOP_BY
    weights: Mapping[str, Path] = field(default_factory=dict)  # network key -> a file or folder of the user's

    def __post_init__(self) -> None:
        if not 32 <= self.resize <= 4_096:
            raise RequestError(f"resize {self.resize} is not between 32 and 4096 px; 256 is usual")
        for key in (*self.metrics, *((self.top_by,) if self.top_by else ())):
            if key not in METRICS:
                raise UnknownNameError("metric", key, METRICS)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A finished evaluation, JSON-ready."""

    label: str
    pairs: list[dict[str, Any]]
    metrics: dict[str, dict[str, Any]]
    baselines: dict[str, dict[str, Any]]
    notes: list[str]
    provenance: dict[str, Any]

    @property
    def identity(self) -> str:
        """Hex digits that depend on all content but the label: equal evaluations have equal ones."""
        content = {key: value for key, value in self._content().items() if key != "label"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """The portable report."""
        return {"schema": SCHEMA, "id": self.identity, **self._content()}

    def _content(self) -> dict[str, Any]:
        names = ("label", "notes", "metrics", "baselines", "pairs", "provenance")
        return {name: getattr(self, name) for name in names}


def evaluate(
    pairing: Pairing,
    settings: Settings | None = None,
    *,
    label: str = "",
    cache: FeatureCache | None = None,
    progress: measure.Progress | None = None,
) -> Evaluation:
    """Measures everything that can be measured on these pairs.

    Args:
        cache: what was measured before; None keeps it in memory for this call.
        progress: called with (pairs done, pairs in all).

    Raises `ImageError` for a picture that cannot be read. A metric that lacks something is `unavailable`
    instead.
    """
    settings = settings or Settings()
    if not pairing.pairs:
        raise DataError("there are no pictures to evaluate")
    chosen = [METRICS[key] for key in (settings.metrics or tuple(METRICS))]
    reasons = {metric.key: reason for metric in chosen if (reason := _lacking(metric, pairing))}
    wanted = {metric.task for metric in chosen if metric.key not in reasons}
    tasks, embedders, networks, missing = _tasks(wanted, settings)
    for metric in chosen:
        if metric.task in missing:
            reasons.setdefault(metric.key, missing[metric.task])
    sets = measure.picture_sets(pairing, settings.resize, baselines=settings.baselines)
    cache = cache or FeatureCache(None)
    measured = measure.measure(pairing, sets, tasks, cache, progress)
    if measured.captions:
        measured.captions_embedded = {
            name: network.embed_texts(measured.captions) for name, network in embedders.items()
        }
    able = [metric for metric in chosen if metric.key not in reasons]
    identities = {task.name: task.identity for task in tasks}
    outcomes = {
        GENERATED: _outcomes(able, measured, reasons),
        **_baselines(able, measured, identities, cache),
    }
    return _assembled(pairing, settings, label, chosen, measured, outcomes, reasons, networks)


def _lacking(metric: Metric, pairing: Pairing) -> str:
    if metric.needs_reference and not pairing.has_references:
        return "no reference pictures: give --reference DIR"
    if metric.needs_captions and not pairing.has_captions:
        return "no captions: give --captions FILE"
    if metric.task == "words":
        if not any(pair.facts.get("brand") for pair in pairing.pairs):
            return "no brands: give --captions FILE with a column 'brand'"
        if not lettering.available():
            return f"OCR is not installed: {lettering.INSTALL}"
    return ""


def _tasks(
    wanted: set[str], settings: Settings
) -> tuple[list[Task], dict[str, backbones.Clip], dict[str, dict[str, str]], dict[str, str]]:
    """Tasks that can be done, networks that embed texts, what to say of each network, and what is missing and
    why.
    """
    resize = {"resize": f"{settings.resize} px, PIL bicubic"}
    tasks = [measure.facts_task()]
    tasks += [task for task in measure.pixel_tasks(settings.resize) if task.name in wanted]
    said: dict[str, dict[str, str]] = {"psnr": resize, "ssim": resize}
    embedders: dict[str, backbones.Clip] = {}
    missing: dict[str, str] = {}
    if "colour" in wanted:
        tasks.append(measure.colour_task())
        said["colour"] = {"resize": f"{colour.MASK_SIDE} px, PIL bicubic"}
    if "words" in wanted:
        tasks.append(measure.ocr_task())
        said["words"] = {"resize": "none"}
    for name in sorted(wanted & {"alexnet", "blip", "clip", "clip336", "inception", "mini"}):
        try:
            network = backbones.load(name, settings.weights, side=settings.resize)
        except ModelUnavailableError as error:
            missing[name] = str(error)
            continue
        said[name] = network.settings
        if name == "alexnet":
            tasks.append(measure.lpips_task(network))
        elif name == "blip":
            tasks.append(measure.blip_task(network))
        else:
            tasks.append(measure.embedding_task(name, network))
        if isinstance(network, backbones.Clip):
            embedders[name] = network
            if network.knows_outside:
                tasks.append(measure.world_task(name, network))
    return tasks, embedders, said, missing


def _outcomes(
    metrics: Sequence[Metric], measured: Measured, reasons: dict[str, str], name: str = GENERATED
) -> dict[str, Outcome]:
    """Of one set, by metric. What turns out unavailable is added to `reasons`."""
    found: dict[str, Outcome] = {}
    for metric in metrics:
        try:
            outcome = metric.compute(measured, name, metric.task)
            if outcome.statistic is None and not any(v is not None for v in outcome.values or ()):
                why = sorted(set(outcome.skipped.values()))
                raise Unavailable(f"no picture has a value ({'; '.join(why[:3])})")
            found[metric.key] = outcome
        except Unavailable as unavailable:
            reasons[metric.key] = str(unavailable)
    return found


def _baselines(
    metrics: Sequence[Metric], measured: Measured, identities: Mapping[str, str], cache: FeatureCache
) -> dict[str, dict[str, Outcome]]:
    """By set, then metric, one number each. They depend on references and captions alone, which the next run
    against the same references has too: they are kept in the cache.
    """
    found: dict[str, dict[str, Outcome]] = {}
    for name in measured.sets:
        if name == GENERATED:
            continue
        sources = (measured.sets[name], measured.references)
        about = [measured.captions, measured.brands, *([s.identity for s in each] for each in sources)]
        digest = hashlib.sha256(json.dumps([__version__, SCHEMA, *about]).encode()).hexdigest()
        keys = {m.key: f"baseline|{name}|{m.key}|{m.formula}|{identities[m.task]}|{digest}" for m in metrics}
        known = cache.get(keys.values())
        fresh = _outcomes([m for m in metrics if keys[m.key] not in known], measured, {}, name)
        numbers = {key: _centre(outcome) for key, outcome in fresh.items()}
        cache.put({keys[key]: np.array(number) for key, number in numbers.items()})
        numbers |= {key: float(known[full]) for key, full in keys.items() if full in known}
        found[name] = {m.key: Outcome(statistic=numbers[m.key]) for m in metrics if m.key in numbers}
    return found


def _assembled(
    pairing: Pairing,
    settings: Settings,
    label: str,
    chosen: Sequence[Metric],
    measured: Measured,
    outcomes: Mapping[str, Mapping[str, Outcome]],
    reasons: Mapping[str, str],
    networks: Mapping[str, dict[str, str]],
) -> Evaluation:
    names = [pair.name for pair in pairing.pairs]
    generated = outcomes[GENERATED]
    top, rule = _top(settings.top_by, generated)
    count = {"n_generated": len(names), "n_reference": len(measured.references)}
    metrics: dict[str, dict[str, Any]] = {}
    for metric in chosen:
        if metric.key in generated:
            about = {**_about(metric), "weights_sha256": None, **networks.get(metric.task, {}), **count}
            metrics[metric.key] = _result(metric, generated[metric.key], names, about, top, rule)
        else:
            metrics[metric.key] = {"unavailable": reasons[metric.key]}
    baselines = {
        name: {
            "label": measure.BASELINES[name],
            "metrics": {key: _centre(outcome) for key, outcome in found.items()},
        }
        for name, found in outcomes.items()
        if name != GENERATED
    }
    return Evaluation(
        label=label,
        pairs=_pairs(pairing, measured, generated),
        metrics=metrics,
        baselines=baselines,
        notes=list(pairing.notes),
        provenance=_provenance(pairing, settings),
    )


def _about(metric: Metric) -> dict[str, Any]:
    about = {"name": metric.label, "formula": metric.formula, "source": metric.source, "group": metric.group}
    optional = {"unit": metric.unit, "backend": metric.backend, "note": metric.note}
    return {**about, **{key: value for key, value in optional.items() if value}}


def _top(top_by: str | None, generated: Mapping[str, Outcome]) -> tuple[list[int], str]:
    """Places of the top five, chosen once for all metrics, and the rule in words."""
    for key in (top_by,) if top_by else TOP_BY:
        outcome = generated.get(key)
        if outcome is not None and outcome.values is not None and not outcome.of_references:
            places = statistics.best_places(outcome.values, METRICS[key].higher_is_better)
            return places, f"the {len(places)} pictures best by {key}, the same ones for every metric"
    return [], "none: no metric that could choose has values"


def _centre(outcome: Outcome) -> float:
    """The one number of an outcome."""
    if outcome.statistic is not None:
        return outcome.statistic
    values = [value for value in outcome.values or () if value is not None]
    return sum(values) / len(values)


def _result(
    metric: Metric, outcome: Outcome, names: Sequence[str], about: dict[str, Any], top: list[int], rule: str
) -> dict[str, Any]:
    """One metric as the command line and the report state it."""
    extra = {key: value for key, value in outcome.extra.items() if key != "words"}
    about = {**about, **extra}
    if outcome.skipped:
        about["skipped"] = {names[place]: reason for place, reason in outcome.skipped.items()}
    if outcome.statistic is not None:
        about["interval"] = "jackknife" if outcome.ci95 else "none: resampling biases this statistic"
        if outcome.standard_error is not None:
            about["standard_error"] = outcome.standard_error
        return {
            "mean": outcome.statistic,
            "std": None,
            "n": about["n_generated"],
            "ci95": list(outcome.ci95) if outcome.ci95 else None,
            "top5_mean": None,
            "per_image": None,
            "higher_is_better": metric.higher_is_better,
            "settings": {**about, "top5": "a statistic of the whole set has no best pictures"},
        }
    # plain numbers: a NumPy float writes itself as "np.float64(0.1)"
    per_image = [None if value is None else float(value) for value in outcome.values or ()]
    values = [value for value in per_image if value is not None]
    best = [v for place in top if (v := per_image[place]) is not None] if not outcome.of_references else []
    summary = statistics.summarise(values, share=metric.share)
    about |= {
        "interval": summary.interval,
        "top5": "values belong to reference pictures" if outcome.of_references else rule,
    }
    return {
        "mean": summary.mean,
        "std": summary.std,
        "n": summary.n,
        "ci95": list(summary.ci95) if summary.ci95 else None,
        "top5_mean": float(sum(best) / len(best)) if best else None,
        "per_image": per_image,
        "higher_is_better": metric.higher_is_better,
        "settings": about,
    }


def _pairs(pairing: Pairing, measured: Measured, generated: Mapping[str, Outcome]) -> list[dict[str, Any]]:
    """What was compared with what, and how each file was treated."""
    words = generated["ocr"].extra["words"] if "ocr" in generated else {}
    rows = []
    for place, pair in enumerate(pairing.pairs):
        row: dict[str, Any] = {"name": pair.name, "caption": pair.caption, "facts": dict(pair.facts)}
        for which, source in (("generated", pair.generated), ("reference", pair.reference)):
            if source is not None:
                facts = measured.facts(source)
                row[which] = {"file": source.path.name, "sha256": source.identity, **facts}
        if place in words:
            row["words"] = words[place]
        rows.append(row)
    return rows


def _provenance(pairing: Pairing, settings: Settings) -> dict[str, Any]:
    return {
        "version": __version__,
        "files_sha256": pairing.files_hash(),
        "prompts_sha256": pairing.prompts_hash(),
        "resize": settings.resize,
        "top_by": settings.top_by,
        "code": dict(_code_version()),
        "packages": {name: found for name in _PACKAGES if (found := _installed(name))},
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


@lru_cache(maxsize=len(_PACKAGES))  # reading a package's metadata takes milliseconds
def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@lru_cache(maxsize=1)  # of the code this process runs, whatever is committed meanwhile
def _code_version() -> Mapping[str, Any]:
    """Commit of the source tree and whether it was changed since; empty outside one."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return {}
    try:
        commit, changes = (
            subprocess.run(
                ["git", "-C", str(root), *words], capture_output=True, text=True, check=True
            ).stdout.strip()
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        )
    except (OSError, subprocess.CalledProcessError):  # no git here, or not our checkout
        return {}
    return {"commit": commit, "changed": bool(changes)}
