"""Background: the product cut out, on white, a colour or nothing; nothing of the product is drawn anew."""

from typing import Final

import streamlit as st
from PIL import Image

from sdxl_lora.finishing import staging
from sdxl_lora.jobs import edits
from sdxl_lora.jobs.edits import Source
from sdxl_lora.ui import shared
from sdxl_lora.ui.edit_tools.tool import Tool, Wanted

_KEY: Final = "edit.background"
_WHITE, _NOTHING, _COLOUR = "White", "Nothing", "A colour"
_GREY: Final = "#E8E4DE"


def _show(source: Source) -> Wanted | None:
    kind = st.segmented_control(
        "Behind the product", (_WHITE, _NOTHING, _COLOUR), key=f"{_KEY}.kind", default=_WHITE, required=True
    )
    ground = {_WHITE: "white", _NOTHING: "transparent"}.get(str(kind))
    if ground is None:
        ground = st.color_picker("Colour", _GREY, key=f"{_KEY}.colour").upper()
    with st.container(horizontal=True):
        centred = st.toggle("In the middle", key=f"{_KEY}.centred")
        shadow = kind != _NOTHING and st.toggle("A soft shadow below it", key=f"{_KEY}.shadow")
    fill = st.slider("It fills, in %", 40, 100, 85, key=f"{_KEY}.fill") if centred else 0
    alone, how = _product(source, source.picture)
    request = edits.finish(source, background=ground, fill=fill, shadow=bool(shadow))
    with st.container(key="checked" if kind == _NOTHING else "plain"):
        st.image(
            staging.staged(alone, source.image(), request), width="stretch", alt="What the picture will be"
        )
    st.caption(shared.escape(f"The product was {how}."))
    return Wanted(request=lambda: request, drawn=False)


@st.cache_data(show_spinner="Cutting it out", max_entries=8)
def _product(_source: Source, digest: str) -> tuple[Image.Image, str]:
    return edits.product(_source)


TOOL = Tool(name="Background", help="The product stays as it is; what is behind it goes.", show=_show)
