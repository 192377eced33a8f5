"""How hard to try, and what was tried: a strip of attempts, each with what became of it."""

import streamlit as st

from sdxl_lora.errors import StudioError
from sdxl_lora.feedback import Attempt
from sdxl_lora.feedback.levels import LEVELS
from sdxl_lora.serving.attempts import keep
from sdxl_lora.serving.jobs import Job
from sdxl_lora.ui import shared, why

_LEVEL = "create.level"
_ONE_SHOT = "One shot"
_TITLES = {_ONE_SHOT: "", **{level.title: name for name, level in LEVELS.items()}}
_TILE = 116  # px


def choose_level() -> None:
    """The choice of how hard to try."""
    st.session_state.setdefault(_LEVEL, _ONE_SHOT)
    st.segmented_control(
        "How hard to try",
        tuple(_TITLES),
        key=_LEVEL,
        required=True,
        width="stretch",
        persist_state="session",
        help="One shot draws each picture once. "
        + " ".join(f"**{level.title}**: {level.says}." for level in LEVELS.values()),
    )
    chosen = level()
    if chosen:
        st.caption(f"{LEVELS[chosen].says.capitalize()}; the best one is kept.")


def level() -> str:
    """The chosen level; "" = one shot."""
    return _TITLES[st.session_state.get(_LEVEL) or _ONE_SHOT]


def show(job: Job) -> None:
    """The attempts of a job so far, one tile each; their pictures while they are remembered."""
    if not job.attempts:
        return
    number = len(job.attempts)
    label = f"{number} {'attempt' if number == 1 else 'attempts'}"
    with (
        st.expander(label, icon=":material/repeat:", expanded=job.active, key=f"tries-{job.id}-{job.active}"),
        st.container(horizontal=True, gap="small", key=f"film-{job.id}"),
    ):
        for place, attempt in enumerate(job.attempts):
            with st.container(width=_TILE, gap="xsmall", key=f"try-{job.id}-{place}"):
                _attempt(job, place, attempt)


def _attempt(job: Job, place: int, attempt: Attempt) -> None:
    if attempt.image is not None:
        st.image(attempt.image, width="stretch", alt=f"Attempt {attempt.number}")
    sign = ":green[:material/check_circle:]" if attempt.accepted else ""
    best = " :orange-badge[best]" if attempt.best and attempt == _best_of_its_picture(job, place) else ""
    words = shared.escape(why.attempt_in_words(attempt))
    st.caption(f"{sign} **{attempt.number}** {words}{best}", help=shared.escape(attempt.verdict))
    if attempt.change:
        st.caption(shared.escape(f"{'Kept' if attempt.kept else 'Undone'}: {attempt.change}"))
    if attempt.image is not None and not job.active and attempt != _best_of_its_picture(job, place):
        _accept_anyway(job, place, attempt)


def _best_of_its_picture(job: Job, place: int) -> Attempt | None:
    """The last attempt marked as best among those at the same picture; numbers begin anew with each picture."""
    first = place - job.attempts[place].number + 1
    found = None
    for attempt in job.attempts[first:]:
        if attempt.number == 1 and found is not None:
            break
        found = attempt if attempt.best or found is None else found
    return found


def _accept_anyway(job: Job, place: int, attempt: Attempt) -> None:
    key = f"attempt.{job.id}.{place}"
    with st.popover("Accept anyway", key=key, type="tertiary", help="Take this one instead, and say why"):
        reason = st.text_input("Why this one?", key=f"{key}.reason", max_chars=200)
        if st.button("Keep it", key=f"{key}.keep", type="primary"):
            try:
                keep(
                    shared.studio(),
                    attempt,
                    [attempt],
                    reason=reason.strip() or "chosen by hand",
                    session=job.session,
                )
            except StudioError as error:
                st.error(str(error), icon=":material/error:")
            else:
                st.toast("It is in the gallery.", icon=":material/photo_library:")
