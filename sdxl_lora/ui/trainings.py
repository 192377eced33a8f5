"""Trainings as jobs: where they stand, stop, go on."""

import streamlit as st

from sdxl_lora.errors import StudioError
from sdxl_lora.jobs.job import Job
from sdxl_lora.ui import feed, shared
from sdxl_lora.ui.counting import number_of

POLL_SECONDS = 2.0
SHOWN = 5


def show() -> None:
    """Everybody's: there is one device for all."""
    jobs = shared.queue().jobs(kind="training")
    active = [job.id for job in jobs if job.active]
    if active:
        st.fragment(_live, run_every=POLL_SECONDS)(active)
    for job in [job for job in reversed(jobs) if not job.active][:SHOWN]:
        if job.state != "done":
            _over(job)


def _live(expected: list[str]) -> None:
    """What waits or runs; a change of which makes the page run again."""
    with shared.told():
        jobs = [job for job in shared.queue().jobs(kind="training") if job.active]
        if [job.id for job in jobs] != expected:
            st.rerun()
        for job in jobs:
            with st.container(border=True, key=f"training-{job.id}"):
                with st.container(
                    horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
                ):
                    st.markdown(
                        shared.composed(f"**{shared.escape(job.title)}**: {shared.escape(standing(job))}")
                    )
                    if st.button(
                        "Stop",
                        key=f"training.{job.id}.stop",
                        icon=":material/stop_circle:",
                        help="What was learned so far is kept, and it can go on from there",
                    ):
                        shared.queue().cancel(job.id)
                        st.rerun(scope="fragment")
                st.progress(job.progress)
                for note in job.notes:
                    st.caption(shared.escape(note[:1].upper() + note[1:]))


def standing(job: Job) -> str:
    """Where a training stands, in words."""
    picture = job.pictures[0]
    left = "" if job.eta is None else f", {feed.duration(job.eta)} left"
    if job.state == "queued":
        return f"waits for {number_of(job.position, 'job')}{left}"
    if not picture.step:
        return "getting pictures and model ready"
    return f"{picture.step:,} of {picture.steps:,} updates{left}"


def _over(job: Job) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"training-{job.id}"):
        if job.error is not None:
            st.error(shared.escape(f"{job.title}: {job.error}"), icon=":material/error:")
        else:
            step = job.pictures[0].step
            st.caption(shared.escape(f"{job.title} was stopped after {step:,} updates."))
        if st.button("Go on", key=f"training.{job.id}.retry", icon=":material/play_arrow:"):
            try:
                shared.queue().retry(job.id)
            except StudioError as error:
                st.error(shared.escape(str(error)), icon=":material/error:")
            else:
                st.rerun()
