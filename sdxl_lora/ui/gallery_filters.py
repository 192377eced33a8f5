"""What the gallery shows: words to look for, what people said, the model, and when it was made."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

import streamlit as st

from sdxl_lora.records.searching import Filters

PAGE = "gallery.page"
_SEARCH, _SHOW, _MODEL, _MADE, _DAYS = (
    f"gallery.{name}" for name in ("search", "show", "model", "made", "days")
)
_ALL = "All"
_SHOWN: dict[str, Filters] = {
    _ALL: {},
    "Favourites": {"favourite": True},
    "Approved": {"verdict": "approved"},
    "Rejected": {"verdict": "rejected"},
    "No verdict": {"verdict": "open"},
}
_ANY_MODEL, _ANY_TIME, _CHOSEN_DAYS = "Any model", "Any time", "Choose days"
_MADE_IN = {
    _ANY_TIME: None,
    "Today": 0,
    "Last 7 days": 7,
    "Last 30 days": 30,
    _CHOSEN_DAYS: None,
}  # days back


def show(models: Sequence[str]) -> Filters:
    """Draws the widgets; the filters they stand for. `models`: those that pictures were made with."""
    with st.container(key="filters", gap="small"):
        search = st.text_input(
            "Search",
            key=_SEARCH,
            placeholder="Words in the prompt, a model, a seed",
            icon=":material/search:",
            on_change=_to_first_page,
            persist_state="session",
            label_visibility="collapsed",
        )
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="filters-row"):
            shown = st.segmented_control(
                "Show",
                list(_SHOWN),
                key=_SHOW,
                default=_ALL,
                required=True,
                on_change=_to_first_page,
                persist_state="session",
                label_visibility="collapsed",
            )
            found: Filters = {"search": search, **_SHOWN[str(shown)]}
            if (model := _model(models)) is not None:
                found["model"] = model
            found |= _time()
    return found


def show_everything() -> None:
    """Clears search and filters."""
    st.session_state[_SEARCH] = ""
    st.session_state[_SHOW] = _ALL
    for key in (_MODEL, _MADE, _DAYS):
        st.session_state.pop(key, None)
    _to_first_page()


def look_for(search: str) -> None:
    """Puts other words into the search."""
    st.session_state[_SEARCH] = search
    _to_first_page()


def wider_search(filters: Filters) -> str:
    """The same words, each as the beginning of a word; "" where that is nothing new."""
    words = filters.get("search", "").split()
    wider = " ".join(word if word.endswith("*") else f"{word}*" for word in words)
    return "" if wider.split() == words else wider


def _model(models: Sequence[str]) -> str | None:
    if len(models) < 2:
        return None
    if st.session_state.get(_MODEL) not in models:  # its last picture may have been deleted
        st.session_state[_MODEL] = _ANY_MODEL
    chosen = st.selectbox(
        "Model",
        [_ANY_MODEL, *models],
        key=_MODEL,
        width=170,
        on_change=_to_first_page,
        persist_state="session",
        label_visibility="collapsed",
    )
    return None if chosen == _ANY_MODEL else chosen


def _time() -> Filters:
    made = st.selectbox(
        "Made",
        list(_MADE_IN),
        key=_MADE,
        width=150,
        on_change=_to_first_page,
        persist_state="session",
        label_visibility="collapsed",
    )
    today = datetime.now().astimezone().date()
    first = last = None
    if made == _CHOSEN_DAYS:
        chosen = st.date_input("Days", (today, today), key=_DAYS, width=230, label_visibility="collapsed")
        days = chosen if isinstance(chosen, tuple) else (chosen,)
        if len(days) == 2:  # one: the second is not chosen yet
            first, last = days
    elif (back := _MADE_IN[str(made)]) is not None:
        first = today - timedelta(days=back)
    found: Filters = {}
    if first is not None:
        found["since"] = datetime.combine(first, time()).astimezone(UTC)
    if last is not None:
        found["until"] = datetime.combine(last + timedelta(days=1), time()).astimezone(UTC)
    return found


def _to_first_page() -> None:
    """What is looked for changed, so the page number means nothing any more."""
    st.session_state[PAGE] = 1
