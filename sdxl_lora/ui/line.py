"""The line as a drawer: what runs and waits, for whom, how long, and a way to stop one's own."""

import streamlit as st

from sdxl_lora.jobs.job import Job
from sdxl_lora.ui import feed, shared, trainings

POLL_SECONDS = 2.0
SHOWN = 20  # rows


def show(session: str) -> None:
    """Nothing while nothing waits or runs, so that it is in nobody's way."""
    jobs = _active()
    if jobs:
        with st.popover(f"In line: {len(jobs):d}", icon=":material/queue:", key="line"):
            st.fragment(_rows, run_every=POLL_SECONDS)(session)


def _active() -> list[Job]:
    """What runs, then what waits, in its order."""
    jobs = [job for job in shared.queue().jobs(kind=None) if job.active]
    return sorted(jobs, key=lambda job: (job.state != "running", job.position))


def _rows(session: str) -> None:
    with shared.told():
        jobs = _active()
        if not jobs:
            st.caption("Nothing waits or runs any more.")
        for job in jobs[:SHOWN]:
            with st.container(horizontal=True, vertical_alignment="center", key=f"line-{job.id}"):
                # what others write is theirs
                what = job.title if job.user == session or job.spec.training else "Somebody else's pictures"
                where = trainings.standing(job) if job.spec.training else feed.standing([job])
                st.markdown(shared.composed(f"{shared.escape(what[:80])}  \n*{shared.escape(where)}*"))
                if job.user == session and st.button(
                    "Cancel", key=f"line.{job.id}.cancel", icon=":material/close:"
                ):
                    shared.queue().cancel(job.id)
                    st.rerun(scope="fragment")
        if len(jobs) > SHOWN:
            st.caption(f"and {len(jobs) - SHOWN:d} more")
