"""Gallery: everything made so far, newest first; search, filters, details, use again, delete."""

import math

import streamlit as st

from sdxl_lora.ui import gallery_filters, pictures, shared

PER_PAGE = 24

shared.session_id()
store = shared.studio().store

st.title("Gallery", anchor=False)
if not store.count():
    with st.container(key="empty", horizontal_alignment="center"):
        st.header("Nothing here yet", anchor=False)
        st.markdown("Every picture you make is kept here with all its settings, until you delete it.")
        st.page_link(shared.CREATE, label="Make the first picture", icon=":material/auto_awesome:")
    st.stop()

filters = gallery_filters.show(store.models())
count = store.count(**filters)
if not count:
    with st.container(key="empty", horizontal_alignment="center"):
        st.header("No picture fits", anchor=False)
        wider = gallery_filters.wider_search(filters)
        if wider and (more := store.count(**(filters | {"search": wider}))):
            st.button(
                f"{more:,} with words that begin so",
                key="gallery.wider",
                icon=":material/search:",
                on_click=gallery_filters.look_for,
                args=(wider,),
            )
        st.button(
            "Show everything",
            key="gallery.everything",
            icon=":material/refresh:",
            on_click=gallery_filters.show_everything,
        )
    st.stop()

num_pages = math.ceil(count / PER_PAGE)
page = min(st.session_state.get(gallery_filters.PAGE, 1), num_pages)  # deleting may empty the last
st.session_state[gallery_filters.PAGE] = page
st.caption(f"{count:,} {'picture' if count == 1 else 'pictures'}, newest first")
with st.grid(5, min_column_width=160, key="grid-gallery"):
    for record in store.page((page - 1) * PER_PAGE, PER_PAGE, **filters):
        with st.container():
            pictures.card(record, "gallery", small=True)
if num_pages > 1:
    with st.container(horizontal_alignment="center"):
        st.pagination(num_pages, key=gallery_filters.PAGE, persist_state="session")
