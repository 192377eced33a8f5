"""Jobs of a session: live while they run, cards when they are over.

The queue works on whether or not anyone looks.
"""

from collections.abc import Sequence

import streamlit as st

from sdxl_lora.jobs.job import Job, Picture
from sdxl_lora.ui import attempts, pictures, shared, votes
from sdxl_lora.ui.counting import number_of

POLL_SECONDS = 0.7
SHOWN_JOBS = 6  # finished strips; everything else is in the gallery
ONE_ROW = 4  # variants side by side at most
VARIANT_WIDTH = 130  # px, the least


def show(session: str) -> bool:
    """Shows the jobs of `session`: what is drawn, what waits, then the finished ones, newest first.

    Jobs of one group are one strip. False when there are none.
    """
    jobs = shared.queue().jobs(session)
    active = [job for job in jobs if job.active]
    if active:
        # polls only while something runs; the last poll re-runs the page, which then no longer calls this
        st.fragment(_live, run_every=POLL_SECONDS)(session, [job.id for job in active])
    finished = [strip for strip in reversed(strips(jobs)) if not _is_active(strip)][:SHOWN_JOBS]
    made = (identifier for strip in finished for job in strip for identifier in job.record_ids)
    votes.bar([identifier for identifier in made if _is_there(identifier)])
    for strip in finished:
        with st.container(key=f"strip-{strip[0].id}"):
            _headline(strip)
            for job in strip:
                _verdict(job)
            _grid(strip)
            for job in strip:
                attempts.show(job)
    return bool(jobs)


def strips(jobs: Sequence[Job]) -> list[list[Job]]:
    """The jobs, those of one group together, in the order of the first of each."""
    found: dict[str, list[Job]] = {}
    for job in jobs:
        found.setdefault(job.spec.group or job.id, []).append(job)
    return list(found.values())


def _is_active(strip: Sequence[Job]) -> bool:
    return any(job.active for job in strip)


def _live(session: str, expected: list[str]) -> None:
    """The jobs that were active when the page ran; a change of which are makes the page run again."""
    with shared.told():
        _active(session, expected)


def _active(session: str, expected: list[str]) -> None:
    jobs = shared.queue().jobs(session)
    if [job.id for job in jobs if job.active] != expected:
        st.rerun()
    for strip in sorted(filter(_is_active, strips(jobs)), key=_turn):
        first = strip[0]
        with st.container(key=f"strip-{first.id}"):
            _headline(strip)
            with st.container(
                horizontal=True,
                horizontal_alignment="distribute",
                vertical_alignment="center",
                key=f"standing-{first.id}",
            ):
                st.caption(shared.escape(standing(strip)))
                if st.button("Cancel", key=f"job.{first.id}.cancel", icon=":material/close:"):
                    for job in strip:
                        shared.queue().cancel(job.id)
                    st.rerun()
            st.progress(sum(job.progress for job in strip) / len(strip))
            _grid(strip)
            for job in strip:
                attempts.show(job)


def _turn(strip: Sequence[Job]) -> int:
    """When a strip is drawn: the one that runs first, whatever was asked for last."""
    return min(0 if job.state == "running" else job.position for job in strip if job.active)


def standing(strip: Sequence[Job]) -> str:
    """Where active jobs stand, in words: place in line, or picture and time left."""
    job = next((job for job in strip if job.state == "running"), None)
    job = job or next((job for job in strip if job.active), strip[0])
    etas = [one.eta for one in strip if one.active]
    eta = None if None in etas else max((eta for eta in etas if eta is not None), default=None)
    most = "at most " if job.searches and job.state == "running" else ""
    left = "" if eta is None else f", {most}{duration(eta)} left"
    done, number = sum(len(one.record_ids) for one in strip), sum(len(one.pictures) for one in strip)
    if not done and job.state == "queued":
        return f"Waiting for {number_of(job.position, 'job')}{left}"
    if not done and job.progress == 0:
        return f"Getting the model ready{left}"
    if job.searches and len(strip) == 1:
        attempt = len(job.pictures[job.drawing].attempts) + 1
        return f"Picture {min(done + 1, number)} of {number}, attempt {attempt}{left}"
    return f"{done} of {number} done{left}"


def duration(seconds: float) -> str:
    """Rounded as people say it: 'a few seconds', 'about 20 s', 'about 3 min'."""
    if seconds < 3:
        return "a few seconds"
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min"


def _headline(strip: Sequence[Job]) -> None:
    with st.container(key=f"headline-{strip[0].id}"):
        if len(strip) == 1:
            st.markdown(shared.escape(strip[0].request.prompt))
        else:
            st.markdown(f"Side by side: {len(strip)} variants")


def _verdict(job: Job) -> None:
    if job.error is not None:
        st.error(shared.escape(job.error or ""), icon=":material/error:")
    elif job.state == "cancelled":
        done = len(job.record_ids)
        kept = f"; the {'one' if done == 1 else done} finished before is kept" if done else ""
        st.caption(f"Cancelled{shared.escape(kept)}.")
    for note in job.notes:
        st.caption(
            shared.escape(note[:1].upper() + note[1:]),
            help="What could not be judged, or is not as it should",
        )


def _grid(strip: Sequence[Job]) -> None:
    """The pictures, in one row where they fit; of variants each says which it is."""
    cells = [(job, picture) for job in strip for picture in job.pictures if job.active or picture.record_id]
    if not cells:
        return
    with st.grid(
        len(cells) if 2 < len(cells) <= ONE_ROW and len(strip) > 1 else "auto",
        min_column_width=VARIANT_WIDTH if len(strip) > 1 else 220,
        key=f"grid-{'variants-' if len(strip) > 1 else ''}{strip[0].id}",
    ):
        for job, picture in cells:
            with st.container():
                if len(strip) > 1:
                    st.markdown(shared.composed(f"**{shared.escape(pictures.name(job.request))}**"))
                _picture(job, picture)


def _is_there(identifier: str) -> bool:
    record = shared.find(identifier)
    return record is not None and record.path.is_file()


def _picture(job: Job, picture: Picture) -> None:
    if picture.record_id is not None:
        record = shared.find(picture.record_id)
        if record is None:
            st.caption("Deleted.")
        else:
            pictures.card(record, f"job.{job.id}")
    elif (preview := shared.queue().preview(job.id, picture.index)) is not None:
        st.image(preview, width="stretch", alt="Preview of the unfinished picture")
        st.caption(f"Step {picture.step:d} of {picture.steps:d}")
    else:
        st.skeleton(height=220)
