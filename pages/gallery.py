"""Gallery: everything made so far, newest first; search, favourites, details, use again, delete."""

import math

import streamlit as st

from sdxl_lora.ui import pictures, shared

PER_PAGE = 24


def back_to_first_page() -> None:
    """What is looked for changed, so the page number means nothing any more."""
    st.session_state["gallery.page"] = 1


def show_everything() -> None:
    """Clears search and filter."""
    st.session_state["gallery.search"] = ""
    st.session_state["gallery.show"] = "All"
    back_to_first_page()


shared.session_id()
store = shared.studio().store

st.title("Gallery", anchor=False)
if not store.count():
    with st.container(key="empty", horizontal_alignment="center"):
        st.subheader("Nothing here yet", anchor=False)
        st.markdown("Every picture you make is kept here with all its settings, until you delete it.")
        st.page_link(shared.CREATE, label="Make the first picture", icon=":material/auto_awesome:")
    st.stop()

with st.container(horizontal=True, vertical_alignment="center", key="filters"):
    search = st.text_input(
        "Search",
        key="gallery.search",
        placeholder="Words in the prompt, a model, a seed",
        icon=":material/search:",
        on_change=back_to_first_page,
        persist_state="session",
        label_visibility="collapsed",
    )
    shown = st.segmented_control(
        "Show",
        ["All", "Favourites"],
        key="gallery.show",
        default="All",
        required=True,
        on_change=back_to_first_page,
        persist_state="session",
        label_visibility="collapsed",
    )

favourite = True if shown == "Favourites" else None
count = store.count(search=search, favourite=favourite)
if not count:
    with st.container(key="empty", horizontal_alignment="center"):
        st.subheader("No picture fits", anchor=False)
        st.button(
            "Show everything", key="gallery.everything", icon=":material/refresh:", on_click=show_everything
        )
    st.stop()

num_pages = math.ceil(count / PER_PAGE)
st.session_state["gallery.page"] = min(
    st.session_state.get("gallery.page", 1), num_pages
)  # deleting may empty the last
offset = (st.session_state["gallery.page"] - 1) * PER_PAGE
st.caption(f"{count:,} {'picture' if count == 1 else 'pictures'}, newest first")
with st.grid(5, min_column_width=160, key="grid-gallery"):
    for record in store.page(offset, PER_PAGE, search=search, favourite=favourite):
        with st.container():
            pictures.card(record, "gallery", small=True)
if num_pages > 1:
    with st.container(horizontal_alignment="center"):
        st.pagination(num_pages, key="gallery.page", persist_state="session")
