"""Choosing several pictures of the gallery by checkboxes, over several pages, and what can be done with all of them."""

from collections.abc import Sequence

import streamlit as st

from sdxl_lora.records import Record
from sdxl_lora.records.boards import Board
from sdxl_lora.ui import boards, pictures, shared, trash

_ON = "gallery.choosing"
_PICKED = "gallery.picked"  # ids, in the order they were chosen


def switch() -> bool:
    """The switch that shows the checkboxes; whether it is on."""
    return st.toggle("Choose several", key=_ON, on_change=_clear, persist_state="page")


def bar(shown: Sequence[Record], board: Board | None) -> None:
    """How many are chosen, and what to do with them.

    `shown`: the page's pictures; `board`: the one that is looked at.
    """
    picked = _picked()
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="picks"):
        st.markdown(f"**{len(picked):,} chosen**")
        st.button(
            "All on this page",
            key="picks.all",
            icon=":material/select_all:",
            on_click=_pick_all,
            args=([record.id for record in shown],),
        )
        none = not picked
        if st.button("Put on a board", key="picks.board", icon=":material/dashboard:", disabled=none):
            boards.choose(picked)
        if board is not None:
            st.button(
                "Take off this board",
                key="picks.off",
                icon=":material/remove_circle:",
                disabled=none,
                on_click=_take_off,
                args=(board,),
            )
        st.button(
            "Favourite", key="picks.favourite", icon=":material/favorite:", disabled=none, on_click=_mark
        )
        st.button(
            "Move to trash", key="picks.delete", icon=":material/delete:", disabled=none, on_click=_delete
        )


def box(record: Record) -> None:
    """The checkbox of one picture."""
    key = f"gallery.{record.id}.pick"
    st.session_state[key] = record.id in _picked()
    name = shared.escape(pictures.name(record.request))
    st.checkbox(f"Choose {name}", key=key, on_change=_toggle, args=(record.id,))


def _picked() -> list[str]:
    found: list[str] = st.session_state.setdefault(_PICKED, [])
    return found


def _clear() -> None:
    st.session_state[_PICKED] = []


def _toggle(identifier: str) -> None:
    picked = _picked()
    if identifier in picked:
        picked.remove(identifier)
    else:
        picked.append(identifier)


def _pick_all(identifiers: list[str]) -> None:
    picked = _picked()
    new = [identifier for identifier in identifiers if identifier not in picked]
    st.session_state[_PICKED] = [*picked, *new] if new else [one for one in picked if one not in identifiers]


def _take_off(board: Board) -> None:
    boards.take_off(board, _picked())
    _clear()


def _mark() -> None:
    store = shared.store()
    with shared.toasted():
        for record in store.those(_picked()):
            store.mark_favourite(record.id)
    _clear()


def _delete() -> None:
    trash.put(_picked())
    _clear()
