"""Training: runs under a folder, their loss, their pictures over time, their settings. It never starts a training."""

from pathlib import Path

import pandas as pd
import streamlit as st

from sdxl_lora.training import runs

COMMAND = "bash train_sdxl_lora.sh"

st.title("Training", anchor=False)
folder = st.text_input("Folder with runs", "outputs", key="training.folder", persist_state="session")
found = runs.list_runs(Path(folder).expanduser()) if folder.strip() else []
if not found:
    with st.container(key="empty"):
        st.subheader("No run in this folder", anchor=False)
        st.markdown("A training is started in a shell; this page shows how it goes while it runs and after:")
        st.code(COMMAND, language="bash")
    st.stop()

run = found[
    st.selectbox(
        "Run",
        range(len(found)),
        format_func=lambda number: f"{found[number].name}, {found[number].step} updates",
        key="training.run",
    )
]
state = "finished" if run.finished else "going on, or interrupted"
st.caption(f"{run.folder}: {run.step} updates, {state}")
if run.losses:
    lines = pd.DataFrame({"loss": dict(run.losses), "running mean": dict(run.smoothed())})
    st.line_chart(lines, x_label="update", y_label="loss", color=["#c9c9d1", "#4a5bd0"])
if run.drawn:
    steps = [drawn.step for drawn in run.drawn]
    step = st.select_slider("Validation pictures after update", steps, value=steps[-1], key="training.step")
    drawn = next(item for item in run.drawn if item.step == step)
    if drawn.scores:
        st.caption(f"mean CLIP score {sum(drawn.scores) / len(drawn.scores):.4f}")
    st.image(
        [str(path) for path in drawn.pictures], caption=list(drawn.prompts[: len(drawn.pictures)]), width=256
    )
if run.lora is not None:
    st.markdown("The LoRA, for `--lora` and for other programs:")
    st.code(str(run.lora), language=None)
with st.expander("Settings"):
    st.json(run.settings)
