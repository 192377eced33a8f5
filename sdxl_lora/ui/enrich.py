"""Richer words by a language model on this machine, folded away and off until a model is named."""

import streamlit as st

from sdxl_lora.errors import StudioError
from sdxl_lora.prompts import rewriting
from sdxl_lora.prompts.rewriting import Proposal
from sdxl_lora.ui import shared

_MODEL = "create.enrich.model"
_PROPOSAL = "create.enrich.proposal"  # (the words it was made from, the proposal)


def show(prompt: str) -> str | None:
    """Draws the model's name and its proposal; returns the words once they are taken."""
    state = st.session_state
    state.setdefault(_MODEL, rewriting.chosen())
    with st.expander("Richer words", icon=":material/edit_note:", key="enrich"):
        st.caption(
            "A small language model on this machine adds fabric, light and style. Nothing leaves this machine."
        )
        source = str(
            st.text_input(
                "Language model",
                key=_MODEL,
                placeholder=f"For example {rewriting.EXAMPLE}",
                help="Folder, or hub id of an instruct model that was fetched before with `hf download`.",
                persist_state="session",
            )
        )
        if st.button("Propose", key="create.enrich.propose", disabled=not source.strip()):
            state.pop(_PROPOSAL, None)
            try:
                with st.spinner("Thinking…"):
                    state[_PROPOSAL] = (prompt, rewriting.propose(source, prompt))
            except StudioError as error:
                st.error(shared.escape(str(error)), icon=":material/error:")
        before, proposal = state.get(_PROPOSAL, ("", None))
        if proposal is None or before != prompt:
            return None
        return _offer(proposal)


def _offer(proposal: Proposal) -> str | None:
    with st.container(border=True):
        st.markdown(shared.escape(proposal.prompt))
    if proposal.lost:
        st.caption(f"Lost on the way: {shared.escape(', '.join(proposal.lost))}.")
    if st.button("Use these words", key="create.enrich.use", type="primary"):
        st.session_state.pop(_PROPOSAL, None)
        return proposal.prompt
    return None
