"""Approve, reject and say what is wrong with a picture, by mouse or by keyboard; the answer is an edit seen first.

One picture of the page is the one that the keys are for. Which one stands in the session's state; it has a frame.
"""

from collections.abc import Sequence

import streamlit as st

from sdxl_lora.errors import StudioError
from sdxl_lora.feedback.changes import Change, changes
from sdxl_lora.feedback.corrections import TAGS, Correction, correct_all
from sdxl_lora.prompts import emphasis
from sdxl_lora.records import Record
from sdxl_lora.records.votes import Vote
from sdxl_lora.request import expansion
from sdxl_lora.ui import composer, past, shared

APPROVE, REJECT, FAVOURITE, NEXT, PREVIOUS = "A", "X", "F", "N", "P"  # C and R belong to Streamlit
# (what to press, its key, what pressing it does, whether it approves, what it says afterwards)
_VERDICTS = (
    ("Approve", APPROVE, ": teaches the taste", True, "Approved"),
    ("Reject", REJECT, ", and say what is wrong", False, "Rejected"),
)
_SELECTED = "votes.selected"
_SAID = "votes.said"  # what the last vote came to, for the next run: callbacks draw nothing
_NEWEST = "votes.newest"


def select(identifier: str) -> None:
    """The keys are for this picture now."""
    st.session_state[_SELECTED] = identifier


def selected() -> str:
    """The picture that the keys are for; "" for none."""
    return str(st.session_state.get(_SELECTED, ""))


def bar(identifiers: Sequence[str]) -> None:
    """Chooses among the pictures of the page, newest job first, and says which keys there are.

    A job that was finished just now gets the keys, unless somebody is about to say what is wrong with another picture.
    """
    if not identifiers:
        return
    new = st.session_state.get(_NEWEST) != identifiers[0]
    st.session_state[_NEWEST] = identifiers[0]
    if selected() not in identifiers or (new and not _is_rejected(selected())):
        select(identifiers[0])
    at = identifiers.index(selected())
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="keys"):
        st.caption("The keys are for the framed picture.")
        for label, key, step in (("Previous", PREVIOUS, -1), ("Next", NEXT, 1)):
            st.button(
                shared.escape(label),
                key=f"votes.{label.lower()}",
                type="tertiary",
                shortcut=key,
                disabled=not 0 <= at + step < len(identifiers),
                on_click=select,
                args=(identifiers[min(max(at + step, 0), len(identifiers) - 1)],),
            )


def show(record: Record, key: str, *, keys: bool) -> None:
    """The votes on one picture; `keys`: it is the one that the keys are for, and has room for words."""
    if said := st.session_state.pop(_SAID, None):
        st.toast(shared.escape(said[0]), icon=said[1])
    vote = vote_on(record)
    for words, letter, means, approves, given in _VERDICTS:
        on = vote is not None and vote.approved == approves
        st.button(
            shared.escape(given if on else words),
            key=f"{key}.{words.lower()}",
            icon=f":material/thumb_{'up' if approves else 'down'}:",
            type="primary" if on else "secondary",
            help=None if keys else shared.escape(f"{words}{means}. Key {letter}"),
            shortcut=letter if keys else None,
            on_click=_toggle,
            args=(record, approves, on),
        )


def wrong(record: Record, key: str) -> None:
    """After a rejection: what is wrong, and what would be changed because of it."""
    vote = vote_on(record)
    if vote is None or vote.approved:
        return
    with st.container(border=True, key=f"wrong-{key}"):
        tags = st.pills(
            "What is wrong?", tuple(TAGS), selection_mode="multi", key=f"{key}.tags", default=list(vote.tags)
        )
        text = st.text_input(
            "In your own words",
            value=vote.text,
            key=f"{key}.wrong",
            max_chars=300,
            placeholder="For example: make it red, or: no hood",
        )
        if (tuple(tags), text) != (vote.tags, vote.text):
            with shared.told():
                shared.reviews().describe(record, tags=tags, text=text)
        if tags or text.strip():
            _offer(record, tuple(tags), text, key)


def report(brand: str) -> None:
    """How well the taste of a brand is known, and a way to forget it."""
    try:
        found = shared.reviews().preference(brand).report
    except StudioError as error:
        st.caption(shared.escape(str(error)))
        return
    st.caption(
        f"Taste for {shared.escape(brand or 'pictures without a brand')}: {shared.escape(found.reason)}"
    )
    if found.approvals + found.rejections and st.button("Forget these votes", key=f"taste.{brand}.reset"):
        with shared.told():
            shared.reviews().reset(brand)
            st.rerun()


def in_words(change: Change) -> str:
    """A change as Markdown; emphasis is said rather than written."""
    before, after = emphasis.plain(change.before), emphasis.plain(change.after)
    if before == after and emphasis.is_emphasised(change.after):
        return f"**{shared.escape(change.what)}**: {shared.escape(after)}, said louder"
    if not before:
        return f"**{shared.escape(change.what)}**: add {shared.escape(after)}"
    return f"**{shared.escape(change.what)}**: {shared.escape(before)} → {shared.escape(after) or 'nothing'}"


def _offer(record: Record, tags: tuple[str, ...], text: str, key: str) -> None:
    """What would be changed, in words, and the two ways to take it."""
    try:
        edits = correct_all(record.request, tags, text)
    except StudioError as error:
        st.caption(shared.escape(str(error)))
        return
    found = changes(record.request, edits[-1].request)
    if not found:
        st.caption("; ".join(shared.escape(edit.words) for edit in edits))
        return
    st.caption("This would change")
    st.markdown("\n".join(f"- {in_words(change)}" for change in found))
    with st.container(horizontal=True):
        if st.button("Make it", key=f"{key}.make", type="primary", help="The same seed with this change"):
            _take(record, edits, run=True)
        if st.button("Only fill in the form", key=f"{key}.correct"):
            _take(record, edits, run=False)


def _take(record: Record, edits: list[Correction], *, run: bool) -> None:
    request = expansion.literal(edits[-1].request)
    try:
        past.accept(record, request, "; ".join(map(str, changes(record.request, request))))
        if run:
            composer.submit(request, shared.session_id())
    except StudioError as error:
        st.error(shared.escape(str(error)), icon=":material/error:")
        return
    composer.open_with(
        request,
        "On its way with your change. Undo brings the old words back."
        if run
        else "Your change is filled in. Press Generate to see it, or Undo.",
    )
    st.switch_page(shared.CREATE)


def _is_rejected(identifier: str) -> bool:
    """Whether the picture of that id, which is there, has just been rejected without a reason yet."""
    record = shared.find(identifier)
    vote = None if record is None else vote_on(record)
    return vote is not None and not vote.approved and not (vote.tags or vote.text)


def vote_on(record: Record) -> Vote | None:
    """The vote on a picture; None where there is none, or none can be read."""
    try:
        return shared.reviews().vote_on(record)
    except StudioError:
        return None  # the vote itself will say what is wrong


def _toggle(record: Record, approved: bool, there: bool) -> None:
    """Votes, or takes the same vote back."""
    select(record.id)
    try:
        if there:
            shared.reviews().withdraw(record)
        else:
            shared.reviews().vote(record, approved=approved)
    except StudioError as error:
        st.session_state[_SAID] = str(error), ":material/error:"
        return
    done = "Vote taken back." if there else "Approved." if approved else "Rejected. Say what is wrong."
    st.session_state[_SAID] = done, ":material/how_to_vote:"
