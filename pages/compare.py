"""Compare: systems side by side on the same prompts; votes without names, the same scores, one picture of all."""

import streamlit as st

from sdxl_lora import later
from sdxl_lora.errors import StudioError
from sdxl_lora.ui import one_or_new, shared

with later.importing():
    from sdxl_lora.ui import comparisons as ui
    from sdxl_lora.ui import new_comparison


def show(identifier: str) -> None:
    """Votes first, names later."""
    record = ui.store().get(identifier)
    votes = ui.store().votes(identifier)
    voter = shared.voter_id()
    if record.missing:
        new_comparison.missing(record)
    turns = set(ui.ballots(record, voter))
    open_rows = turns - {vote.row for vote in votes if vote.voter == voter}
    view = st.segmented_control(
        "View",
        ["Vote without names", "Results"],
        default="Vote without names" if open_rows else "Results",
        required=True,
        key=f"compare.view.{identifier}",
        label_visibility="collapsed",
    )
    if view == "Vote without names":
        ui.vote(record, votes, voter)
        return
    ui.saw_names(record, voter)
    st.header("Votes", anchor=False)
    ui.wins(record, votes)
    st.header("Scores", anchor=False)
    ui.scores(record)
    st.header("Pictures", anchor=False)
    ui.wall(record)
    ui.exports(record, votes)


shared.session_id()
st.title("Compare", anchor=False)
try:
    known = {i: f"{title} · {when:%d %b %Y %H:%M}" for i, title, when in ui.store().all()}
    identifier = one_or_new.choose(known, label="Comparison", page="compare") if known else None
    if identifier is not None:
        show(identifier)
    else:
        if not known:
            st.markdown("The same prompts, several systems: which pictures are better, and by how much?")
        new_comparison.form()
except StudioError as error:
    st.error(shared.escape(str(error)), icon=":material/error:")
