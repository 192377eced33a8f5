"""The gallery by what pictures show: like words, or like another picture; and the offer to look at older pictures."""

import streamlit as st

from sdxl_lora.looks.indexing import Indexer
from sdxl_lora.records.searching import Filters
from sdxl_lora.records.store import View
from sdxl_lora.ui import gallery_filters, pictures, shared
from sdxl_lora.ui.counting import number_of

POLL_SECONDS = 1.0


def head(identifier: str) -> None:
    """Says what the others are like, and the way back to everything."""
    record = shared.find(identifier)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="similar"):
        image = None if record is None else pictures.file_of(record, small=True)
        if record is not None and image is not None:
            st.image(image, width=96, alt=record.request.prompt)
            st.markdown(shared.composed(f"Like **{shared.escape(pictures.name(record.request))}**"))
        else:
            st.markdown("Like a picture that was deleted since")
        st.button(
            "Show everything",
            key="similar.clear",
            icon=":material/close:",
            on_click=gallery_filters.like_nothing,
        )


def view(start: str, limit: int, words: str, filters: Filters) -> View:
    """Pictures in the order of their likeness, as a page that begins at the picture of id `start`.

    `words`: what they are to show; where the address names a picture, like that one instead.
    """
    store, looks = shared.store(), shared.front_door().looks
    among = store.ids(**filters) if any(value not in (None, "") for value in filters.values()) else None
    identifier = gallery_filters.like()
    found = looks.of_picture(identifier, among) if identifier else looks.of_words(words, among)
    there = store.there([one.id for one in found])  # some may have been deleted
    ids = [one.id for one in found if one.id in there]
    at = ids.index(start) if start in ids else 0
    return View(
        records=tuple(store.those(ids[at : at + limit])),
        count=len(ids),
        before=at,
        next=ids[at + limit] if at + limit < len(ids) else "",
        previous=ids[max(0, at - limit)] if at else "",
    )


def nothing_seen() -> bool:
    """Whether nobody has looked at any picture yet, so that none can be found by its looks."""
    looks = shared.front_door().looks
    return not looks.embeddings.count(looks.judge)


def offer() -> None:
    """Says how many pictures nobody has looked at yet, and looks at them when asked to."""
    indexer = shared.front_door().indexer
    if indexer is None:
        return
    running = indexer.progress.running
    if running or indexer.missing():
        st.fragment(_offer, run_every=POLL_SECONDS if running else None)(indexer, running)


def _offer(indexer: Indexer, was_running: bool) -> None:
    with (
        shared.told(),
        st.container(horizontal=True, vertical_alignment="center", gap="small", key="looking"),
    ):
        now = indexer.progress
        if now.running != was_running:
            st.rerun()
        if now.running:
            st.progress(
                now.done / max(1, now.total), text=f"Looking at {now.done:,} of {now.total:,} pictures"
            )
            st.button("Stop", key="looking.stop", icon=":material/close:", on_click=indexer.stop)
            return
        missing = indexer.missing()
        st.caption(
            f"{number_of(missing, 'older picture has', 'older pictures have')} not been looked at yet."
        )
        if st.button("Look at them", key="looking.start", icon=":material/visibility:"):
            indexer.look_at_all()
            st.rerun()
        if now.error:
            st.caption(shared.escape(now.error))
