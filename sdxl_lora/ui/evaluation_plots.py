"""The plots of the metrics page: every picture a point, or its share of all."""

from typing import Any

import altair as alt
import pandas as pd

Report = dict[str, Any]

CROWD = 400  # pictures above which points are small
RUNS = ("#C8623F", "#4C8DB5", "#B8963E", "#6A9A68", "#9A76B0", "#8A8178")  # seen on light and on dark paper
MUTED = "#8A8178"


def strip_plot(frame: pd.DataFrame, runs: dict[str, Report], key: str, colour: str | None) -> Any:
    """Every picture a point in its run's strip, spread by its place so that equal values can be told apart;
    baselines as lines.
    """
    order = {label: -place for place, label in enumerate(runs)}  # the first run on top
    # the golden ratio spreads evenly, no chance
    jitter = (frame["place"] * 0.6180339887) % 1 * 0.76
    spread = frame.assign(height=frame["run"].map(order) + jitter, prompt=frame["prompt"].str.slice(0, 120))
    many = len(frame) > CROWD
    axis = alt.Y("height:Q", axis=None, scale=alt.Scale(domain=[0.76 - len(runs), 1.35]))
    points = (
        alt.Chart(spread)
        .mark_circle(size=24 if many else 90, opacity=0.4 if many else 0.8)
        .encode(
            x=alt.X("value:Q", title=_title(runs, key), scale=alt.Scale(zero=False)),
            y=axis,
            color=_colour(colour, runs),
            tooltip=["name", "run", alt.Tooltip("value:Q", format=".4f"), "prompt"],
        )
        .add_params(alt.selection_point(name="picked", fields=["run", "place"]))
    )
    layers = [points]
    if len(runs) > 1:
        names = pd.DataFrame({"run": list(order), "height": [place + 0.87 for place in order.values()]})
        tags = alt.Chart(names).mark_text(align="right", fontSize=12, color=MUTED)
        layers.append(tags.encode(x=alt.value("width"), y="height:Q", text="run"))
    lines = _baseline_lines(runs, key)
    if len(lines):
        rules = alt.Chart(lines).mark_rule(strokeDash=[4, 3], color=MUTED)
        layers.append(rules.encode(x="value:Q", tooltip=["baseline", alt.Tooltip("value:Q", format=".4f")]))
        labels = alt.Chart(lines).mark_text(align="left", dx=4, fontSize=12, color=MUTED)
        layers.append(labels.encode(x="value:Q", y=alt.Y("height:Q"), text="baseline"))
    return alt.layer(*layers).properties(height=130 + 90 * len(runs))


def ecdf(frame: pd.DataFrame, runs: dict[str, Report], key: str) -> alt.Chart:
    """Share of pictures at or below each value, one step line per run."""
    shares = frame.sort_values("value")
    shares["share"] = shares.groupby("run")["value"].rank(method="max", pct=True)
    return (
        alt.Chart(shares)
        .mark_line(interpolate="step-after", point=len(shares) <= CROWD)
        .encode(
            x=alt.X("value:Q", title=_title(runs, key), scale=alt.Scale(zero=False)),
            y=alt.Y("share:Q", title="share of pictures", axis=alt.Axis(format="%")),
            color=_colour(None, runs),
        )
        .properties(height=320)
    )


def has(run: Report, key: str) -> bool:
    """Whether the run has a number for this metric."""
    return "mean" in run["metrics"].get(key, {})


def _colour(slice_by: str | None, runs: dict[str, Report]) -> alt.Color:
    """By slice, or by run in the order the runs were chosen."""
    legend = alt.Legend(orient="bottom", title=None, labelLimit=400)
    if slice_by:
        return alt.Color(f"{slice_by}:N", legend=legend)
    return alt.Color(
        "run:N", legend=legend, sort=list(runs), scale=alt.Scale(domain=list(runs), range=RUNS[: len(runs)])
    )


def _title(runs: dict[str, Report], key: str) -> str:
    known = next(run["metrics"][key] for run in runs.values() if has(run, key))
    arrow = "→ better" if known["higher_is_better"] else "← better"
    return f"{known['settings']['name']}  ({arrow})"


def _baseline_lines(runs: dict[str, Report], key: str) -> pd.DataFrame:
    run = next(run for run in runs.values() if has(run, key))
    rows = [
        {"baseline": part.replace("_", " "), "value": entry["metrics"][key], "height": 1.28 - 0.13 * place}
        for place, (part, entry) in enumerate(run["baselines"].items())
        if entry["metrics"].get(key) is not None
    ]
    return pd.DataFrame(rows)
