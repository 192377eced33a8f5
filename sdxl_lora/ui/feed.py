"""Jobs of a session: live while they run, cards when they are over.

The queue works on whether or not anyone looks.
"""

import streamlit as st

from sdxl_lora.jobs.job import Job, Picture
from sdxl_lora.ui import attempts, pictures, shared, votes

POLL_SECONDS = 0.7
SHOWN_JOBS = 6  # finished ones; everything else is in the gallery


def show(session: str) -> bool:
    """Shows the jobs of `session`: what is drawn, what waits, then the finished ones, newest first.

    False when there are none.
    """
    jobs = shared.queue().jobs(session)
    active = [job for job in jobs if job.active]
    if active:
        # polls only while something runs; the last poll re-runs the page, which then no longer calls this
        st.fragment(_live, run_every=POLL_SECONDS)(session, [job.id for job in active])
    finished = [job for job in reversed(jobs) if not job.active][:SHOWN_JOBS]
    votes.bar([identifier for job in finished for identifier in job.record_ids if _is_there(identifier)])
    for job in finished:
        with st.container(key=f"strip-{job.id}"):
            _headline(job)
            _verdict(job)
            _grid(job)
            attempts.show(job)
    return bool(jobs)


def _live(session: str, expected: list[str]) -> None:
    """The jobs that were active when the page ran; a change of which are makes the page run again."""
    with shared.told():
        _active(session, expected)


def _active(session: str, expected: list[str]) -> None:
    active = [job for job in shared.queue().jobs(session) if job.active]
    if [job.id for job in active] != expected:
        st.rerun()
    for job in sorted(
        active, key=lambda job: (job.state != "running", job.position)
    ):  # what is drawn, on top
        with st.container(key=f"strip-{job.id}"):
            _headline(job)
            with st.container(
                horizontal=True,
                horizontal_alignment="distribute",
                vertical_alignment="center",
                key=f"standing-{job.id}",
            ):
                st.caption(shared.escape(standing(job)))
                if st.button("Cancel", key=f"job.{job.id}.cancel", icon=":material/close:"):
                    shared.queue().cancel(job.id)
                    st.rerun()
            st.progress(job.progress)
            _grid(job)
            attempts.show(job)


def standing(job: Job) -> str:
    """Where an active job stands, in words: place in line, or picture and time left."""
    most = "at most " if job.searches and job.state == "running" else ""
    left = "" if job.eta is None else f", {most}{duration(job.eta)} left"
    if job.state == "queued":
        return f"Waiting for {job.position} {'job' if job.position == 1 else 'jobs'}{left}"
    if job.progress == 0:
        return f"Getting the model ready{left}"
    done = len(job.record_ids)
    if job.searches:
        attempt = len(job.pictures[job.drawing].attempts) + 1
        return f"Picture {min(done + 1, len(job.pictures))} of {len(job.pictures)}, attempt {attempt}{left}"
    return f"{done} of {len(job.pictures)} done{left}"


def duration(seconds: float) -> str:
    """Rounded as people say it: 'a few seconds', 'about 20 s', 'about 3 min'."""
    if seconds < 3:
        return "a few seconds"
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min"


def _headline(job: Job) -> None:
    with st.container(key=f"headline-{job.id}"):
        st.markdown(shared.escape(job.request.prompt))


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


def _grid(job: Job) -> None:
    shown = [picture for picture in job.pictures if job.active or picture.record_id]
    if not shown:
        return
    with st.grid(min_column_width=220, key=f"grid-{job.id}"):
        for picture in shown:
            with st.container():
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
