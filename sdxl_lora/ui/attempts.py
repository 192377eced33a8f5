"""How hard to try, what was tried, and why: the loop on the page."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from sdxl_lora.errors import StudioError
from sdxl_lora.feedback import Attempt
from sdxl_lora.feedback.levels import LEVELS
from sdxl_lora.records import Record
from sdxl_lora.serving.attempts import keep
from sdxl_lora.serving.jobs import Job
from sdxl_lora.ui import shared

_LEVEL = "create.level"
_ONE_SHOT = "One shot"
_TITLES = {_ONE_SHOT: "", **{level.title: name for name, level in LEVELS.items()}}
_STATES = {True: ":material/check:", False: ":material/close:", None: ":material/question_mark:"}


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


def level() -> str:
    """The chosen level; "" = one shot."""
    return _TITLES[st.session_state.get(_LEVEL) or _ONE_SHOT]


def show(job: Job) -> None:
    """The attempts of a job so far, one line each; their pictures too while they are remembered."""
    if not job.attempts:
        return
    with st.expander(f"{len(job.attempts)} attempts", icon=":material/repeat:", expanded=job.active):
        for place, attempt in enumerate(job.attempts):
            _attempt(job, place, attempt)


def why(record: Record, key: str) -> None:
    """Why a recorded picture was taken: its attributes, checks, and what the loop changed."""
    findings = record.scores.get("attributes", {}).get("findings", ())
    tried = record.scores.get("attempts", {})
    if not findings and not tried:
        return
    with st.popover("Why", icon=":material/help:", key=f"{key}.why"):
        _bars(findings)
        _gates(tried.get("gates", ()))
        for entry in tried.get("log", ()):
            if entry["change"]:
                st.caption(shared.escape(f"{entry['change']} ({'kept' if entry['kept'] else 'undone'})"))
        if tried.get("reason"):
            st.caption(shared.escape(f"Kept by hand: {tried['reason']}"))


def _attempt(job: Job, place: int, attempt: Attempt) -> None:
    sign = ":material/check:" if attempt.accepted else ":material/arrow_forward:"
    best = " **best so far**" if attempt.best else ""
    st.markdown(f"{sign} {attempt.number}: {shared.escape(attempt.verdict)}{best}")
    if attempt.change:
        st.caption(shared.escape(attempt.change))
    if attempt.image is not None and not job.active:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.image(attempt.image, width=96, alt=f"Attempt {attempt.number}")
            _accept_anyway(job, place, attempt)


def _accept_anyway(job: Job, place: int, attempt: Attempt) -> None:
    key = f"attempt.{job.id}.{place}"
    with st.popover("Accept anyway", key=key):
        reason = st.text_input("Why this one?", key=f"{key}.reason", max_chars=200)
        if st.button("Keep it", key=f"{key}.keep", type="primary"):
            try:
                keep(
                    shared.studio(),
                    attempt,
                    [attempt],
                    reason=reason or "chosen by hand",
                    session=job.session,
                )
            except StudioError as error:
                st.error(str(error), icon=":material/error:")
            else:
                st.toast("It is in the gallery.", icon=":material/photo_library:")


def _bars(findings: Sequence[Mapping[str, Any]]) -> None:
    for found in findings:
        probability, rival = found["probability"], found["rival_probability"]
        if probability is None:
            continue
        words = f"{found['attribute']}: {found['wanted']} {probability:.0%}"
        if rival is not None and rival > probability:
            words += f", more like {found['rival']} ({rival:.0%})"
        st.progress(min(max(float(probability), 0.0), 1.0), text=shared.escape(words))


def _gates(gates: Sequence[Mapping[str, Any]]) -> None:
    for gate in gates:
        st.markdown(f"{_STATES[gate['passed']]} {gate['name']}: {shared.escape(gate['reason'])}")
