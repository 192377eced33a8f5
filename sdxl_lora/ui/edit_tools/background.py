"""Background: the product cut out, on white, a colour, nothing or a scene; nothing of the product is drawn anew."""

from typing import Final

import streamlit as st
from PIL import Image

from sdxl_lora.brands import kits
from sdxl_lora.errors import StudioError
from sdxl_lora.finishing import staging
from sdxl_lora.jobs import edits, scenes
from sdxl_lora.jobs.edits import Source
from sdxl_lora.ui import shared
from sdxl_lora.ui.edit_tools.tool import Tool, Wanted

_KEY: Final = "edit.background"
_WHITE, _NOTHING, _COLOUR, _SCENE = "White", "Nothing", "A colour", "A scene"
_GREY: Final = "#E8E4DE"


def _show(source: Source) -> Wanted | None:
    kind = st.segmented_control(
        "Behind the product",
        (_WHITE, _NOTHING, _COLOUR, _SCENE),
        key=f"{_KEY}.kind",
        default=_WHITE,
        required=True,
    )
    if kind == _SCENE:
        return _scene(source)
    ground = {_WHITE: "white", _NOTHING: "transparent"}.get(str(kind))
    if ground is None:
        _brand_colours()
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


def _brand_colours() -> None:
    """The colours of the brand kits, one click each."""
    colours: dict[str, str] = {}
    for name in kits.names():
        try:
            found = {f"{swatch.name} · {name}": swatch.hex for swatch in kits.get(name).palette}
        except StudioError as error:  # a damaged kit is said, and in nobody's way
            st.caption(shared.escape(str(error)))
            continue
        colours |= {shared.escape(label): value for label, value in found.items()}
    if not colours:
        return

    def taken() -> None:
        chosen = st.session_state.get(f"{_KEY}.brand")
        if chosen in colours:
            st.session_state[f"{_KEY}.colour"] = colours[chosen]

    st.pills("Colours of your brands", list(colours), key=f"{_KEY}.brand", on_change=taken)


def _scene(source: Source) -> Wanted | None:
    """Words for a model; the product itself is put in front of what it draws."""
    words = st.text_input(
        "What is behind it",
        key=f"{_KEY}.scene",
        placeholder="a wooden table by a window",
        help="Only the place, without the product.",
    )
    shadow = st.toggle("A soft shadow below it", key=f"{_KEY}.shadow")
    alone, how = _product(source, source.picture)
    with st.container(key="checked"):
        st.image(alone, width="stretch", alt="The product that stays as it is")
    st.caption(shared.escape(f"The product was {how}. A model draws what is behind it."))
    if not words.strip():
        return None
    return Wanted(request=lambda: scenes.before(source, alone, words, shadow=shadow))


@st.cache_data(show_spinner="Cutting it out", max_entries=8)
def _product(_source: Source, digest: str) -> tuple[Image.Image, str]:
    return edits.product(_source)


TOOL = Tool(name="Background", help="The product stays as it is; what is behind it goes.", show=_show)
