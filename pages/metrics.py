"""Metrics: finished evaluations side by side; every number can be opened down to the pictures and settings."""

import streamlit as st

from sdxl_lora import later
from sdxl_lora.errors import StudioError
from sdxl_lora.records.evaluations import EvaluationRecord
from sdxl_lora.ui import shared

with later.importing():
    from sdxl_lora.evaluation.claims import CLAIMS
    from sdxl_lora.evaluation.metrics import METRICS
    from sdxl_lora.evaluation.pairing import SLICES
    from sdxl_lora.evaluation.report import to_csv, to_json
    from sdxl_lora.evaluation.report_html import leading_metric, to_html
    from sdxl_lora.ui import evaluation_plots, new_evaluation
    from sdxl_lora.ui import evaluations as ui

COMMAND = "python -m sdxl_lora evaluate --generated PICTURES --reference PHOTOS --captions CAPTIONS.jsonl"
COMMAND_LORA = (
    "python -m sdxl_lora evaluate --model mini --lora LORA --lora-baseline none --captions CAPTIONS.txt"
)


def claims() -> None:
    """The original project's numbers, beside what its own pairs give."""
    with st.expander("What the original project claims", icon=":material/help:"):
        st.markdown(
            "Its README gives one “Top-5 avg” per metric. They are **claimed, not reproduced**: its own notebook "
            "recorded other numbers for its five pairs, and no choice among these pairs reaches the claim."
        )
        rows = [
            {
                "Metric": c.name,
                "Claimed, not reproduced": f"{c.claimed:g}",
                "Its own five pairs give": c.found,
            }
            for c in CLAIMS
        ]
        st.table(rows, border="horizontal", hide_index=True)


def nothing_yet() -> None:
    """What to do while there are no evaluations."""
    with st.container(key="empty"):
        st.header("No evaluation yet", anchor=False)
        st.markdown(
            "Choose a folder of pictures above. They are measured by themselves, and against your photos where"
            " these have the same names."
        )
        with st.expander("The same in a shell", icon=":material/terminal:"):
            st.code(COMMAND, language="bash", wrap_lines=True)
            st.caption("The studio can also make the pictures, with and without a LoRA, and compare the two:")
            st.code(COMMAND_LORA, language="bash", wrap_lines=True)


def choose(records: dict[str, EvaluationRecord]) -> tuple[list[str], str | None]:
    """Which runs are shown, and which of them the others are measured against."""
    names = list(records)
    left, right = st.columns([3, 2])
    known = [name for name in st.session_state.get(new_evaluation.RUNS, names[:2]) if name in names]
    st.session_state[new_evaluation.RUNS] = known  # without those deleted since
    chosen = left.multiselect("Runs", names, key=new_evaluation.RUNS, max_selections=6)
    baseline = right.selectbox(
        "Baseline run",
        chosen,
        index=None if len(chosen) < 2 else len(chosen) - 1,
        placeholder="none",
        key="metrics.baseline",
        help="Differences to this run, with paired intervals and sign-flip tests where the prompts are the same.",
    )
    return chosen, baseline


def numbers(runs: dict[str, evaluation_plots.Report], baseline: str | None) -> None:
    """The table of means; a selected row opens what stands behind its numbers."""
    frame = ui.table(runs, baseline)
    event = st.dataframe(
        frame.drop(columns="key"),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key="metrics.table",
        column_config={"Metric": st.column_config.TextColumn(width=ui.METRIC_WIDTH, pinned=True)},
    )
    st.caption(
        "Mean of all pictures and, from 10 pictures on, its 95 % interval. PSNR and SSIM measure pixel agreement "
        "with the reference photo, mostly its backdrop: compare them with the blank card below. Select a row to see "
        "how it was made."
    )
    selected = event.selection.rows
    if selected:
        key = str(frame.iloc[selected[0]]["key"])
        for label, run in runs.items():
            if "mean" in run["metrics"].get(key, {}):
                with st.expander(
                    f"Provenance: {shared.escape(key)}, {shared.escape(label)}",
                    expanded=True,
                    icon=":material/fingerprint:",
                ):
                    st.json(ui.provenance(run, key), expanded=2)
    ui.not_computed(runs)


def distribution(runs: dict[str, evaluation_plots.Report], key: str) -> tuple[str, int] | None:
    """Every picture as a point; the run and place of one that was clicked."""
    frame = ui.values(runs, key)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.segmented_control(
            "Plot",
            ["Strip", "ECDF"],
            default="Strip",
            required=True,
            key="metrics.plot",
        )
        known = [part for part in SLICES if part in frame.columns]
        by = st.segmented_control("Slice by", known, key="metrics.slice") if known else None
    if kind == "ECDF":
        st.altair_chart(evaluation_plots.ecdf(frame, runs, key))
    else:
        event = st.altair_chart(
            evaluation_plots.strip_plot(frame, runs, key, by),
            on_select="rerun",
            key=f"metrics.strip.{key}.{ui.times_closed()}",
        )
        picked = event.selection.get("picked") or []
        if picked:
            return str(picked[0]["run"]), int(picked[0]["place"])
    if by:
        st.dataframe(ui.slices(frame, by), hide_index=True, column_config=ui.digits("mean", "deviation"))
    return None


def pictures(
    runs: dict[str, evaluation_plots.Report], records: dict[str, EvaluationRecord], key: str
) -> tuple[str, int] | None:
    """The pictures of one run, worst first; the one that was opened."""
    able = [label for label, run in runs.items() if key in ui.per_picture_metrics({label: run})]
    label = st.segmented_control("Pictures of", able, default=able[0], required=True, key="metrics.run")
    run = runs[str(label)]
    num_pages = ui.pages(run)
    page = min(st.session_state.get("metrics.page", 1), num_pages)
    if page != st.session_state.get("metrics.page", page):  # the run before had more pages
        st.session_state["metrics.page"] = page
    place = ui.gallery(run, records[str(label)].folders, key, page - 1)
    if num_pages > 1:
        with st.container(horizontal_alignment="center"):
            st.pagination(num_pages, key="metrics.page")
    return None if place is None else (str(label), place)


def exports(run: evaluation_plots.Report, record: EvaluationRecord) -> None:
    """The report of one run as files."""
    label = record.id
    with st.container(horizontal=True):
        st.download_button(
            "JSON", lambda: to_json(run), f"{label}.json", on_click="ignore", icon=":material/data_object:"
        )
        st.download_button(
            "CSV", lambda: to_csv(run), f"{label}.csv", on_click="ignore", icon=":material/table:"
        )
        folders = {which: path for which, path in record.folders.items() if path.is_dir()}
        st.download_button(
            "HTML with pictures",
            lambda: to_html(run, folders),
            f"{label}.html",
            on_click="ignore",
            icon=":material/description:",
        )


shared.session_id()
st.title("Metrics", anchor=False)
records = {ui.name(record): record for record in ui.store().all()}
if not records:
    new_evaluation.show(expanded=True)
    nothing_yet()
    claims()
    st.stop()
new_evaluation.show(expanded=False)
chosen, baseline = choose(records)
if not chosen:
    st.info("Choose a run above.")
    st.stop()
try:
    runs = {label: ui.report(records[label].id) for label in chosen}
except StudioError as error:
    st.error(shared.escape(str(error)), icon=":material/error:")
    st.stop()

numbers(runs, baseline)
with st.expander("Top-5 avg and baselines", icon=":material/straighten:"):
    for label, run in runs.items():
        details = ui.details(run)
        st.markdown(f"**{shared.escape(label)}**")
        st.dataframe(
            details,
            hide_index=True,
            column_config=ui.digits(*[c for c in details.columns if c not in ("Metric", "n")]),
        )
        rule = next(
            (m["settings"]["top5"] for m in run["metrics"].values() if m.get("top5_mean") is not None), ""
        )
        st.caption(
            f"Top-5 avg: {shared.escape(rule)}. Blank card, another product and the moved reference are scored alike."
        )
claims()

keys = ui.per_picture_metrics(runs)
if keys:
    st.header("Every picture", anchor=False)
    leading = next(filter(None, map(leading_metric, runs.values())), None)
    key = st.selectbox(
        "Metric",
        keys,
        index=keys.index(leading) if leading in keys else 0,
        format_func=lambda key: METRICS[key].label if key in METRICS else key,
        key="metrics.metric",
    )
    clicked = distribution(runs, key)
    st.subheader("Worst first", anchor=False)
    opened = pictures(runs, records, key)
    if target := opened or clicked:
        label, place = target
        ui.viewer(runs[label], records[label].folders, place)

st.header("Reports", anchor=False)
for label in chosen:
    st.markdown(f"**{shared.escape(label)}**")
    exports(runs[label], records[label])
for note in dict.fromkeys(note for run in runs.values() for note in run["notes"]):
    st.caption(shared.escape(note))
