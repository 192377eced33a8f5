"""One of the kept ones, or the form for a new one: a list and a button beside it. The choice stands in the address."""

import streamlit as st

from sdxl_lora.ui.shared import escape


def begin(page: str, new: bool) -> None:
    """Whether the form for a new one is shown on that page."""
    st.session_state[f"{page}.new"] = new


def choose(names: dict[str, str], *, label: str, page: str) -> str | None:
    """The one to show of `names` (id -> what it is called), or None for a new one.

    Args:
        label: what each is, such as "Catalogue"; in lower case it is the query parameter.
        page: what the keys of its widgets begin with.
    """
    query, ids = label.lower(), list(names)
    given = st.query_params.get(query, "")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            label,
            ids,
            index=ids.index(given) if given in names else 0,
            format_func=names.__getitem__,
            on_change=begin,
            args=(page, False),
            label_visibility="collapsed",
        )
        new = bool(st.session_state.get(f"{page}.new"))
        st.button(
            "Back" if new else escape(f"New {query}"),
            key=f"{page}.begin",
            icon=":material/arrow_back:" if new else ":material/add:",
            on_click=begin,
            args=(page, not new),
        )
    if new:
        return None
    st.query_params[query] = chosen
    return chosen
