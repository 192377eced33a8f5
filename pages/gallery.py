"""Gallery: everything made so far; search, filters, order, details, use again, delete."""

import streamlit as st

from sdxl_lora.records.searching import Filters, Order
from sdxl_lora.ui import gallery_filters, pictures, shared

PER_PAGE = 24


def none_fits(filters: Filters) -> None:
    """What to do where no picture is left: fewer letters, fewer filters."""
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


def wall(filters: Filters, order: Order) -> None:
    """A page of pictures, and the way to its neighbours."""
    page = store.view(gallery_filters.start(), PER_PAGE, order, **filters)
    if not page.records and page.before:  # the last of them were deleted
        page = store.view("", PER_PAGE, order, **filters)
    if not page.count:
        none_fits(filters)
        return
    words = next(words for name, words in gallery_filters.ORDERS.values() if name == order)
    if page.count > len(page.records):
        last = page.before + len(page.records)
        st.caption(f"{page.before + 1:,} to {last:,} of {page.count:,} pictures, {shared.escape(words)}")
    else:
        st.caption(f"{page.count:,} {'picture' if page.count == 1 else 'pictures'}, {shared.escape(words)}")
    with st.grid(5, min_column_width=160, key="grid-gallery"):
        for record in page.records:
            with st.container():
                pictures.card(record, "gallery", small=True)
    if not page.before and not page.next:
        return
    with st.container(horizontal=True, horizontal_alignment="center", key="gallery-pages"):
        for label, icon, key, there in (
            ("First page", "first_page", "", bool(page.before)),
            ("Before", "chevron_left", page.previous, bool(page.before)),
            ("Next", "chevron_right", page.next, bool(page.next)),
        ):
            st.button(
                shared.escape(label),
                key=f"gallery.{icon}",
                icon=f":material/{icon}:",
                disabled=not there,
                on_click=gallery_filters.go_to,
                args=(key,),
            )


shared.session_id()
store = shared.studio().store

st.title("Gallery", anchor=False)
if store.count():
    wall(*gallery_filters.show(store))
else:
    with st.container(key="empty", horizontal_alignment="center"):
        st.header("Nothing here yet", anchor=False)
        st.markdown("Every picture you make is kept here with all its settings, until you delete it.")
        st.page_link(shared.CREATE, label="Make the first picture", icon=":material/auto_awesome:")
