"""The steps of the Edit page in the session: which pictures, and which of them is changed next.

A step is a picture. Each is recorded with the one it was made from; undo and redo walk along that line.
"""

from collections.abc import Sequence

import streamlit as st

from sdxl_lora.records import Record

_STEPS = "edit.steps"  # ids of pictures, or the hash of an upload, first to last
_PLACE = "edit.place"  # which of them is edited now
WAITING = "edit.waiting"  # the job whose picture becomes the next step


def begin_with(record: Record) -> None:
    """Opens the page with this picture at the next run."""
    begin([record.id])


def begin(steps: Sequence[str]) -> None:
    """Begins anew, at the last of these steps."""
    _set(list(steps))
    st.session_state.pop(WAITING, None)


def add(step: str) -> None:
    """Puts a step behind the one that is edited, in the place of those that were there, and goes to it."""
    _set([*steps()[: place() + 1], step])


def steps() -> list[str]:
    """First to last."""
    return list(st.session_state.get(_STEPS, []))


def place() -> int:
    """Of the step that is edited, from 0."""
    return int(st.session_state.get(_PLACE, 0))


def go(place: int) -> None:
    """To another step."""
    st.session_state[_PLACE] = place


def _set(steps: list[str]) -> None:
    st.session_state[_STEPS], st.session_state[_PLACE] = steps, len(steps) - 1
