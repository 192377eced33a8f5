"""The composer: words and settings on the page, into one request and back again."""

import hashlib
from dataclasses import replace

import streamlit as st

from sdxl_lora import generation, prompts
from sdxl_lora.config import GenerationRequest
from sdxl_lora.errors import PromptError, StudioError
from sdxl_lora.records import metadata
from sdxl_lora.ui import attempts, shared, tuning, words

MAX_COUNT = 8  # pictures at once on the page; the command line allows more
MAX_EXPANDED = 32  # pictures of a prompt with choices in it
START_COUNT = 2
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
    st.title("Make a picture", anchor=False)
    if _RECALLED in state:
        _restore(state.pop(_RECALLED))
    if message := state.pop("create.message", ""):
        st.success(message, icon=":material/tune:")
    said = words.show()
    st.segmented_control(
        "How many pictures",
        range(1, MAX_COUNT + 1),
        key=_COUNT,
        required=True,
        width="stretch",
        persist_state="session",
    )
    attempts.choose_level()
    with st.expander("Fine-tune", icon=":material/tune:"):
        tuning.show()
    with st.expander("Start from an earlier picture", icon=":material/image_search:"):
        _recall()
    with st.container(key="generate"):  # stays in sight, see style.css
        problem = st.container()
        pressed = st.button(
            "Generate",
            key="composer-generate",
            type="primary",
            icon=":material/auto_awesome:",
            width="stretch",
            shortcut="Ctrl+Enter",
        )
    if pressed:
        try:
            request = GenerationRequest(
                prompt=said.prompt,
                template=said.template,
                slots=said.slots,
                count=state[_COUNT],
                **tuning.values(),
            )
            submit(request, session)
            st.toast(
                "On its way: the pictures appear beside or below the form.", icon=":material/auto_awesome:"
            )
        except StudioError as error:
            problem.error(str(error), icon=":material/error:")


def count() -> int:
    """How many pictures are asked for at the moment."""
    return int(st.session_state.get(_COUNT) or START_COUNT)


def submit(request: GenerationRequest, session: str) -> None:
    """Checks what can be checked without a model, and puts `request` in the queue. Raises `StudioError`."""
    requests = [replace(request, prompt=prompt) for prompt in _expanded(request)]
    for one in requests:
        generation.resolve(one)
    for one in requests:
        shared.queue().submit(one, session, level=attempts.level())


def _expanded(request: GenerationRequest) -> list[str]:
    """Every prompt that `{a|b}` and `__list__` stand for. Raises `PromptError` where that is too many pictures."""
    expansion = prompts.expand(request.prompt)
    if expansion.count * request.count > MAX_EXPANDED:
        raise PromptError(
            f"this prompt stands for {expansion.count:,} prompts; at {request.count} pictures each that is more than"
            f" the {MAX_EXPANDED} that are made at once"
        )
    return list(expansion)


def _restore(request: GenerationRequest) -> None:
    words.restore(request)
    tuning.restore(request)
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
        st.error(str(error), icon=":material/error:")
        return
    st.session_state[_RESTORED] = digest
    open_with(facts.request, " ".join([f"All settings of {file.name} are filled in.", *facts.notes]))
    st.rerun()
