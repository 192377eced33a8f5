"""The form of the Edit page: a picture, a tool, a button; and the way back to every step.

The steps themselves are in `edit_steps`.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import streamlit as st

from sdxl_lora import generation
from sdxl_lora.errors import NotFoundError, StudioError
from sdxl_lora.jobs import edits
from sdxl_lora.jobs.edits import Source
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.request import GenerationRequest
from sdxl_lora.ui import edit_steps, edit_tools, shared, slider

_TOOL = "edit.tool"
_FILE = "edit.file"
_UPLOADED = "edit.uploaded"
_PHOTOS = ("png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp")


def begin_with_file(path: Path) -> None:
    """Begins with a picture file. Raises `ImageError`."""
    source = edits.of_bytes(path.read_bytes(), path.name)
    st.session_state[f"edit.source.{source.picture}"] = source
    edit_steps.begin([source.picture])


def begun() -> bool:
    """Whether there is a picture to change."""
    return bool(edit_steps.steps())


def form(session: str) -> None:
    """Draws the page's left side."""
    _take_over(session)
    st.title("Change a picture", anchor=False)
    _begin_with_upload()
    steps = edit_steps.steps()
    if not steps:
        st.file_uploader("A photo to begin with", type=_PHOTOS, key=_FILE)
        st.markdown("Choose a photo here, or **Use as start** of any picture in the studio or the gallery.")
        return
    _way_back(steps)
    try:
        source = _source(steps[edit_steps.place()])
    except StudioError as error:
        st.error(shared.escape(str(error)), icon=":material/error:")
        return
    tools = {tool.name: tool for tool in edit_tools.TOOLS}
    chosen = st.segmented_control(
        "What to do",
        list(tools),
        key=_TOOL,
        default=next(iter(tools)),
        required=True,
        persist_state="session",
    )
    tool = tools[str(chosen)]
    st.caption(shared.escape(tool.help))
    with shared.told():
        wanted = tool.show(source)
        many = None
        if wanted is None or wanted.drawn:
            many = st.segmented_control(
                "How many pictures", range(1, 5), key="edit.count", default=1, required=True
            )
        if st.button(
            "Make it",
            key="edit.make",
            type="primary",
            icon=":material/auto_fix_high:",
            width="stretch",
            disabled=wanted is None,
        ):
            assert wanted is not None  # the button is off without
            _submit(wanted.request(), int(many or 1), session)


def compare(session: str) -> None:
    """Before and after of the step that is looked at."""
    steps = edit_steps.steps()
    if not steps or edit_steps.place() == 0:
        return
    with shared.told():
        before, after = _source(steps[edit_steps.place() - 1]), _source(steps[edit_steps.place()])
        slider.show(before.image(), after.image(), f"edit-{edit_steps.place()}-{after.picture[:8]}")


def keep_up(session: str) -> None:
    """Runs the page again where the job ended while it was drawn: nothing on it waits for that any more."""
    if st.session_state.get(edit_steps.WAITING) is not None and not _is_waiting(session):
        st.rerun()


def _begin_with_upload() -> None:
    """A photo that was just given becomes the first step."""
    file = st.session_state.get(_FILE)
    if file is None or st.session_state.get(_UPLOADED) == file.file_id:
        return
    st.session_state[_UPLOADED] = file.file_id
    with shared.told():
        source = edits.of_bytes(file.getvalue(), file.name)
        st.session_state[f"edit.source.{source.picture}"] = source
        edit_steps.begin([source.picture])
        for note in source.notes:
            st.toast(shared.escape(note))


def _source(step: str) -> Source:
    """The picture of a step. Raises `NotFoundError`, `ImageError`."""
    kept: Source | None = st.session_state.get(f"edit.source.{step}")
    if kept is None:
        record = shared.find(step)
        if record is None:
            raise NotFoundError("this picture was deleted; begin with another")
        kept = edits.of_record(record)
        st.session_state[f"edit.source.{step}"] = kept
    return kept


def _way_back(steps: Sequence[str]) -> None:
    """Undo, redo, another beginning, and where one is."""
    with st.container(horizontal=True, vertical_alignment="center"):
        place = edit_steps.place()
        st.button(
            "Undo",
            key="edit.undo",
            icon=":material/undo:",
            disabled=place == 0,
            on_click=edit_steps.go,
            args=(place - 1,),
        )
        st.button(
            "Redo",
            key="edit.redo",
            icon=":material/redo:",
            disabled=place == len(steps) - 1,
            on_click=edit_steps.go,
            args=(place + 1,),
        )
        with st.popover("Another photo", icon=":material/add_photo_alternate:"):
            st.file_uploader("A photo to begin with", type=_PHOTOS, key=_FILE)
        st.caption(f"Step {place + 1:d} of {len(steps):d}")


def _submit(request: GenerationRequest, count: int, session: str) -> None:
    wanted = replace(request, count=count)
    generation.check(wanted)
    job = shared.queue().submit(JobSpec(request=wanted, user=session))
    st.session_state[edit_steps.WAITING] = job.id
    st.rerun()


def _take_over(session: str) -> None:
    """The first picture of the job that was sent becomes the step that is edited next."""
    if st.session_state.get(edit_steps.WAITING) is None or _is_waiting(session):
        return
    waiting = st.session_state.pop(edit_steps.WAITING)
    made = [job.record_ids for job in shared.queue().jobs(session) if job.id == waiting and job.record_ids]
    if made:
        edit_steps.add(made[0][0])


def _is_waiting(session: str) -> bool:
    """Whether the job that was sent is still at it."""
    waiting = st.session_state.get(edit_steps.WAITING)
    return any(job.active for job in shared.queue().jobs(session) if job.id == waiting)
