"""What the metrics page is made of: the table of runs, the plot of every picture, the pictures worst first."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from sdxl_lora import config
from sdxl_lora.errors import DataError, StudioError
from sdxl_lora.evaluation import viewing
from sdxl_lora.evaluation.differences import differences
from sdxl_lora.evaluation.metrics import METRICS
from sdxl_lora.evaluation.pairing import SLICES
from sdxl_lora.evaluation.pictures import read_picture
from sdxl_lora.evaluation.report_html import number, worst_first
from sdxl_lora.records import Database
from sdxl_lora.records.evaluations import EvaluationRecord, EvaluationStore
from sdxl_lora.ui import shared
from sdxl_lora.ui.counting import number_of
from sdxl_lora.ui.evaluation_plots import Report, has
from sdxl_lora.ui.shared import escape

PER_PAGE = 12
THUMBNAIL = 320  # px
METRIC_WIDTH = 236  # px of the pinned column: leaves room for numbers on a phone

_MARKS = {"better": "▲ better", "worse": "▼ worse", "undecided": ""}
_CLOSED = "metrics.closed"


@st.cache_resource(show_spinner=False, max_entries=1)
def _store(_database: Database, home: Path) -> EvaluationStore:
    return EvaluationStore(_database)


def store() -> EvaluationStore:
    """The one store of this process. Raises `StorageError`."""
    return _store(shared.database(), config.home())


@st.cache_data(show_spinner=False, max_entries=12)
def _report(_home: str, identifier: str) -> Report:
    return store().report(identifier)


def report(identifier: str) -> Report:
    """A whole report; the last dozen are remembered. Raises `NotFoundError` if its file is gone."""
    return _report(str(config.home()), identifier)


def name(record: EvaluationRecord) -> str:
    """What a run is called where there may be several of one label."""
    return f"{record.label or 'evaluation'} · {record.id[:6]}"


def table(runs: dict[str, Report], baseline: str | None) -> pd.DataFrame:
    """One row per metric that any run has: mean, interval, n and difference to the baseline run, per run."""
    keys = [key for key in _all_metrics(runs) if any(has(run, key) for run in runs.values())]
    compared = {label: _compared(run, runs.get(baseline or "")) for label, run in runs.items()}
    rows = []
    for key in keys:
        known = next(run["metrics"][key] for run in runs.values() if has(run, key))
        row: dict[str, Any] = {
            "key": key,
            "Metric": known["settings"]["name"].removesuffix(" with the reference photo"),
            "Better": "↑ higher" if known["higher_is_better"] else "↓ lower",
        }
        for label, run in runs.items():
            row[label] = _cell(run["metrics"].get(key, {}))
            if baseline and label != baseline:
                row[f"Δ {label}"] = _difference(compared[label], run, runs[baseline], key)
        rows.append(row)
    return pd.DataFrame(rows)


def not_computed(runs: dict[str, Report]) -> None:
    """Which metrics have no value, and why."""
    missing = {
        key: metric["unavailable"]
        for run in runs.values()
        for key, metric in run["metrics"].items()
        if "unavailable" in metric
    }
    if not missing:
        return
    count = number_of(len(missing), "metric")
    with st.expander(f"{escape(count)} not computed, and why", icon=":material/do_not_disturb_on:"):
        by_reason: dict[str, list[str]] = {}
        for key, reason in missing.items():
            by_reason.setdefault(reason, []).append(key)
        for reason, keys in by_reason.items():
            st.markdown(f"**{escape(', '.join(keys))}** — {escape(reason)}")


def details(run: Report) -> pd.DataFrame:
    """One row per metric of one run: mean of all beside Top-5 avg and the baselines."""
    rows = []
    for key, metric in run["metrics"].items():
        if not has(run, key):
            continue
        row = {
            "Metric": metric["settings"]["name"],
            "Mean of all": metric["mean"],
            "n": metric["n"],
            "Deviation": metric["std"],
            "Top-5 avg": metric["top5_mean"],
        }
        row |= {entry["label"]: entry["metrics"].get(key) for entry in run["baselines"].values()}
        rows.append(row)
    return pd.DataFrame(rows)


def per_picture_metrics(runs: dict[str, Report]) -> list[str]:
    """Metrics with a value per generated picture in any of the runs."""
    return [key for key in _all_metrics(runs) if any(_per_picture(run, key) for run in runs.values())]


def values(runs: dict[str, Report], key: str) -> pd.DataFrame:
    """One row per picture of every run that has this metric."""
    rows = []
    for label, run in runs.items():
        if not _per_picture(run, key):
            continue
        for place, value in enumerate(run["metrics"][key]["per_image"]):
            if value is not None:
                pair = run["pairs"][place]
                # only these facts: a captions file may have a column called "run" or "value"
                facts = {part: pair["facts"][part] for part in SLICES if part in pair["facts"]}
                rows.append(
                    {"run": label, "place": place, "value": value, "name": pair["name"], **facts}
                    | {"prompt": pair["caption"] or ""}
                )
    return pd.DataFrame(rows)


def slices(frame: pd.DataFrame, by: str) -> pd.DataFrame:
    """Mean, deviation and n per run and slice, worst mean last where higher is better."""
    grouped = frame.fillna({by: "(not given)"}).groupby([by, "run"])["value"]
    return grouped.agg(mean="mean", deviation="std", n="count").reset_index()


def gallery(run: Report, folders: dict[str, Path], key: str, page: int) -> int | None:
    """One page of pictures, worst first by `key`; the place of the one whose button was pressed."""
    order = worst_first(run, key)
    picked = None
    with st.grid(4, min_column_width=200, key="grid-metrics"):
        for place in order[page * PER_PAGE : (page + 1) * PER_PAGE]:
            pair = run["pairs"][place]
            with st.container(gap="xsmall"):
                _thumbnail(pair, folders)
                value = number(run["metrics"][key]["per_image"][place])
                if st.button(
                    escape(f"{pair['name']} · {value}"), key=f"metrics.open.{place}", width="stretch"
                ):
                    picked = place
    return picked


def pages(run: Report) -> int:
    """How many pages `gallery` has."""
    return max(1, math.ceil(len(run["pairs"]) / PER_PAGE))


def times_closed() -> int:
    """How often the viewer was closed. A plot that has it in its key forgets its selection with every closing, so
    that a click on the same point opens the same picture again."""
    return int(st.session_state.get(_CLOSED, 0))


def _close() -> None:
    st.session_state[_CLOSED] = times_closed() + 1


@st.dialog("One picture", width="large", on_dismiss=_close)
def viewer(run: Report, folders: dict[str, Path], place: int) -> None:
    """Generated beside reference, wiped, as a difference map or with what OCR read; prompt, seed, every
    metric.
    """
    pair = run["pairs"][place]
    st.markdown(f"**{escape(pair['name'])}**")
    if pair["caption"]:
        st.code(pair["caption"], language=None, wrap_lines=True)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _views(pair, folders)
    rows = [
        {
            "Metric": metric["settings"]["name"],
            "This picture": metric["per_image"][place],
            "Mean": metric["mean"],
        }
        for key, metric in run["metrics"].items()
        if _per_picture(run, key)
    ]
    with right:
        st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=_digits("This picture", "Mean"))
        facts = {**pair["facts"], **_sizes(pair)}
        st.caption("  \n".join(escape(f"{name}: {value}") for name, value in facts.items()))


def _views(pair: dict[str, Any], folders: dict[str, Path]) -> None:
    views = ["Side by side"]
    views += ["Slider", "Difference"] if "reference" in pair else []
    views += ["Text read (OCR)"] if pair.get("words") else []
    view = st.segmented_control("View", views, default=views[0], required=True, label_visibility="collapsed")
    try:
        _show(view, pair, folders)
    except StudioError as error:
        st.warning(escape(str(error)), icon=":material/hide_image:")


def provenance(run: Report, key: str) -> dict[str, Any]:
    """Everything that stands behind one number."""
    metric = run["metrics"][key]
    numbers = {part: metric[part] for part in ("mean", "std", "n", "ci95", "top5_mean")}
    return {
        "metric": key,
        **numbers,
        "settings": metric["settings"],
        "evaluation": run["id"],
        **run["provenance"],
    }


def digits(*columns: str) -> dict[str, Any]:
    """Column settings: four decimals."""
    return _digits(*columns)


def _digits(*columns: str) -> dict[str, Any]:
    return {column: st.column_config.NumberColumn(format="%.4f") for column in columns}


def _all_metrics(runs: dict[str, Report]) -> list[str]:
    """Keys of the metrics of all runs: those of the catalogue in its order, then others."""
    found = {key: None for run in runs.values() for key in run["metrics"]}
    return [key for key in METRICS if key in found] + [key for key in found if key not in METRICS]


def _per_picture(run: Report, key: str) -> bool:
    found = run["metrics"].get(key, {}).get("per_image")
    belongs = (
        run["metrics"].get(key, {}).get("settings", {}).get("top5") != "values belong to reference pictures"
    )
    return bool(found) and belongs


def _cell(metric: dict[str, Any]) -> str:
    if "mean" not in metric:
        return "not computed"
    interval = metric["ci95"]
    text = number(metric["mean"])
    if interval:
        text += f"  [{number(interval[0], 3)}, {number(interval[1], 3)}]"
    return f"{text}  n too small" if "n too small" in metric["settings"].get("warning", "") else text


def _compared(run: Report, baseline: Report | None) -> dict[str, Any] | None:
    if baseline is None:
        return None
    try:
        found: dict[str, Any] = differences(run, baseline)["metrics"]
    except DataError:  # other prompts: no paired test
        return None
    return found


def _difference(compared: dict[str, Any] | None, run: Report, baseline: Report, key: str) -> str:
    if not has(run, key) or not has(baseline, key):
        return ""
    if compared is None:
        difference = run["metrics"][key]["mean"] - baseline["metrics"][key]["mean"]
        return f"{_signed(difference)}  (other prompts: not tested)"
    row = compared[key]
    if "incomparable" in row:
        return f"not comparable: {row['incomparable']}"
    text = _signed(row["difference"])
    if row.get("ci95"):
        text += f"  [{row['ci95'][0]:+.3f}, {row['ci95'][1]:+.3f}]"
    if "p_holm" in row:
        text += f"  p {row['p_holm']:.3f}"
    return f"{text}  {_MARKS[row['verdict']]}".rstrip()


def _signed(difference: float) -> str:
    """Four decimals with a sign, none for what rounds to nothing."""
    text = f"{difference:+.4f}"
    return text if float(text) else "0.0000"


def _sizes(pair: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for which in ("generated", "reference"):
        if which in pair:
            width, height = pair[which]["size"]
            notes = "".join(f", {note}" for note in pair[which]["notes"])
            found[which] = f"{width} × {height} px{notes}"
    return found


def _show(view: str | None, pair: dict[str, Any], folders: dict[str, Path]) -> None:
    generated = read_picture(folders["generated"] / pair["generated"]["file"])
    if view == "Text read (OCR)":
        st.image(viewing.with_boxes(generated, pair["words"]), width=560)
        return
    if "reference" not in pair:
        st.image(generated.pixels, width=560)
        return
    reference = read_picture(folders["reference"] / pair["reference"]["file"])
    if view == "Slider":
        share = st.slider("generated ◂ ▸ reference", 0, 100, 50, format="%d %%")
        st.image(viewing.wipe(generated, reference, share / 100), width=560)
    elif view == "Difference":
        st.image(viewing.difference_map(generated, reference), width=560)
        st.caption("Colour distance of every pixel (CIELAB): pale is equal, red is 50 and more.")
    else:
        left, right = st.columns(2)
        left.image(generated.pixels, caption="generated", width="stretch")
        right.image(reference.pixels, caption="reference", width="stretch")


def _thumbnail(pair: dict[str, Any], folders: dict[str, Path]) -> None:
    path = folders["generated"] / pair["generated"]["file"]
    try:
        st.image(_small(str(path), pair["generated"]["sha256"]), width="stretch", alt=pair["name"])
    except StudioError:
        st.caption(f"{escape(path.name)} is no longer where it was.")


@st.cache_data(show_spinner=False, max_entries=600)
def _small(path: str, _sha256: str) -> Any:
    return read_picture(Path(path)).resized(THUMBNAIL)
