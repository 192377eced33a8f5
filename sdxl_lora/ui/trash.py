"""Deleting with a way back: pictures go to the trash; the last ones come back at one click, all from its page."""

from collections.abc import Sequence

import streamlit as st

from sdxl_lora.records.trash import Deleted, days
from sdxl_lora.ui import shared
from sdxl_lora.ui.counting import number_of

_LAST = "trash.last"  # ids that were deleted last in this session
VIEW = "trash"  # of the gallery's address
_SHOWN = 60


def put(identifiers: Sequence[str]) -> None:
    """Moves pictures to the trash; where the disk takes nothing new they are deleted for good, which makes room."""
    store = shared.store()
    with shared.toasted():
        if store.database.read_only:
            for identifier in identifiers:
                store.delete(identifier)
            st.toast("The disk is full, so it was deleted for good.", icon=":material/delete_forever:")
            return
        st.session_state[_LAST] = store.trash.put(identifiers)


def undo_bar() -> None:
    """What was deleted last, and the way back."""
    last: list[str] = st.session_state.get(_LAST, [])
    if not last:
        return
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", border=True, key="trash-undo"
    ):
        st.markdown(f"{number_of(len(last), 'picture is', 'pictures are')} in the trash.")
        st.button("Undo", key="trash.undo", icon=":material/undo:", on_click=_restore, args=(last,))
        st.button("Close", key="trash.close", icon=":material/close:", type="tertiary", on_click=_forget)


def link() -> None:
    """The way to the trash, where there is something in it."""
    if count := shared.store().trash.count():
        st.page_link(
            shared.GALLERY,
            label=f"Trash: {count:,}",
            icon=":material/delete:",
            query_params={"view": VIEW, "session": shared.session_id()},
        )


def show() -> None:
    """The page of the trash."""
    store = shared.store()
    st.page_link(shared.GALLERY, label="Back to the gallery", icon=":material/arrow_back:")
    found = store.trash.all()
    if not found:
        with st.container(key="empty", horizontal_alignment="center"):
            st.header("The trash is empty", anchor=False)
        return
    left = days()
    kept = (
        f"Each is deleted for good {left:d} days after it was put here."
        if left
        else "They stay here until you empty it."
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(shared.composed(f"{number_of(len(found), 'picture')}. {kept}"))
        st.button(
            "Bring all back",
            key="trash.all",
            icon=":material/restore_from_trash:",
            on_click=_restore,
            args=([one.id for one in found],),
        )
        with st.popover("Empty the trash", icon=":material/delete_forever:", key="trash.empty"):
            st.markdown(f"{number_of(len(found), 'picture is', 'pictures are')} deleted for good.")
            st.button("Delete for good", key="trash.confirm", type="primary", on_click=_empty)
    with st.grid(5, min_column_width=160, key="grid-trash"):
        for one in found[:_SHOWN]:
            with st.container():
                picture = _thumbnail(one)
                if picture is not None:
                    st.image(picture, width="stretch", alt="A deleted picture")
                st.button(
                    "Bring back",
                    key=f"trash.{one.id}.restore",
                    icon=":material/restore_from_trash:",
                    width="stretch",
                    on_click=_restore,
                    args=([one.id],),
                )
    if len(found) > _SHOWN:
        st.caption(f"The latest {_SHOWN} are shown.")


def _thumbnail(one: Deleted) -> bytes | None:
    try:
        return shared.store().thumbnail_of(one.id, one.path).read_bytes()
    except OSError:  # emptied in another tab
        return None


def _restore(identifiers: list[str]) -> None:
    with shared.toasted():
        brought = shared.store().trash.restore(identifiers)
        if (indexer := shared.front_door().indexer) is not None:
            for identifier in brought:
                indexer.note(identifier)
        _forget()


def _empty() -> None:
    with shared.toasted():
        shared.store().trash.empty()
    _forget()


def _forget() -> None:
    st.session_state[_LAST] = []
