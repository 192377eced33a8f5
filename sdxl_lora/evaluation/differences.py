"""Two finished evaluations, metric by metric: the difference, its interval, and whether chance explains it.

Only runs on the same prompts may be compared picture by picture, and only numbers made the same way.
"""

from collections.abc import Mapping
from typing import Any

from sdxl_lora.errors import DataError
from sdxl_lora.evaluation.statistics import holm, paired_difference

ALPHA = 0.05  # two-sided, after Holm's correction over all metrics compared
_SAME = ("formula", "backend", "weights_sha256", "resize")


def differences(run: Mapping[str, Any], baseline: Mapping[str, Any]) -> dict[str, Any]:
    """`run` minus `baseline`, both as `Evaluation.to_dict` gives them.

    Per metric: `difference`, `ci95` and `interval` (how it was found, or why there is none), `p` (sign-flip test),
    `p_holm`, `smallest_p`, `n`, and `verdict`: better, worse or undecided; a statistic of a whole set has only
    `difference` and the verdict undecided. A metric whose settings differ has only `incomparable` and the reason.

    Raises `DataError` if the runs do not have the same prompts.
    """
    if run["provenance"]["prompts_sha256"] != baseline["provenance"]["prompts_sha256"]:
        raise DataError(
            f"{_named(run)} and {_named(baseline)} were not made from the same prompts; a paired comparison "
            "of them would mean nothing"
        )
    rows: dict[str, dict[str, Any]] = {}
    for key, one in run["metrics"].items():
        other = baseline["metrics"].get(key)
        if other is not None and "unavailable" not in one and "unavailable" not in other:
            rows[key] = _row(one, other)
    tested = [key for key, row in rows.items() if "p" in row]
    for key, adjusted in zip(tested, holm([rows[key]["p"] for key in tested]), strict=True):
        rows[key]["p_holm"] = adjusted
        rows[key]["verdict"] = _verdict(rows[key], run["metrics"][key]["higher_is_better"])
    return {"run": run["id"], "baseline": baseline["id"], "alpha": ALPHA, "metrics": rows}


def _row(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    differing = [name for name in _SAME if one["settings"].get(name) != other["settings"].get(name)]
    if differing:
        return {"incomparable": f"different {', '.join(differing)}"}
    row: dict[str, Any] = {"difference": one["mean"] - other["mean"], "verdict": "undecided"}
    mine, theirs = one["per_image"], other["per_image"]
    if mine is None or theirs is None or len(mine) != len(theirs):
        return row
    both = [(a, b) for a, b in zip(mine, theirs, strict=True) if a is not None and b is not None]
    if not both:
        return row
    found = paired_difference([a for a, _ in both], [b for _, b in both])
    return row | {
        "difference": found.mean,
        "ci95": list(found.ci95) if found.ci95 else None,
        "interval": found.interval,
        "p": found.p_value,
        "smallest_p": found.smallest_p,
        "method": found.method,
        "n": found.n,
    }


def _verdict(row: Mapping[str, Any], higher_is_better: bool) -> str:
    if row["p_holm"] >= ALPHA:
        return "undecided"
    return "better" if (row["difference"] > 0) == higher_is_better else "worse"


def _named(run: Mapping[str, Any]) -> str:
    return str(run.get("label") or run["id"])
