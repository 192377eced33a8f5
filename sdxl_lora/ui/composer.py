"""The composer: words and settings on the page, into one request and back again."""

import hashlib
import secrets
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import streamlit as st

from sdxl_lora import generation, later
from sdxl_lora.errors import StudioError
from sdxl_lora.jobs.spec import Effort, JobSpec
from sdxl_lora.records import metadata
from sdxl_lora.request import GenerationRequest, expansion
from sdxl_lora.ui import attempts, branding, enrich, past, shared, tokens, tuning, words

MAX_COUNT = 8  # pictures at once on the page; the command line allows more
MAX_EXPANDED = 32  # pictures of a prompt with choices in it
START_COUNT = 2
RECENT_JOBS = 12  # whose pictures may not hang in the history yet
_RECALLED = "create.recalled"
_COUNT = "create.count"
_RESTORED = "create.restored_file"  # digest of the picture whose settings were taken over last


def open_with(request: GenerationRequest, message: str = "") -> None:
    """Fills every field from `request` at the next run, in which the widgets can still be set."""
    st.session_state[_RECALLED] = request
    st.session_state["create.message"] = message


def show(session: str) -> None:
    """Draws the composer; pressing Generate puts a job in the queue."""
    state = st.session_state
    state.setdefault(_COUNT, START_COUNT)
    past.attach(shared.queue().jobs(session)[-RECENT_JOBS:])
    if words.PROMPT not in state and (history := past.current()).steps:  # a reload: on where it stopped
        state.setdefault(_RECALLED, history.current.request)
    if _RECALLED in state:
        _restore(state.pop(_RECALLED))
    undone = _head()
    # what is sent stands first, with room for it from the beginning; what sends it stays in sight, see style.css
    line, send = st.container(key="composer-words"), st.container(key="generate")
    with send:
        problem = st.container()
        pressed = st.button(
            "Generate",
            key="composer-generate",
            type="primary",
            icon=":material/auto_awesome:",
            width="stretch",
            shortcut="Ctrl+Enter",
        )
    shared.let_browser_draw()
    said = words.show(line)
    with line:
        tokens.show(words.FIELD, said, str(state.get("create.model") or "auto"), int(state[_COUNT]))
        _how_many_and_how_hard()
    with st.expander("Brand and logo", icon=":material/branding_watermark:"):
        branding.show()
    with st.expander("Fine-tune", icon=":material/tune:"):
        tuning.show()
    richer = enrich.show(said.prompt)
    with st.expander("Take over the settings of an earlier picture", icon=":material/image_search:"):
        _recall()
    chosen = past.show()
    if message := state.pop("create.message", ""):
        with line:
            st.success(shared.escape(message), icon=":material/tune:")
    if pressed:
        try:
            with problem, _patience():
                submit(branding.branded(_request(said)), session)
        except StudioError as error:
            problem.error(shared.escape(str(error)), icon=":material/error:")
    if undone:
        _undo(said)
    if richer is not None:
        _enrich(said, richer)
    if chosen is not None:
        open_with(chosen, "Back to an earlier step. Press Generate to go on from here.")
        st.rerun()


def _how_many_and_how_hard() -> None:
    with st.container(horizontal=True, key="effort"):  # side by side where there is room, see style.css
        st.segmented_control(
            "How many pictures",
            range(1, MAX_COUNT + 1),
            key=_COUNT,
            required=True,
            width="stretch",
            persist_state="session",
        )
        attempts.choose_level()


def _patience() -> AbstractContextManager[None]:
    """Says why nothing happens, while what draws is still being imported after the start."""
    return (
        st.spinner("The studio has just started and gets ready to draw") if later.coming() else nullcontext()
    )


def count() -> int:
    """How many pictures are asked for at the moment."""
    return int(st.session_state.get(_COUNT) or START_COUNT)


def submit(request: GenerationRequest, session: str) -> None:
    """Checks what can be checked without a model, and puts `request` in the queue. Raises `StudioError`."""
    send(expansion.each(request, MAX_EXPANDED), session, Effort(level=attempts.level()))
    past.note(request)


def send(requests: Sequence[GenerationRequest], session: str, effort: Effort) -> None:
    """Puts the requests in the queue, to be shown side by side; all or, if one of them is wrong, none."""
    for one in requests:
        generation.check(one)
    group = secrets.token_hex(6) if len(requests) > 1 else ""
    for one in requests:
        shared.queue().submit(JobSpec(request=one, effort=effort, user=session, group=group))


def _head() -> bool:
    """Title and undo; True when undo was pressed."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.title("Make a picture", anchor=False)
        shared.choose_view()
        history = past.current()
        if len(history.steps) < 2:
            return False
        step = history.current
        return st.button(
            "Undo",
            key="create.undo",
            icon=":material/undo:",
            shortcut="U",
            disabled=step.parent is None,
            help=f"Takes back: {shared.escape(step.words)}" if step.words else "Back to the step before",
        )


def _undo(said: words.Words) -> None:
    try:
        unsent = _request(said)
    except StudioError:
        unsent = None  # what cannot be sent cannot be a step either
    before = past.undo(unsent)
    if before is not None:
        open_with(before, "Undone. The step is still in the history.")
    st.rerun()


def _enrich(said: words.Words, prompt: str) -> None:
    """Takes richer words, as a step that can be undone."""
    try:
        request = _request(said)
        past.note(request)
        open_with(replace(request, prompt=prompt, template=""), "The richer words are filled in.")
        past.note(replace(request, prompt=prompt, template=""), "Richer words")
    except StudioError as error:
        st.error(shared.escape(str(error)), icon=":material/error:")
        return
    st.rerun()


def _request(said: words.Words) -> GenerationRequest:
    """What the form says now. Raises `InputError`."""
    request = GenerationRequest(
        prompt=said.prompt,
        template=said.template,
        slots=said.slots,
        count=st.session_state[_COUNT],
        **tuning.values(),
    )
    return branding.with_logos(request)


def _restore(request: GenerationRequest) -> None:
    words.restore(request)
    branding.restore(request)
    if notes := tuning.restore(request):
        st.session_state["create.message"] = " ".join([st.session_state.get("create.message", ""), *notes])
    if request.count > 1:
        st.session_state[_COUNT] = min(request.count, MAX_COUNT)


def _recall() -> None:
    """A dropped picture restores every setting it was made with."""
    file = st.file_uploader(
        "Drop a PNG made here, or by AUTOMATIC1111: every setting comes back.",
        type=["png", "jpg", "jpeg", "webp"],
        key="create.file",
    )
    if file is None:
        st.session_state.pop(_RESTORED, None)
        return
    digest = hashlib.sha256(file.getvalue()).hexdigest()
    if st.session_state.get(_RESTORED) == digest:
        return
    try:
        facts = metadata.read(file)
    except StudioError as error:
        st.error(shared.escape(str(error)), icon=":material/error:")
        return
    st.session_state[_RESTORED] = digest
    open_with(
        expansion.literal(facts.request),
        " ".join([f"All settings of {file.name} are filled in.", *facts.notes]),
    )
    st.rerun()
