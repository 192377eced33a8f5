"""Which checkpoint is best: every checkpoint draws the same prompts, a judge scores them, and the best one is named."""

from collections.abc import Callable, Mapping

import streamlit as st

from sdxl_lora.comparing import checkpoints
from sdxl_lora.comparing.checkpoints import Candidate, Cell, Verdict
from sdxl_lora.errors import StudioError
from sdxl_lora.jobs.job import Job
from sdxl_lora.training import runs
from sdxl_lora.ui import feed, shared
from sdxl_lora.ui.counting import number_of

POLL_SECONDS = 2.0
MOST_PROMPTS = 3
_ASKED = "training.checkpoints"  # run's folder -> (candidate's step, prompt) -> job


def show(run: runs.Run, use: Callable[[Candidate], None]) -> None:
    """Offers the comparison, and shows it once it was asked for; `use` puts one into the studio."""
    found = checkpoints.candidates(run.folder, run.step)
    if not found:
        return
    st.subheader("Which checkpoint is best?", anchor=False)
    prompts = _prompts(run)
    text = st.text_area(
        "Drawn by every checkpoint, one prompt a line", "\n".join(prompts), key=f"training.grid.{run.folder}"
    )
    wanted = [line.strip() for line in text.splitlines() if line.strip()][:MOST_PROMPTS]
    pictures = len(found) * len(wanted) * checkpoints.SEEDS
    asked: dict[str, dict[tuple[int, int], str]] = st.session_state.setdefault(_ASKED, {})
    if wanted and st.button(
        f"Compare {number_of(len(found), 'checkpoint')}: {pictures:d} pictures",
        key="training.grid.start",
        icon=":material/grid_view:",
    ):
        model = str(run.settings.get(runs.BASE_MODEL, "auto"))
        try:
            specs = checkpoints.specs(found, wanted, model=model, user="checkpoints")
            jobs = shared.queue().submit_all(list(specs.values()))
        except StudioError as error:
            st.error(shared.escape(str(error)), icon=":material/error:")
            return
        places = [(candidate.step, prompt) for candidate, prompt in specs]
        asked[str(run.folder)] = {place: job.id for place, job in zip(places, jobs, strict=True)}
    if (ids := asked.get(str(run.folder))) is not None:
        jobs_now = _jobs(ids)
        busy = any(job.active for job in jobs_now.values())
        st.fragment(_grid, run_every=POLL_SECONDS if busy else None)(found, wanted, ids, use, busy)


def _prompts(run: runs.Run) -> list[str]:
    said = [prompt for drawn in run.drawn for prompt in drawn.prompts]
    return list(dict.fromkeys(said or filter(None, [run.example])))[:MOST_PROMPTS]


def _jobs(ids: Mapping[tuple[int, int], str]) -> dict[tuple[int, int], Job]:
    found = {place: shared.queue().get(job_id) for place, job_id in ids.items()}
    return {place: job for place, job in found.items() if job is not None}


def _grid(
    found: list[Candidate],
    prompts: list[str],
    ids: dict[tuple[int, int], str],
    use: Callable[[Candidate], None],
    was_busy: bool,
) -> None:
    with shared.told():
        jobs = _jobs(ids)
        active = [job for job in jobs.values() if job.active]
        if was_busy and not active:
            st.rerun()
        done = sum(len(job.record_ids) for job in jobs.values())
        if active:
            total = sum(len(job.pictures) for job in jobs.values())
            etas = [job.eta for job in active]
            left = (
                "" if None in etas else f", {feed.duration(max(eta for eta in etas if eta is not None))} left"
            )
            st.progress(done / max(1, total), text=f"{done} of {total} pictures{left}")
        for error in {job.error for job in jobs.values() if job.error}:
            st.error(shared.escape(str(error)), icon=":material/error:")
        judges: set[str] = set()
        scores = {candidate: _scores(candidate, jobs, judges) for candidate in found}
        if not active and (verdict := checkpoints.verdict(scores)) is not None:
            _say(verdict, ", ".join(sorted(judges)), use)
        _table(found, prompts, jobs, scores)


def _scores(candidate: Candidate, jobs: Mapping[tuple[int, int], Job], judges: set[str]) -> dict[Cell, float]:
    cells: dict[Cell, float] = {}
    for (step, prompt), job in jobs.items():
        if step != candidate.step:
            continue
        for picture in job.pictures:
            record = shared.find(picture.record_id) if picture.record_id else None
            if record is not None and record.card.scored:
                judges.add(record.card.scorer)
                cells[prompt, picture.index] = record.card.score
    return cells


def _say(verdict: Verdict, judge: str, use: Callable[[Candidate], None]) -> None:
    """The best one, and how sure that is."""
    words = (
        f"**{shared.escape(verdict.best.name)}** is best: {shared.escape(f'{verdict.mean:.3f}')} on average"
    )
    words += f" by {shared.escape(judge)}"
    difference = verdict.difference
    if verdict.second is not None and difference is not None:
        words += f", {shared.escape(f'{difference.mean:.3f}')} more than {shared.escape(verdict.second.name)}"
        if difference.ci95 is not None:
            low, high = difference.ci95
            words += shared.escape(f" (95 % interval {low:.3f} to {high:.3f}, {difference.n} pictures each)")
        else:
            words += shared.escape(f" ({difference.n} pictures each, too few for an interval)")
        words += ". " + (
            "Chance alone would rarely do that."
            if verdict.sure
            else "That may be chance: look at the pictures, or take the earlier one."
        )
    (st.success if verdict.sure else st.info)(shared.composed(words), icon=":material/emoji_events:")
    if "mini" in judge:
        st.caption(
            "The judge was trained beside mini: it knows such pictures, and may share its blind spots."
        )
    if st.button(
        "Use the best in the studio", key="training.grid.use", type="primary", icon=":material/auto_awesome:"
    ):
        use(verdict.best)


def _table(
    found: list[Candidate],
    prompts: list[str],
    jobs: Mapping[tuple[int, int], Job],
    scores: Mapping[Candidate, Mapping[Cell, float]],
) -> None:
    for prompt, words in enumerate(prompts):
        st.markdown(shared.escape(words))
        with st.grid(min(len(found), 5), min_column_width=130, key=f"grid-checkpoints-{prompt}"):
            for candidate in found:
                with st.container():
                    st.caption(shared.escape(candidate.name))
                    own = [score for (place, _), score in scores[candidate].items() if place == prompt]
                    job = jobs.get((candidate.step, prompt))
                    record = shared.find(job.record_ids[0]) if job is not None and job.record_ids else None
                    if record is None:
                        st.skeleton(height=130)
                        continue
                    path = shared.store().thumbnail(record)
                    st.image(str(path), width="stretch", alt=f"{candidate.name}: {words}")
                    if own:
                        st.caption(shared.escape(f"mean of {len(own)}: {sum(own) / len(own):.3f}"))
