"""A picture among many: what it shows, what became of it, a row of signs, and a menu of what is wanted less often."""

import streamlit as st

from sdxl_lora.records import Record
from sdxl_lora.ui import boards, edit_steps, gallery_filters, pictures, shared, trash, votes, why

_AGAIN, _START, _SIMILAR, _BOARD, _DELETE = (
    "More like this",
    "Use as start",
    "Similar pictures",
    "Put on a board",
    "Move to trash",
)


def card(record: Record, place: str, *, approved: bool | None = None, instead: bool = False) -> None:
    """Picture, name, verdict and signs.

    Args:
        place: keeps the keys of two cards of one picture apart.
        approved: what people said of it; None = nothing.
        instead: something else stands where the signs would.
    """
    key = f"{place}.{record.id}"
    image = pictures.file_of(record, small=True)
    if image is None:
        st.caption(pictures.GONE)
        return
    with st.container(key=f"card-{key}", gap="xsmall"):
        st.image(image, width="stretch", alt=record.request.prompt)
        with st.container(key=f"name-{key}", gap=None):
            _name_and_verdict(record, approved)
        if not instead:
            # style.css shows the icons only; the labels are for screen readers
            with st.container(horizontal=True, gap="xsmall", key=f"actions-{key}"):
                _signs(record, key)


def _signs(record: Record, key: str) -> None:
    pictures.favourite(record, key)
    pictures.download(record, key)
    if st.button("Details", key=f"{key}.details", icon=":material/info:", help="Every detail"):
        votes.select(record.id)  # the keys must not vote on another picture than the one looked at
        pictures.details(record.id, keys=True)
    options = [_SIMILAR, _BOARD, _DELETE]
    if not record.left_out:  # it would be another picture
        options = [_AGAIN, _START, *options]
    chosen = st.menu_button("More", options, key=f"{key}.menu", icon=":material/more_vert:")
    if chosen == _AGAIN:
        pictures.more_like(record)
    elif chosen == _START:
        edit_steps.begin_with(record)
        st.switch_page(shared.EDIT)
    elif chosen == _SIMILAR:
        gallery_filters.open_like(record.id)
    elif chosen == _BOARD:
        boards.choose([record.id])
    elif chosen == _DELETE:
        trash.put([record.id])
        st.rerun()


def _name_and_verdict(record: Record, approved: bool | None) -> None:
    """What it shows in a few words, then what people said of it, or else the checks."""
    st.markdown(shared.composed(f"**{shared.escape(pictures.name(record.request))}**"))
    if approved is not None:
        sign = ":green[:material/thumb_up:] Approved" if approved else ":red[:material/thumb_down:] Rejected"
        st.caption(shared.composed(sign))
        return
    label, icon = why.in_short(record.card)
    if label != why.UNKNOWN:
        st.caption(shared.composed(f"{icon} {shared.escape(label)}"))
    else:
        st.caption(shared.composed(pictures.ago(record.created_at)))
