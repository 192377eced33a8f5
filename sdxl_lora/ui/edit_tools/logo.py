"""Logo: a drawing printed onto the picture exactly, on a named place or wherever the sliders say, seen at once."""

from typing import Final

import streamlit as st

from sdxl_lora.jobs import edits
from sdxl_lora.jobs.edits import Source
from sdxl_lora.logos import asked, placing
from sdxl_lora.request import LogoSpec
from sdxl_lora.request.logo_spec import FREE
from sdxl_lora.ui.edit_tools.tool import Tool, Wanted

_KEY: Final = "edit.logo"


def _show(source: Source) -> Wanted | None:
    file = st.file_uploader(
        "Logo (SVG, or PNG with a transparent ground)", ["svg", "png"], key=f"{_KEY}.file"
    )
    if file is None:
        st.image(source.image(), width="stretch", alt="The picture to begin with")
        return None
    spec = _placed(asked.keep(file.getvalue(), file.name).hash, file.name)
    seen = asked.put_on(source.image(), (spec,))  # raises one line where it cannot go there
    st.image(seen, width="stretch", alt="The picture with its logo")
    # logos that the picture has are in its pixels already
    return Wanted(request=lambda: edits.finish(source, logos=(spec,)), drawn=False)


def _placed(digest: str, name: str) -> LogoSpec:
    at = st.selectbox(
        "Where it goes",
        (*placing.POSITIONS, FREE),
        format_func=lambda place: "Where I put it" if place == FREE else placing.POSITIONS[place].label,
        key=f"{_KEY}.at",
        persist_state="session",
    )
    angle = float(st.slider("Turned, in degrees", -180, 180, 0, key=f"{_KEY}.angle"))
    if at != FREE:
        share = st.slider("Size, in % of the usual", 40, 200, 100, 5, key=f"{_KEY}.size") / 100
        width = None if share == 1 else placing.POSITIONS[at].width * share
        return LogoSpec(hash=digest, name=name, at=at, width=width, angle=angle)
    across = st.slider("From left to right, in %", 0, 100, 50, key=f"{_KEY}.x") / 100
    down = st.slider("From top to bottom, in %", 0, 100, 45, key=f"{_KEY}.y") / 100
    width = st.slider("Width, in % of the picture", 2, 60, 20, key=f"{_KEY}.width") / 100
    return LogoSpec(hash=digest, name=name, at=FREE, x=across, y=down, width=width, angle=angle)


TOOL = Tool(
    name="Logo", help="Printed exactly as it is drawn, with the folds and light of the cloth.", show=_show
)
