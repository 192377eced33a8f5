"""Logo: a drawing printed onto the picture exactly, on a named place or wherever it is dragged, seen at once."""

from typing import Final

import streamlit as st
from PIL import Image

from sdxl_lora.errors import StudioError
from sdxl_lora.jobs import edits
from sdxl_lora.jobs.edits import Source
from sdxl_lora.logos import asked, keeping, positions
from sdxl_lora.request import LogoSpec
from sdxl_lora.request.logo_spec import FREE
from sdxl_lora.ui import branding, logo_stage, shared
from sdxl_lora.ui.edit_tools.tool import Tool, Wanted
from sdxl_lora.ui.logo_stage import Place

_KEY: Final = "edit.logo"
_FIRST: Final = Place(x=0.5, y=0.45, width=0.2, angle=0.0)  # where one is that fits nowhere by name
_LEAST, _MOST = 2.0, 100.0  # % of the picture's width


def _show(source: Source) -> Wanted | None:
    file = st.file_uploader(
        "Logo (SVG, or PNG with a transparent ground)", ["svg", "png"], key=f"{_KEY}.file"
    )
    if file is None:
        st.image(source.image(), width="stretch", alt="The picture to begin with")
        return None
    digest = keeping.keep(file.getvalue(), file.name).hash
    stage = st.container()
    spec = _placed(digest, file.name)
    with stage:
        fits = _dragged(source.image(), spec, source.prompt)
    # logos that the picture has are in its pixels already
    return (
        Wanted(request=lambda: edits.finish(source, logos=(spec,)), drawn=spec.embroidered) if fits else None
    )


def _dragged(picture: Image.Image, spec: LogoSpec, words: str) -> bool:
    """The picture with the logo to be moved; one line where it cannot be printed there."""
    printed, place, problem, doubts = None, _FIRST, "", []
    try:
        place = logo_stage.place_of(asked.corners_on(picture, spec), picture.size)
        printed = asked.put_on(picture, (spec,))
        doubts = asked.doubts_on(picture, (spec,), words)
    except StudioError as error:
        problem = str(error)
        if spec.at == FREE and spec.x is not None and spec.y is not None and spec.width is not None:
            place = Place(x=spec.x, y=spec.y, width=spec.width, angle=spec.angle)
    logo_stage.show(picture, printed, asked.read(spec), place, key=f"{_KEY}.stage", moved=_moved)
    if problem:
        st.error(shared.escape(problem[:1].upper() + problem[1:]), icon=":material/error:")
    else:
        st.caption("Drag it where it should be; the dots turn it and change its size.")
    for doubt in doubts:
        st.warning(shared.escape(doubt[:1].upper() + doubt[1:] + "."), icon=":material/warning:")
    return printed is not None


def _moved(place: Place) -> None:
    """The sliders say where it was let go."""
    state = st.session_state
    state[f"{_KEY}.at"] = FREE
    state[f"{_KEY}.angle"] = round(place.angle)
    state[f"{_KEY}.x"] = round(place.x * 100, 1)
    state[f"{_KEY}.y"] = round(place.y * 100, 1)
    state[f"{_KEY}.width"] = min(_MOST, max(_LEAST, round(place.width * 100, 1)))


def _placed(digest: str, name: str) -> LogoSpec:
    at = st.selectbox(
        "Where it goes",
        (*positions.POSITIONS, FREE),
        format_func=lambda place: "Where I put it" if place == FREE else positions.POSITIONS[place].label,
        key=f"{_KEY}.at",
        persist_state="session",
    )
    look = branding.look(_KEY)
    angle = float(st.slider("Turned, in degrees", -180, 180, 0, key=f"{_KEY}.angle"))
    if at != FREE:
        share = st.slider("Size, in % of the usual", 40, 200, 100, 5, key=f"{_KEY}.size") / 100
        width = None if share == 1 else positions.POSITIONS[at].width * share
        return LogoSpec(hash=digest, name=name, at=at, width=width, angle=angle, look=look)
    across = _percent("From left to right, in %", 0.0, 100.0, 50.0, "x")
    down = _percent("From top to bottom, in %", 0.0, 100.0, 45.0, "y")
    width = _percent("Width, in % of the picture", _LEAST, _MOST, 20.0, "width")
    return LogoSpec(hash=digest, name=name, at=FREE, x=across, y=down, width=width, angle=angle, look=look)


def _percent(label: str, low: float, high: float, first: float, name: str) -> float:
    """A slider in %, its value as a share."""
    return float(st.slider(label, low, high, first, 0.1, format="%.1f", key=f"{_KEY}.{name}")) / 100


TOOL = Tool(
    name="Logo",
    help="Printed exactly as it is drawn, with the folds and light of the cloth; or embroidered, an approximation.",
    show=_show,
)
