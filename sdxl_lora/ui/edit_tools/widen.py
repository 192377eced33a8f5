"""Widen: the same picture in another frame, for a banner or a story; every pixel of it is kept."""

import streamlit as st

from sdxl_lora.editing import outpainting
from sdxl_lora.editing.outpainting import Anchor
from sdxl_lora.jobs import edits
from sdxl_lora.jobs.edits import Source
from sdxl_lora.ui.edit_tools.tool import Tool, Wanted

_SHAPES = {"Wide 16:9": 16 / 9, "Wide 3:2": 3 / 2, "Square 1:1": 1.0, "Tall 4:5": 4 / 5, "Story 9:16": 9 / 16}
_WHERE: dict[str, Anchor] = {"In the middle": "middle", "Left or top": "start", "Right or bottom": "end"}


def _show(source: Source) -> Wanted | None:
    shape = st.selectbox("New shape", list(_SHAPES), key="edit.widen.shape")
    where = st.selectbox("The picture stands", list(_WHERE), key="edit.widen.where")
    words = st.text_input(
        "What should be around it",
        value=edits.surroundings(source.prompt),
        key=f"edit.widen.words.{source.picture[:12]}",
        help="Only the surroundings: a product that is named is drawn once more.",
    )
    ratio, anchor = _SHAPES[str(shape)], _WHERE[str(where)]
    canvas, _ = outpainting.widened(source.image(), ratio, anchor)
    st.image(canvas, width="stretch", alt="The picture in its new frame, before the new part is drawn")
    return Wanted(request=lambda: edits.widen(source, ratio, words, anchor=anchor))


TOOL = Tool(name="Widen", help="The same picture in another shape; every pixel of it is kept.", show=_show)
