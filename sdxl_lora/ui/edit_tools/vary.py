"""Vary: the whole picture again, a little or quite different."""

import streamlit as st

from sdxl_lora.jobs import edits
from sdxl_lora.jobs.edits import Source
from sdxl_lora.ui.edit_tools.tool import Tool, Wanted

_HOW = {"A little": edits.VARIATIONS["subtle"], "A lot": edits.VARIATIONS["strong"]}


def _show(source: Source) -> Wanted | None:
    st.image(source.image(), width="stretch", alt="The picture to begin with")
    how = st.segmented_control("How much", list(_HOW), key="edit.vary", default="A little", required=True)
    words = st.text_area(
        "What it shows",
        value=source.prompt,
        key=f"edit.vary.words.{source.picture[:12]}",
        height=80,
        placeholder="a red hoodie on a white background",
        help="Change the words to change the picture; leave them for another take on it.",
    )
    if not words.strip():
        return None
    return Wanted(request=lambda: edits.vary(source, words, strength=_HOW[str(how)]))


TOOL = Tool(name="Vary", help="The whole picture again, a little or quite different.", show=_show)
