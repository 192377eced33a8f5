"""Approve, reject and say what is wrong with a picture; the answer is an edit that is shown before it runs."""

import streamlit as st

from sdxl_lora.errors import StudioError
from sdxl_lora.feedback.corrections import TAGS, Correction, correct, correct_text
from sdxl_lora.records import Record
from sdxl_lora.ui import composer, shared


def show(record: Record, key: str) -> None:
    """The two votes; a rejection asks what is wrong."""
    if st.button(
        "Approve", key=f"{key}.approve", icon=":material/thumb_up:", help="Approve: teaches the taste"
    ):
        _vote(record, approved=True)
    with st.popover("Reject", icon=":material/thumb_down:", key=f"{key}.reject"):
        tags = st.pills("What is wrong?", tuple(TAGS), selection_mode="multi", key=f"{key}.tags")
        text = st.text_input("In your own words", key=f"{key}.wrong", max_chars=300)
        if st.button("Reject", key=f"{key}.reject.confirm"):
            _vote(record, approved=False, tags=tuple(tags), text=text)
        if tags or text.strip():
            _offer(record, tuple(tags), text, key)


def report(brand: str) -> None:
    """How well the taste of a brand is known, and a way to forget it."""
    try:
        found = shared.reviews().preference(brand).report
    except StudioError as error:
        st.caption(str(error))
        return
    st.caption(f"Taste for {shared.escape(brand or 'pictures without a brand')}: {found.reason}")
    if found.approvals + found.rejections and st.button("Forget these votes", key=f"taste.{brand}.reset"):
        shared.reviews().reset(brand)
        st.rerun()


def _offer(record: Record, tags: tuple[str, ...], text: str, key: str) -> None:
    """What would be changed, in words, and the button that fills the form with it."""
    try:
        edits = _edits(record, tags, text)
    except StudioError as error:
        st.caption(str(error))
        return
    for edit in edits:
        st.markdown(f"- {shared.escape(edit.words)}")
    if st.button("Put this in the form", key=f"{key}.correct", type="primary"):
        composer.open_with(edits[-1].request, "The words are changed as you said. Press Generate to see.")
        st.switch_page(shared.CREATE)


def _edits(record: Record, tags: tuple[str, ...], text: str) -> list[Correction]:
    request, edits = record.request, []
    for tag in tags:
        edits.append(correct(request, tag))
        request = edits[-1].request
    if text.strip():
        edits += correct_text(request, text)
    return edits


def _vote(record: Record, *, approved: bool, tags: tuple[str, ...] = (), text: str = "") -> None:
    try:
        shared.reviews().vote(record, approved=approved, tags=tags, text=text)
    except StudioError as error:
        st.error(str(error), icon=":material/error:")
    else:
        st.toast("Approved." if approved else "Rejected.", icon=":material/how_to_vote:")
