"""Boards on the pages: pictures are put on them one by one or many at once, and a board is looked at in the gallery."""

from collections.abc import Sequence

import streamlit as st

from sdxl_lora.errors import StudioError
from sdxl_lora.records import Record
from sdxl_lora.records.boards import MAX_NAME, Board
from sdxl_lora.ui import shared
from sdxl_lora.ui.counting import number_of

CHOSEN = "gallery.board"  # the board that is looked at, by its name, in the address too
_NAME = "boards.name"
_SAID = "boards.said"  # what the last click came to, for the next run, and its sign


def every() -> dict[str, Board]:
    """The boards by their names."""
    return {board.name: board for board in shared.front_door().boards.all()}


def of_picture(record: Record, key: str) -> None:
    """The boards of one picture, to be changed at once; a name that is typed makes a new one."""
    known = every()
    on = shared.front_door().boards.of(record.id)
    names = [name for name, board in known.items() if board.id in on]
    key = f"{key}.boards.{'-'.join(sorted(on))}"
    st.multiselect(
        "Boards",
        list(known),
        default=names,
        key=key,
        accept_new_options=True,
        placeholder="Choose boards, or type a new name",
        on_change=_set,
        args=(record.id, key, names),
    )


@st.dialog("Put on a board")
def choose(identifiers: Sequence[str]) -> None:
    """Asks which board pictures go on."""
    st.markdown(number_of(len(identifiers), "picture"))
    st.selectbox(
        "Board",
        list(every()),
        index=None,
        key=_NAME,
        accept_new_options=True,
        placeholder="Choose one, or type a new name",
    )
    if st.button(
        "Put on the board",
        key="boards.put",
        type="primary",
        on_click=_put_chosen,
        args=(list(identifiers),),
    ):
        st.rerun()


def tell() -> None:
    """Says what was just done; called by the page that closed the dialog."""
    if said := st.session_state.pop(_SAID, None):
        st.toast(shared.escape(said[0]), icon=said[1])


def head(board: Board) -> None:
    """What can be done with the board that is looked at."""
    with st.popover("Board", icon=":material/dashboard:", key="boards.edit"):
        name = st.text_input("Name", value=board.name, key=_rename_key(board), max_chars=MAX_NAME)
        st.button(
            "Rename",
            key="boards.rename",
            disabled=not name or name == board.name,
            on_click=_rename,
            args=(board,),
        )
        st.button(
            "Delete the board",
            key="boards.delete",
            icon=":material/delete:",
            help="The pictures stay in the gallery",
            on_click=_delete,
            args=(board,),
        )


def take_off(board: Board, identifiers: Sequence[str]) -> None:
    """Takes pictures off the board that is looked at."""
    with shared.toasted():
        shared.front_door().boards.remove(board.id, identifiers)


def _put_chosen(identifiers: list[str]) -> None:
    name = str(st.session_state.get(_NAME) or "")
    try:
        _put(name, identifiers)
    except StudioError as error:
        st.session_state[_SAID] = str(error), ":material/error:"
    else:
        st.session_state[_SAID] = f"On the board {name}.", ":material/dashboard:"


def _set(picture: str, key: str, before: list[str]) -> None:
    known, chosen = every(), list(st.session_state[key])
    try:
        for name in chosen:
            if name not in before:
                _put(name, [picture])
        for name in before:
            if name not in chosen and name in known:
                shared.front_door().boards.remove(known[name].id, [picture])
    except StudioError as error:
        st.session_state[_SAID] = str(error), ":material/error:"


def _put(name: str, identifiers: Sequence[str]) -> None:
    boards = shared.front_door().boards
    same = [
        board for known, board in every().items() if known.casefold() == " ".join(name.split()).casefold()
    ]
    boards.add((same[0] if same else boards.make(name)).id, identifiers)


def _rename(board: Board) -> None:
    name = str(st.session_state[_rename_key(board)])
    with shared.toasted():
        shared.front_door().boards.rename(board.id, name)
        st.session_state[CHOSEN] = " ".join(name.split())


def _delete(board: Board) -> None:
    with shared.toasted():
        shared.front_door().boards.delete(board.id)
    st.session_state[CHOSEN] = None


def _rename_key(board: Board) -> str:
    return f"boards.{board.id}.{board.name}.rename"
