"""Gallery: everything made so far; search by words and looks, filters, boards, the trash."""

import streamlit as st

from sdxl_lora.records.searching import Filters
from sdxl_lora.records.store import View
from sdxl_lora.ui import boards, gallery_filters, picks, shared, similar, small_cards, trash
from sdxl_lora.ui.counting import number_of
from sdxl_lora.ui.gallery_filters import Asked

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


def found(asked: Asked) -> tuple[View, str]:
    """The page of pictures that is asked for, and what its order is called."""
    filters, start = asked.filters, gallery_filters.start()
    words = filters.get("search", "").strip()
    if gallery_filters.like() or (asked.by_looks and words):
        seen = filters.copy()
        seen["search"] = ""
        return similar.view(start, PER_PAGE, words, seen), "the likest first"
    page = store.view(start, PER_PAGE, asked.order, **filters)
    if not page.records and page.before:  # the last of them were deleted
        page = store.view("", PER_PAGE, asked.order, **filters)
    return page, next(said for order, said in gallery_filters.ORDERS.values() if order == asked.order)


def wall(asked: Asked) -> None:
    """A page of pictures, and the way to its neighbours."""
    if gallery_filters.like() or asked.by_looks:
        similar.offer()
    page, order = found(asked)
    if not page.count and (gallery_filters.like() or asked.by_looks) and similar.nothing_seen():
        return
    if not page.count:
        none_fits(asked.filters)
        return
    with st.container(horizontal=True, vertical_alignment="center", key="gallery-head"):
        last = page.before + len(page.records)
        some = f"{page.before + 1:,} to {last:,} of " if page.count > len(page.records) else ""
        number = f"{some}{number_of(page.count, 'picture')}"
        st.caption(shared.escape(f"{number}, {order}"))
        choosing = picks.switch()
        if asked.board is not None:
            boards.head(asked.board)
    if choosing:
        picks.bar(page.records, asked.board)
    verdicts = shared.reviews().verdicts([record.id for record in page.records])
    with st.grid(5, min_column_width=160, key="grid-gallery"):
        for record in page.records:
            with st.container():
                approved = verdicts.get(record.id)
                small_cards.card(record, "gallery", approved=approved, instead=choosing)
                if choosing:
                    picks.box(record)
    if page.before or page.next:
        neighbours(page)


def neighbours(page: View) -> None:
    """The buttons that turn the page."""
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


def everything() -> None:
    """The gallery itself."""
    boards.tell()
    trash.undo_bar()
    if not store.count():
        with st.container(key="empty", horizontal_alignment="center"):
            st.header("Nothing here yet", anchor=False)
            st.markdown("Every picture you make is kept here with all its settings, until you delete it.")
            st.page_link(shared.CREATE, label="Make the first picture", icon=":material/auto_awesome:")
        trash.link()
        return
    if gallery_filters.like():
        similar.head(gallery_filters.like())
    asked = gallery_filters.show(store)
    with shared.told():
        wall(asked)
    trash.link()


shared.session_id()
store = shared.store()

if st.query_params.get("view") == trash.VIEW:
    st.title("Trash", anchor=False)
    trash.show()
else:
    st.title("Gallery", anchor=False)
    everything()
