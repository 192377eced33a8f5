"""How hard to try, and what was tried: a strip of attempts for every picture, each with what became of it."""

from collections.abc import Sequence

import streamlit as st

from sdxl_lora.errors import StudioError
from sdxl_lora.jobs.job import Job
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.search import Attempt
from sdxl_lora.search.levels import LEVELS
from sdxl_lora.ui import shared, why
from sdxl_lora.ui.counting import number_of

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
        st.caption(f"{shared.escape(LEVELS[chosen].says.capitalize())}; the best one is kept.")


def level() -> str:
    """The chosen level; "" = one shot."""
    return _TITLES[st.session_state.get(_LEVEL) or _ONE_SHOT]


def show(job: Job) -> None:
    """The attempts of a job so far, one tile each; their pictures while they are remembered."""
    tried = shared.queue().attempts(job.id)
    if not tried:
        return
    groups = by_picture(tried)
    label = counted(tried)
    with st.expander(
        shared.escape(label),
        icon=":material/repeat:",
        expanded=job.active,
        key=f"tries-{job.id}-{job.active}",
    ):
        for index, group in enumerate(groups):
            if len(job.pictures) > 1:
                st.caption(f"**Picture {index + 1:d}**")
            kept = _kept(job, index, group)
            with st.container(horizontal=True, gap="small", key=f"film-{job.id}-{index}"):
                for attempt in group:
                    place = f"{job.id}.{index}.{attempt.number}"
                    with st.container(width=_TILE, gap="xsmall", key=f"try-{place}"):
                        _attempt(job, group, attempt, kept=attempt is kept, place=place)


def counted(attempts: Sequence[Attempt]) -> str:
    """How many of what kind: "3 attempts", or "6 sketches, 1 whole picture"."""
    sketches = sum(attempt.sketch for attempt in attempts)
    if not sketches:
        return number_of(len(attempts), "attempt")
    whole = len(attempts) - sketches
    return f"{number_of(sketches, 'sketch', 'sketches')}, {number_of(whole, 'whole picture')}"


def by_picture(attempts: Sequence[Attempt]) -> list[list[Attempt]]:
    """Attempts of each picture; their numbers begin anew with every one."""
    groups: list[list[Attempt]] = []
    for attempt in attempts:
        if attempt.number == 1 or not groups:
            groups.append([])
        groups[-1].append(attempt)
    return groups


def _kept(job: Job, index: int, group: Sequence[Attempt]) -> Attempt | None:
    """The attempt that is in the gallery, or None where there is none yet."""
    identifier = job.pictures[index].record_id
    if identifier is None:
        return None
    record = shared.find(identifier)
    if record is None:
        return None  # deleted
    number = record.card.search.kept if record.card.search else 0
    return next((attempt for attempt in group if attempt.number == number), None)


def _attempt(job: Job, group: Sequence[Attempt], attempt: Attempt, *, kept: bool, place: str) -> None:
    if attempt.image is not None:
        st.image(attempt.image, width="stretch", alt=f"Attempt {attempt.number}")
    elif any(one.image is not None for one in group):  # else the pictures are not remembered any more
        with st.container(border=True, key=f"gone-{place}"):  # a square, see style.css
            st.markdown(":material/fast_forward:")
    best = attempt is _best(group)
    badge = " :green-badge[kept]" if kept else " :orange-badge[best so far]" if best and job.active else ""
    sign = ":green[:material/check_circle:] " if attempt.accepted else ""
    words = shared.escape(why.attempt_in_words(attempt))
    kind = ""
    if attempt.sketch:
        kind = "Sketch: "
    elif attempt.finishes:
        kind = f"Sketch {attempt.finishes}, whole: "
    st.caption(
        shared.composed(f"{sign}**{attempt.number}** {kind}{words}{badge}"),
        help=shared.escape(attempt.verdict),
    )
    if attempt.change:
        what = attempt.change.rpartition(" -> ")[2]
        became = "it helped" if attempt.kept else "not kept for later tries"
        st.caption(shared.escape(f"{what}: {became}"), help=shared.escape(attempt.change))
    if attempt.image is not None and not job.active and not kept:
        if attempt.sketch:
            _draw_whole(job, group, attempt, f"attempt.{place}")
        else:
            _accept_anyway(job, group, attempt, f"attempt.{place}")


def _best(group: Sequence[Attempt]) -> Attempt | None:
    """The best whole picture, or the best sketch where there is none yet."""
    best = [attempt for attempt in group if attempt.best]
    return max(best, key=lambda attempt: (not attempt.sketch, attempt.number), default=None)


def _draw_whole(job: Job, group: Sequence[Attempt], attempt: Attempt, key: str) -> None:
    """For a sketch that somebody likes; not where that was done already."""
    if any(one.finishes == attempt.number for one in group):
        return
    if st.button(
        "Draw it whole", key=f"{key}.whole", type="tertiary", help="With all its steps, into the gallery"
    ):
        shared.queue().submit(JobSpec(request=attempt.request, user=job.user))
        st.rerun()


def _accept_anyway(job: Job, group: Sequence[Attempt], attempt: Attempt, key: str) -> None:
    with st.popover("Accept anyway", key=key, type="tertiary", help="Take this one too, and say why"):
        reason = st.text_input("Why this one?", key=f"{key}.reason", max_chars=200)
        if st.button("Keep it", key=f"{key}.keep", type="primary"):
            try:
                shared.front_door().keep(
                    attempt, group, reason=reason.strip() or "chosen by hand", session=job.user
                )
            except StudioError as error:
                st.error(shared.escape(str(error)), icon=":material/error:")
            else:
                st.toast("It is in the gallery.", icon=":material/photo_library:")
