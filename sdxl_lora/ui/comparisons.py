"""What the compare page is made of: finished comparisons, ballots without names, wins, and the wall of pictures."""

from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st
from PIL import Image

from sdxl_lora import config
from sdxl_lora.comparing import showing, voting
from sdxl_lora.comparing.grid import fitted
from sdxl_lora.errors import StudioError
from sdxl_lora.evaluation.pictures import read_picture
from sdxl_lora.evaluation.report import to_json
from sdxl_lora.evaluation.report_html import leading_metric, number
from sdxl_lora.records import Database
from sdxl_lora.records.comparisons import ComparisonRecord, ComparisonStore, ComparisonVote
from sdxl_lora.ui import evaluation_plots, evaluations, shared
from sdxl_lora.ui.counting import number_of

SIDE = 640  # px; every picture of a ballot is shown equally large
SMALL = 360  # px; of the wall
LETTERS = "ABCDEFGH"


@st.cache_resource(show_spinner=False, max_entries=1)
def _store(_database: Database, home: Path) -> ComparisonStore:
    return ComparisonStore(_database)


_JUDGED = {  # every number with its judge, and what the judge was trained beside
    "clip": "CLIPScore {} (ViT-B/32)",
    "clip_mini": "2.5 × mini-CLIP cosine {} (trained beside mini)",
    "lpips": "LPIPS {}",
    "similarity_mini": "likeness to the photo {} (mini-CLIP, trained beside mini)",
    "psnr": "PSNR {} dB",
}


def store() -> ComparisonStore:
    """The one store of this process. Raises `StorageError`."""
    return _store(shared.database(), config.home())


@st.cache_data(show_spinner=False, max_entries=300)
def _square(path: str, _changed: float, side: int) -> Image.Image:
    return fitted(Image.fromarray(read_picture(Path(path)).pixels), side)


def square(path: Path, side: int) -> Image.Image:
    """The picture in a square, without its file's name and metadata. Raises `ImageError` if it is gone."""
    changed = path.stat().st_mtime if path.is_file() else 0.0
    return _square(str(path), changed, side)


def ballots(record: ComparisonRecord, voter: str) -> list[int]:
    """The rows this voter is asked about, in turn: those with at least two pictures."""
    rows = [row for row in range(len(record.rows)) if len(record.pictures(row)) > 1]
    return voting.rows_in_turn(record.id, voter, rows)


def vote(record: ComparisonRecord, votes: list[ComparisonVote], voter: str) -> bool:
    """One ballot; what is clicked is kept at once. Returns whether this voter has nothing left to vote on."""
    turns = ballots(record, voter)
    if not turns:
        st.info("A vote needs a row with at least two pictures.")
        return True
    mine = {v.row for v in votes if v.voter == voter}
    left = [row for row in turns if row not in mine]
    st.progress(len(mine & set(turns)) / len(turns), f"{len(mine & set(turns))} of {len(turns)} rows")
    if not left:
        st.success("Thank you: you have voted on every row.", icon=":material/how_to_vote:")
        return True
    row = left[0]
    columns = voting.ballot(record.id, row, voter, record.pictures(row))
    st.markdown(f"**{shared.escape(record.rows[row]['prompt'])}**")
    if store().has_seen_names(record.id, voter):
        st.caption(
            "You have seen the names: votes from now on are kept, but not counted among the blind ones."
        )
    with st.grid(min(len(columns), 4), min_column_width=220, key="grid-ballot"):
        for letter, column in zip(LETTERS, columns, strict=False):
            with st.container(gap="xsmall"):
                path = record.cells[column, row].path
                assert path is not None  # `pictures` names only those that are there
                st.image(square(path, SIDE), width="stretch", alt=f"Picture {letter}")
                st.button(
                    f"{shared.escape(letter)} is best",
                    key=f"compare.vote.{row}.{letter}",
                    width="stretch",
                    on_click=_cast,
                    args=(record, row, voter, column, columns),
                )
    st.button(
        "None is better",
        key=f"compare.vote.{row}.none",
        width="stretch",
        on_click=_cast,
        args=(record, row, voter, None, columns),
    )
    return False


def _cast(record: ComparisonRecord, row: int, voter: str, choice: int | None, columns: list[int]) -> None:
    try:
        store().vote(record.id, row, voter, choice=choice, columns=columns, blind=True)
    except StudioError as error:
        st.toast(
            f"The vote is not kept: {shared.escape(str(error))}", icon=":material/error:", duration="long"
        )


def saw_names(record: ComparisonRecord, voter: str) -> None:
    """From now on votes of this voter on this comparison are not blind, after the browser was closed too."""
    try:
        store().saw_names(record.id, voter)
    except StudioError as error:
        st.caption(shared.escape(str(error)))


def wins(record: ComparisonRecord, votes: list[ComparisonVote]) -> None:
    """Shares of wins with their intervals, beside what drawing lots would give."""
    found = showing.standings(record, votes)
    blind = sum(v.blind for v in votes)
    if not blind:
        st.caption("No blind votes yet.")
        return
    labels = [column["label"] for column in record.columns]
    rows = [
        {
            "system": labels[s.column],
            "share": s.share,
            "low": s.ci95[0],
            "high": s.ci95[1],
            "wins": s.wins,
            "ties": s.ties,
            "ballots": s.ballots,
            "chance": s.chance,
        }
        for s in found
        if s.ci95 is not None
    ]
    st.altair_chart(_wins_chart(pd.DataFrame(rows), labels), alt="Share of blind votes won, per system")
    voters = len({v.voter for v in votes if v.blind})
    apart = len(votes) - blind
    said = f"{number_of(blind, 'blind vote')} of {number_of(voters, 'person', 'people')}"
    said += " · bar: 95 % interval (Wilson), which takes votes as independent · tick: drawing lots"
    said += f" · {apart} votes of people who had seen the names are not counted" if apart else ""
    st.caption(shared.escape(said))


def _wins_chart(frame: pd.DataFrame, labels: list[str]) -> Any:
    scale = alt.Scale(domain=[0, 1])
    base = alt.Chart(frame).encode(
        y=alt.Y("system:N", sort=labels, title=None, axis=alt.Axis(labelLimit=220))
    )
    share = alt.X(
        "share:Q", scale=scale, title="share of ballots won", axis=alt.Axis(format="%", tickCount=5)
    )
    tooltip = ["system", "wins", "ties", "ballots", alt.Tooltip("share:Q", format=".0%")]
    bar = base.mark_rule(strokeWidth=3, color=evaluation_plots.RUNS[0], opacity=0.5).encode(
        x=alt.X("low:Q", scale=scale), x2="high:Q"
    )
    chance = base.mark_tick(thickness=2, size=18, color=evaluation_plots.MUTED).encode(
        x=alt.X("chance:Q", scale=scale)
    )
    point = base.mark_circle(size=140, opacity=1, color=evaluation_plots.RUNS[0]).encode(
        x=share, tooltip=tooltip
    )
    words = base.transform_calculate(
        words="datum.wins + ' of ' + datum.ballots + ' won, ' + datum.ties + ' without a winner'"
    ).mark_text(align="left", dy=-14, fontSize=12, color=evaluation_plots.MUTED)
    text = words.encode(x=alt.X("low:Q", scale=scale), text="words:N")
    return alt.layer(bar, chance, point, text).properties(height=54 * len(frame) + 40)


def scores(record: ComparisonRecord) -> None:
    """Every metric of every column, with differences to the first one."""
    reports = record.scores.get("reports", {})
    if not reports:
        st.caption("Not scored: no prompt has a picture in every column yet.")
        return
    runs = {record.columns[int(place)]["label"]: report for place, report in reports.items()}
    first = next(iter(runs))
    frame = evaluations.table(runs, first if len(runs) > 1 else None)
    if frame.empty:
        st.caption("No metric has a value; the networks of the usual ones are not here.")
    else:
        st.dataframe(
            frame.drop(columns="key"),
            hide_index=True,
            column_config={
                "Metric": st.column_config.TextColumn(width=evaluations.METRIC_WIDTH, pinned=True)
            },
        )
    left_out = record.scores.get("left_out")
    against = f", the same for all, with 95 % intervals; Δ to {first}" if len(runs) > 1 else ""
    st.caption(
        f"Mean over {len(record.scores['rows'])} prompts{shared.escape(against or ', with 95 % intervals')}."
        + (f" Left out, a picture is missing: {shared.escape(', '.join(left_out))}." if left_out else "")
    )
    evaluations.not_computed(runs)


def wall(record: ComparisonRecord) -> None:
    """Every row with its prompt and its pictures, under their names."""
    for row, asked in enumerate(record.rows):
        st.markdown(f"**{row + 1:d}.** {shared.escape(asked['prompt'])}")
        with st.grid(max(2, min(len(record.columns), 4)), min_column_width=170, key=f"grid-wall-{row}"):
            for column, about in enumerate(record.columns):
                with st.container(gap="xsmall"):
                    _cell(record, column, row, about["label"])


def _cell(record: ComparisonRecord, column: int, row: int, label: str) -> None:
    cell = record.cells.get((column, row))
    if cell is None or cell.path is None:
        reason = showing.NOT_MADE if cell is None else cell.reason  # a provider's words are no Markdown
        st.info(shared.escape(f"{label}: {reason}"), icon=":material/hide_image:")
        return
    try:
        st.image(square(cell.path, SMALL), width="stretch", alt=f"{label}: {record.rows[row]['prompt']}")
    except StudioError as error:
        st.info(shared.escape(f"{label}: {error}"), icon=":material/hide_image:")
        return
    facts = [label, *_score(record, column, row)]
    facts += [f"seed {cell.facts['seed']}"] if "seed" in cell.facts else []
    st.caption(shared.escape(" · ".join(facts)))


def _score(record: ComparisonRecord, column: int, row: int) -> list[str]:
    """The value of the leading metric of one picture, if it was scored."""
    report: dict[str, Any] = record.scores.get("reports", {}).get(str(column), {})
    key = record.rows[row]["key"]
    leading = leading_metric(report) if report else None
    if leading is None or key not in record.scores["rows"]:
        return []
    value = report["metrics"][leading]["per_image"][record.scores["rows"].index(key)]
    return [_JUDGED[leading].format(number(value, 3))]


def exports(record: ComparisonRecord, votes: list[ComparisonVote]) -> None:
    """Everything as one picture or as JSON; what was paired; deleting."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        direction = st.segmented_control(
            "Systems",
            ["across", "down"],
            default="across",
            required=True,
            key="compare.direction",
            format_func=lambda way: f"systems {way}",
            label_visibility="collapsed",
        )
        st.download_button(
            "One picture",
            lambda: showing.encoded(showing.sheet(record, "down" if direction == "down" else "across")),
            f"comparison-{record.id}.png",
            "image/png",
            on_click="ignore",
            icon=":material/grid_view:",
            key="compare.picture",
        )
        st.download_button(
            "JSON",
            lambda: to_json(showing.results(record, votes)),
            f"comparison-{record.id}.json",
            on_click="ignore",
            icon=":material/data_object:",
        )
        with st.popover("Invite voters", icon=":material/how_to_vote:"):
            st.markdown("Send this address: your tab's own one would let others vote as you.")
            st.code(f"{st.context.url or ''}?comparison={record.id}", language=None, wrap_lines=True)
        with st.popover("Delete", icon=":material/delete:"):
            st.markdown("The comparison is removed for good, with its pictures and votes.")
            st.button("Delete this comparison", type="primary", on_click=_delete, args=(record.id,))
    notes = [note for column in record.columns for note in column["notes"]]
    if notes:
        with st.expander("What was paired with what", icon=":material/link:"):
            for note in notes:
                st.caption(shared.escape(note))


def _delete(identifier: str) -> None:
    with shared.toasted():
        store().delete(identifier)
        st.query_params.pop("comparison", None)
