"""Studio: words and settings on the left, the pictures they make on the right."""

import streamlit as st

from sdxl_lora.errors import StudioError
from sdxl_lora.request import GenerationRequest
from sdxl_lora.ui import boards, composer, examples, feed, line, shared, small_cards

RECENT = 6


def welcome(session: str) -> None:
    """What to do while this session has made nothing yet."""
    with st.container(key="empty"):
        st.header("Your pictures will appear here", anchor=False)
        st.markdown("Fill in the form and press **Generate**, or try one of these:")
        if example := examples.pick("create"):
            start(example.prompt, session)
    busy_elsewhere(session)
    records = shared.store().page(0, RECENT)
    if records:
        st.header("Made lately", anchor=False)
        with st.grid(3, min_column_width=150, key="grid-recent"):
            for record in records:
                with st.container():
                    small_cards.card(record, "recent")
        st.page_link(shared.GALLERY, label="See everything in the gallery", icon=":material/photo_library:")


def start(prompt: str, session: str) -> None:
    """Runs an example, with its words in the form to go on from."""
    request = GenerationRequest(prompt=prompt, count=composer.count())
    try:
        composer.submit(request, session)
    except StudioError as error:
        st.error(shared.escape(str(error)), icon=":material/error:")
        return
    composer.open_with(request)
    st.rerun()


def busy_elsewhere(session: str) -> None:
    """Offers what still runs for another tab: perhaps one that was closed."""
    for job in shared.queue().jobs():
        if job.active and job.spec.priority == "interactive" and job.user != session:
            with st.container(
                horizontal=True, vertical_alignment="center", border=True, key=f"elsewhere-{job.id}"
            ):
                st.caption(f"Being made in another tab: {shared.escape(job.request.prompt)}")
                if st.button("Show", key=f"elsewhere.{job.id}.show", icon=":material/visibility:"):
                    shared.adopt(job.user)
                    st.rerun()


session = shared.session_id()
left, right = st.columns([6, 8], gap="medium")
with left, st.container(key="composer"):
    composer.show(session)
with right:
    boards.tell()
    line.show(session)
    if not feed.show(session):
        welcome(session)
