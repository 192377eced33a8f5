"""The history of what was asked for, as a tree on the page: undo, and going back to any step.

A step is added whenever something new is sent or a proposed change is taken; pictures hang on the step they were made
from. It is kept on disk, so that a reload loses none of it.
"""

import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from sdxl_lora.errors import StudioError
from sdxl_lora.feedback.changes import alike, changes
from sdxl_lora.feedback.history import History
from sdxl_lora.generation import tokens
from sdxl_lora.jobs.job import Job
from sdxl_lora.records import Record
from sdxl_lora.request import GenerationRequest, expansion
from sdxl_lora.ui import shared

SHOWN_PICTURES = 4  # of one step
DEEPEST = 5  # indents of the tree; a phone is narrow


def current() -> History:
    """The history of this session."""
    return shared.histories().read(shared.session_id())


def note(request: GenerationRequest, words: str = "") -> None:
    """`request` is a step now, below the one before; `words`: what changed, if it is known better than by looking."""
    history = current()
    if history.steps and not words:
        words = _difference(history.current.request, request)
    _keep(history.change(request, words))


def accept(record: Record, request: GenerationRequest, words: str) -> None:
    """A change of the words of a picture was taken: a branch of the step that the picture was made from."""
    history = current()
    origin = history.find(record.request)
    history = history.change(record.request, "") if origin is None else history.go_to(origin)
    _keep(history.change(request, words))


def undo(unsent: GenerationRequest | None) -> GenerationRequest | None:
    """Goes back one step; what was not sent yet (`unsent`) becomes a step first, so that it is not lost.

    The request to go on with, or None where there is nothing to undo.
    """
    history = current()
    if not history.steps:
        return None
    if unsent is not None and not alike(history.current.request, unsent):
        words = _difference(history.current.request, unsent)
        history = history.change(unsent, words)
    if history.current.parent is None:
        return None
    history = history.undo()
    _keep(history)
    return history.current.request


def attach(jobs: Sequence[Job]) -> None:
    """Hangs the pictures of these jobs on the steps they were made from."""
    before = history = current()
    for job in jobs:
        at = _origin(history, job.request)
        if at is not None and job.record_ids:
            history = history.made(*job.record_ids, at=at)
    if history != before:
        _keep(history)


def _difference(before: GenerationRequest, after: GenerationRequest) -> str:
    """What is new, in words; of a sentence that is new as a whole, only that one."""
    new = (c.after if c.before == before.prompt else str(c) for c in changes(before, after))
    return "; ".join(new)


def _origin(history: History, request: GenerationRequest) -> int | None:
    """The latest step that a request was sent from: the same wish, or one whose choices have it among them."""
    at = history.find(request)
    if at is not None:
        return at
    for index, step in reversed(list(enumerate(history.steps))):
        if alike(replace(step.request, prompt=request.prompt), request):
            try:
                variants = itertools.islice(expansion.expand(step.request), tokens.LOOKED_AT)
            except StudioError:  # never sent: it was typed, and undone
                continue
            if any(request.prompt == variant.prompt for variant in variants):
                return index
    return None


def show() -> GenerationRequest | None:
    """Draws the tree; returns the request of the step that was chosen, if one was."""
    history, chosen = current(), None
    if len(history.steps) < 2:
        return None
    with st.expander(f"History: {len(history.steps)} steps", icon=":material/account_tree:", key="history"):
        for depth, index in history.outline():
            if _step(history, index, min(depth, DEEPEST)):
                history = history.go_to(index)
                _keep(history)
                chosen = history.current.request
    return chosen


def _step(history: History, index: int, depth: int) -> bool:
    """One row: what changed, and the pictures it gave. True when it was chosen."""
    step, here = history.steps[index], index == history.at
    title = shared.escape(_title(step.words or step.request.prompt))
    with st.container(key=f"step-{depth}-{index}", gap="xsmall"):  # indented, see style.css
        pressed = st.button(
            shared.composed(f"**{title}**" if here else title),
            key=f"history.{index}",
            type="tertiary",
            icon=":material/radio_button_checked:" if here else ":material/radio_button_unchecked:",
            help="You are here" if here else "Back to this step",
            wrap=True,
        )
        thumbnails = _thumbnails(step.records)
        if thumbnails:
            st.image(thumbnails, width=56, alt=[step.request.prompt] * len(thumbnails))
    return pressed and not here


def _title(words: str) -> str:
    return words if len(words) <= 90 else words[:88].rstrip() + " …"


def _thumbnails(records: Sequence[str]) -> list[bytes]:
    found = []
    for identifier in records[-SHOWN_PICTURES:]:
        record = shared.find(identifier)
        if record is None:
            continue  # deleted
        with contextlib.suppress(OSError):  # its file is gone
            found.append(shared.store().thumbnail(record).read_bytes())
    return found


def _keep(history: History) -> None:
    with shared.toasted():
        shared.histories().keep(shared.session_id(), history)
