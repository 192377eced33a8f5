"""Training: start one, watch it; runs under a folder, their loss, their pictures, which checkpoint is best."""

import contextlib
from itertools import zip_longest
from pathlib import Path

import altair as alt
import pandas as pd
import streamlit as st

from sdxl_lora import later
from sdxl_lora.request import GenerationRequest, LoraSpec
from sdxl_lora.training import runs
from sdxl_lora.ui import composer, shared, trainings, tuning, words

with later.importing():
    from sdxl_lora.ui import checkpoints, new_training

_MEAN = "#4a5bd0"
COMMAND = "bash train_sdxl_lora.sh"
JUDGED = "mini-CLIP cosine"  # what validation pictures are scored with; only runs on mini have scores
EXAMPLE = "a photography of a t-shirt"  # where a run says nothing of what it learned


def use(run: runs.Run, lora: Path) -> None:
    """Puts a LoRA of the run and its base model into the studio's form, whatever is written there already."""
    state, path, model = st.session_state, str(lora), str(run.settings.get(runs.BASE_MODEL, "auto"))
    message = f"The LoRA of {run.name} is on, with the model it was trained on: see Fine-tune."
    if words.PROMPT not in state:  # the studio was not opened yet
        request = GenerationRequest(prompt=run.example or EXAMPLE, model=model, loras=(LoraSpec(path=path),))
        composer.open_with(request, message)
        return
    rows = [str(state.get(f"create.lora.{row}.path", "")).strip() for row in range(tuning.MAX_LORAS)]
    row = rows.index(path) if path in rows else rows.index("") if "" in rows else tuning.MAX_LORAS - 1
    state[f"create.lora.{row}.path"] = path
    state[f"create.lora.{row}.weight"] = 1.0
    state["create.model"] = model
    state["create.message"] = message


def curve(run: runs.Run) -> None:
    """The loss of every update, pale, and its running mean."""
    lines = pd.DataFrame({"loss": dict(run.losses), "running mean": dict(run.smoothed())})
    st.line_chart(lines, x_label="update", y_label="loss", color=["#c9c9d1", _MEAN])


def pictures(run: runs.Run) -> None:
    """The validation pictures of one moment, which a slider chooses, and how the score went."""
    scores = {drawn.step: sum(drawn.scores) / len(drawn.scores) for drawn in run.drawn if drawn.scores}
    steps = [drawn.step for drawn in run.drawn]
    step = steps[-1]
    if len(steps) > 1:
        step = st.select_slider(
            "Validation pictures after update", steps, value=steps[-1], key="training.step"
        )
    drawn = next(item for item in run.drawn if item.step == step)
    score = (
        f", mean {JUDGED} {scores[step]:.4f} (the judge was trained beside mini)" if step in scores else ""
    )
    st.caption(f"After update {step:,}{shared.escape(score)}")
    with st.container(horizontal=True):
        for path, prompt in zip_longest(drawn.pictures, drawn.prompts, fillvalue=""):
            with contextlib.suppress(OSError):  # a run may be deleted while it is looked at
                st.image(Path(path).read_bytes(), caption=shared.escape(prompt), width=240)
    if len(scores) > 1:
        st.altair_chart(points(JUDGED, scores))


def progress(folder: Path) -> None:
    """How a run goes, read anew each time."""
    run = runs.read_run(folder)
    if run.losses:
        curve(run)
    if len(run.validation_losses) > 1:
        held_out(run)
    if run.drawn:
        pictures(run)


def take(run: runs.Run, lora: Path) -> None:
    """Opens the studio with that LoRA."""
    use(run, lora)
    st.switch_page(shared.CREATE)


def held_out(run: runs.Run) -> None:
    """The loss of the pictures that are not trained on: noise and timesteps are the same in every point."""
    losses = dict(run.validation_losses)
    best = min(losses, key=lambda step: losses[step])
    st.caption(
        f"Loss of the pictures that are not trained on, lowest after update {best:,} ({losses[best]:.5f}). "
        "When it rises while the other falls, the pictures are being learned by heart."
    )
    st.altair_chart(points("validation loss", losses))


def points(name: str, values: dict[int, float]) -> alt.Chart:
    """A number over updates; not from 0, where differences could not be seen."""
    table = pd.DataFrame({"update": list(values), name: list(values.values())})
    return (
        alt.Chart(table, height=180)
        .mark_line(point=True, color=_MEAN)
        .encode(x="update:Q", y=alt.Y(f"{name}:Q", scale=alt.Scale(zero=False)))
    )


session = shared.session_id()
st.title("Training", anchor=False)
own = new_training.home() / "runs"
trainings.show()
new_training.show(session, expanded=not runs.list_runs(own) and not shared.queue().jobs(kind="training"))
with st.expander("Runs that were started in a shell", icon=":material/terminal:"):
    folder = st.text_input("Folder with runs", "outputs", key="training.folder", persist_state="session")
    st.caption("A training can be started in a shell, too:")
    st.code(COMMAND, language="bash")
elsewhere = runs.list_runs(Path(folder).expanduser()) if folder.strip() else []
found = list({run.folder: run for run in (*runs.list_runs(own), *elsewhere)}.values())
if not found:
    st.caption("No run yet. The first one shows here as soon as it has begun.")
    st.stop()

chosen = st.selectbox(  # by folder: numbers would keep the name of another folder's run on the screen
    "Run",
    [str(run.folder) for run in found],
    format_func=lambda path: Path(path).name or path,
    key="training.run",
)
run = next((run for run in found if str(run.folder) == chosen), found[0])
state = "finished" if run.finished else "going on, or interrupted"
st.caption(f"{shared.escape(str(run.folder))}: {run.step:,} updates, {shared.escape(state)}")
for problem in run.problems:
    st.warning(f"{shared.escape(problem)}. The rest is shown.", icon=":material/broken_image:")
if not run.losses:
    st.info("No update was made yet: the first line comes when pictures and captions are encoded.")
live = any(job.active and job.title == run.name for job in shared.queue().jobs(kind="training"))
if not run.finished and not live:
    st.button("Read again", key="training.again", icon=":material/refresh:")
if run.lora is not None:
    pressed = st.button(
        "Use in the studio" if run.finished else "Use the newest checkpoint in the studio",
        key="training.use",
        type="primary",
        icon=":material/auto_awesome:",
    )
    if pressed:
        use(run, run.lora)
        st.switch_page(shared.CREATE)
if live:
    st.fragment(progress, run_every=trainings.POLL_SECONDS)(run.folder)
else:
    progress(run.folder)
    checkpoints.show(run, lambda candidate: take(run, candidate.lora))
if run.lora is not None:
    st.markdown("The LoRA, for `--lora` and for other programs:")
    st.code(str(run.lora), language=None)
with st.expander("Settings"):
    st.json(run.settings)
