"""Looking through a whole catalogue, one picture after the other, by keyboard: approve, reject, next."""

from pathlib import Path

import streamlit as st

from sdxl_lora.catalog.journal import Made
from sdxl_lora.catalog.runs import Run
from sdxl_lora.records import Record
from sdxl_lora.ui import shared, votes, why

_AT = "catalog.at"  # key of the picture that is looked at
_SHOW = "catalog.show"
_ALL, _OPEN, _APPROVED, _REJECTED, _DOUBTFUL = "All", "Not looked at", "Approved", "Rejected", "Doubtful"
GONE = "The file of this picture is gone."


def show(run: Run) -> None:
    """The picture that is next, large, with what is said of it and the two verdicts."""
    made = run.made
    said = shared.reviews().verdicts(one.record for one in made)
    st.header("Look through", anchor=False)
    left = sum(one.record not in said for one in made)
    good = sum(said.get(one.record) is True for one in made)
    st.caption(f"{good:,} approved, {len(made) - left - good:,} rejected, {left:,} not looked at yet.")
    chosen = str(
        st.segmented_control(
            "Show",
            (_ALL, _OPEN, _APPROVED, _REJECTED, _DOUBTFUL),
            default=_ALL,
            required=True,
            key=_SHOW,
            label_visibility="collapsed",
            help="Doubtful: the checks found something that is not as asked.",
        )
    )
    listed = [one for one in made if _is_shown(one, chosen, said)]
    if not listed:
        st.markdown("No picture here.")
        return
    keys = [one.key for one in listed]
    wanted = st.session_state.get(_AT)
    at = keys.index(wanted) if wanted in keys else 0
    _one(run, listed, at, said)


def picture(folder: Path, one: Made, *, small: bool = False) -> None:
    """The picture itself; its thumbnail where it is small."""
    data = _bytes(folder, one, small)
    if data is None:
        st.caption(GONE)
    else:
        st.image(data, width="stretch", alt=one.alt)


def _is_shown(one: Made, chosen: str, said: dict[str, bool]) -> bool:
    verdict = said.get(one.record)
    return {
        _ALL: True,
        _OPEN: verdict is None,
        _APPROVED: verdict is True,
        _REJECTED: verdict is False,
        _DOUBTFUL: one.checks not in ("passed", "not judged"),
    }[chosen]


def _one(run: Run, listed: list[Made], at: int, said: dict[str, bool]) -> None:
    one = listed[at]
    left, right = st.columns([3, 2], gap="medium")
    with left, st.container(key="card-catalog"):
        picture(run.folder, one)
    with right:
        st.subheader(shared.escape(one.sku), anchor=False)
        st.caption(shared.escape(f"{one.name}.png, picture {at + 1:,} of {len(listed):,}"))
        with st.container(horizontal=True, gap="xsmall", key="votes-catalog"):
            for words, letter, approves in (
                ("Approve", votes.APPROVE, True),
                ("Reject", votes.REJECT, False),
            ):
                on = said.get(one.record) is approves
                st.button(
                    shared.escape(f"{words}d" if on and approves else f"{words}ed" if on else words),
                    key=f"catalog.{words.lower()}",
                    icon=f":material/thumb_{'up' if approves else 'down'}:",
                    type="primary" if on else "secondary",
                    shortcut=letter,
                    on_click=_vote,
                    args=(one, approves, listed, at),
                )
        with st.container(horizontal=True, gap="xsmall", key="keys-catalog"):
            for words, letter, step in (("Previous", votes.PREVIOUS, -1), ("Next", votes.NEXT, 1)):
                to = min(max(at + step, 0), len(listed) - 1)
                st.button(
                    shared.escape(words),
                    key=f"catalog.{words.lower()}",
                    type="tertiary",
                    shortcut=letter,
                    disabled=to == at,
                    on_click=_go,
                    args=(listed[to].key,),
                )
        st.markdown(shared.escape(one.alt))
        if (record := shared.find(one.record)) is not None:
            why.show(record, "catalog")
        _shops(one)
        names = {other.key: other.name for other in listed}
        st.selectbox(
            "Go to",
            list(names),
            index=None,
            format_func=names.__getitem__,
            key=f"catalog.go.{one.key}",
            placeholder="Go to a picture by its name",
            label_visibility="collapsed",
            on_change=_go_chosen,
            args=(f"catalog.go.{one.key}",),
        )


def _shops(one: Made) -> None:
    """What of each shop's checklist is left."""
    for preset, export in one.exports.items():
        left = export["left"]
        if left:
            with st.expander(
                shared.escape(f"{preset}: {len(left)} to look at"), icon=":material/storefront:"
            ):
                for line in left:
                    st.markdown(shared.escape(line))
        else:
            st.caption(shared.composed(f":material/check: {shared.escape(preset)}: everything is right"))


def _vote(one: Made, approves: bool, listed: list[Made], at: int) -> None:
    """Keeps the vote and goes to the next picture; of one that has it already, takes it back."""
    record = shared.find(one.record)
    if record is None:
        st.toast("This picture was deleted from the gallery, so that nothing can be said of it.")
        return
    with shared.toasted():
        vote = shared.reviews().vote_on(record)
        if vote is not None and vote.approved == approves:
            shared.reviews().withdraw(record)
            return
        shared.reviews().vote(record, approved=approves)
        _go(listed[min(at + 1, len(listed) - 1)].key)


def _go(key: str) -> None:
    st.session_state[_AT] = key


def _go_chosen(widget: str) -> None:
    if key := st.session_state.get(widget):
        _go(str(key))


def _bytes(folder: Path, one: Made, small: bool) -> bytes | None:
    record: Record | None = shared.find(one.record) if small else None
    path = folder / one.file if record is None else shared.store().thumbnail(record)
    try:
        return path.read_bytes()
    except OSError:
        return None
