"""What the gallery shows: words, what people said, brand, product, model, LoRA, score, seed, time; and its order.

Everything is in the address, so that a view can be bookmarked and sent to others: widgets that are bound to it, and the
key of the page's first picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import streamlit as st

from sdxl_lora.records import Store
from sdxl_lora.records.boards import Board
from sdxl_lora.records.searching import Filters, Order
from sdxl_lora.request import MAX_SEED
from sdxl_lora.ui import boards, shared

_LIKE = "like"  # in the address: the picture that others are to be like
_START = "from"  # in the address: the key of the page's first picture
_KEYS = ("search", "by", "show", "order", "brand", "sku", "model", "lora", "score", "seed", "made", "days")
_WIDGETS = tuple(f"gallery.{name}" for name in _KEYS)
_SEARCH, _BY, _SHOW, _ORDER, _BRAND, _SKU, _MODEL, _LORA, _SCORE, _SEED, _MADE, _DAYS = _WIDGETS
_ALL = "All"
_SHOWN: dict[str, Filters] = {
    _ALL: {},
    "Favourites": {"favourite": True},
    "Approved": {"verdict": "approved"},
    "Rejected": {"verdict": "rejected"},
    "No verdict": {"verdict": "open"},
}
ORDERS: dict[str, tuple[Order, str]] = {  # what the choice says, and what stands behind the number
    "Newest first": ("newest", "newest first"),
    "Oldest first": ("oldest", "oldest first"),
    "Best score first": ("best", "best score first"),
    "Worst score first": ("worst", "worst score first"),
}
_ANY_MODEL, _ANY_TIME, _CHOSEN_DAYS = "Any model", "Any time", "Choose days"
_MADE_IN = {
    _ANY_TIME: None,
    "Today": 0,
    "Last 7 days": 7,
    "Last 30 days": 30,
    _CHOSEN_DAYS: None,
}  # days back
_WORDS, _LOOKS = "By its words", "By its looks"
_BY_HELP = "By its words: what was written to make it. By its looks: what a judge of pictures sees in it."
_NO_SEED = -2  # no picture has it
_SCORE_HELP = "Of the judge that each picture was scored by. Scores of two judges are not comparable."


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What somebody looks for."""

    filters: Filters
    order: Order
    by_looks: bool  # the words say what is seen, not what was written
    board: Board | None


def show(store: Store) -> Asked:
    """Draws the widgets; what they ask for."""
    with st.container(key="filters", gap="small"):
        search = st.text_input(
            "Search",
            key=_SEARCH,
            placeholder="Words in the prompt, a model, a seed",
            icon=":material/search:",
            on_change=to_first_page,
            bind="query-params",
            persist_state="session",
            label_visibility="collapsed",
        )
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="filters-row"):
            by = _choice("Search in", [_WORDS, _LOOKS], _BY, width=170, help=_BY_HELP)
            shown = st.segmented_control(
                "Show",
                list(_SHOWN),
                key=_SHOW,
                default=_ALL,
                required=True,
                on_change=to_first_page,
                bind="query-params",
                persist_state="session",
                label_visibility="collapsed",
            )
            order = _choice("Order", list(ORDERS), _ORDER, width=180)
            board = _board()
            more = _more(store)
    found: Filters = {"search": str(search or ""), **_SHOWN[str(shown)], **more}
    if board is not None:
        found["board"] = board.id
    return Asked(filters=found, order=ORDERS[order][0], by_looks=by == _LOOKS, board=board)


def start() -> str:
    """The key of the page's first picture; "" = the first of all."""
    return st.query_params.get(_START, "")


def go_to(key: str) -> None:
    """Shows the page that begins at a key."""
    if key:
        st.query_params[_START] = key
    else:
        st.query_params.pop(_START, None)


def open_like(identifier: str) -> None:
    """Shows the gallery with the pictures that are like this one."""
    st.switch_page(shared.GALLERY, query_params={_LIKE: identifier, "session": shared.session_id()})


def like() -> str:
    """The picture that others are to be like; "" = none."""
    return st.query_params.get(_LIKE, "")


def like_nothing() -> None:
    """Shows all kinds of pictures again."""
    st.query_params.pop(_LIKE, None)
    to_first_page()


def to_first_page() -> None:
    """What is looked for changed, so the place means nothing any more."""
    go_to("")


def show_everything() -> None:
    """Clears search and filters."""
    for key in (boards.CHOSEN, *_WIDGETS):
        st.session_state[key] = _CLEARED.get(key)
    to_first_page()


def look_for(search: str) -> None:
    """Puts other words into the search."""
    st.session_state[_SEARCH] = search
    to_first_page()


def wider_search(filters: Filters) -> str:
    """The same words, each as the beginning of a word; "" where that is nothing new."""
    words = filters.get("search", "").split()
    wider = " ".join(word if word.endswith("*") else f"{word}*" for word in words)
    return "" if wider.split() == words else wider


_CLEARED = {
    _SEARCH: "",
    _BY: _WORDS,
    _SHOW: _ALL,
    _ORDER: next(iter(ORDERS)),
    _SKU: "",
    _SEED: "",
    _MODEL: _ANY_MODEL,
    _MADE: _ANY_TIME,
}


def _board() -> Board | None:
    known = boards.every()
    if not known:
        return None
    name = _open_choice("Board", list(known), boards.CHOSEN, placeholder="All boards", width=170)
    return known.get(name or "")


def _more(store: Store) -> Filters:
    """The filters behind the button, which says how many of them are set."""
    state = st.session_state
    watched = (_BRAND, _SKU, _MODEL, _LORA, _SCORE, _SEED, _MADE)
    number = sum(state.get(key) not in (None, "", _CLEARED.get(key)) for key in watched)
    found: Filters = {}
    with st.popover(
        f"Filters: {number:d}" if number else "Filters",
        icon=":material/tune:",
        type="primary" if number else "secondary",
        key="gallery.filters",
    ):
        brands, models, loras = store.brands(), store.models(), store.loras()
        if brands and (brand := _open_choice("Brand", brands, _BRAND)):
            found["brand"] = brand
        if sku := _text("Product number (SKU)", _SKU, "TEE-1042, or TEE-* for all that begin so"):
            found["sku"] = sku
        if len(models) > 1:
            model = _choice("Model", [_ANY_MODEL, *models], _MODEL)
            if model != _ANY_MODEL:
                found["model"] = model
        if loras and (lora := _open_choice("LoRA", loras, _LORA)):
            found["lora"] = lora
        least = st.number_input(
            "Score at least",
            min_value=-1.0,
            max_value=1.0,
            value=None,
            step=0.01,
            key=_SCORE,
            help=_SCORE_HELP,
            on_change=to_first_page,
            bind="query-params",
            persist_state="session",
        )
        if least is not None:
            found["min_score"] = least
        seed = _text("Seed", _SEED, "")
        if seed:
            whole = seed.isascii() and seed.isdecimal() and int(seed) <= MAX_SEED
            found["seed"] = int(seed) if whole else _NO_SEED
            if not whole:
                st.caption("A seed is a whole number.")
        found |= _time()
        if number:
            st.button(
                "Show everything", icon=":material/refresh:", key="gallery.clear", on_click=show_everything
            )
    return found


def _text(label: str, key: str, placeholder: str) -> str:
    said = st.text_input(
        shared.escape(label),
        key=key,
        placeholder=placeholder,
        max_chars=200,
        on_change=to_first_page,
        bind="query-params",
        persist_state="session",
    )
    return str(said or "").strip()


def _choice(
    label: str, options: Sequence[str], key: str, *, width: int | None = None, help: str | None = None
) -> str:
    """One of several, the first where nothing is said."""
    if st.session_state.get(key, options[0]) not in options:  # its last picture may have been deleted
        st.session_state[key] = options[0]
    chosen = st.selectbox(
        label,
        options,
        key=key,
        width=width or "stretch",
        on_change=to_first_page,
        bind="query-params",
        persist_state="session",
        label_visibility="collapsed" if width else "visible",
        help=shared.composed(help or "") or None,
    )
    return str(chosen or options[0])


def _open_choice(
    label: str, options: Sequence[str], key: str, *, placeholder: str = "Any", width: int | None = None
) -> str | None:
    """One of several, or none."""
    if st.session_state.get(key) not in (None, *options):
        st.session_state[key] = None
    chosen: str | None = st.selectbox(
        label,
        options,
        index=None,
        key=key,
        placeholder=placeholder,
        width=width or "stretch",
        label_visibility="collapsed" if width else "visible",
        on_change=to_first_page,
        bind="query-params",
        persist_state="session",
    )
    return chosen


def _time() -> Filters:
    made = _choice("Made", list(_MADE_IN), _MADE)
    today = datetime.now().astimezone().date()
    first: date | None = None
    last: date | None = None
    if made == _CHOSEN_DAYS:
        chosen = st.date_input(
            "Days",
            (today, today),
            key=_DAYS,
            on_change=to_first_page,
            bind="query-params",
            persist_state="session",
        )
        days = chosen if isinstance(chosen, tuple) else (chosen,)
        if len(days) == 2:  # one: the second is not chosen yet
            first, last = days
    elif (back := _MADE_IN[made]) is not None:
        first = today - timedelta(days=back)
    found: Filters = {}
    if first is not None:
        found["since"] = datetime.combine(first, time()).astimezone(UTC)
    if last is not None:
        found["until"] = datetime.combine(last + timedelta(days=1), time()).astimezone(UTC)
    return found
