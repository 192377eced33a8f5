"""A picture on which a logo is dragged, turned and sized, by mouse, fingers or keys. Own script, nothing is fetched."""

import base64
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import streamlit as st
from PIL import Image

from sdxl_lora.logos.geometry import Corners, lengths
from sdxl_lora.logos.raster import Logo

_SIDE: Final = 900  # px, of a picture that is sent to the browser
_MARK_SIDE: Final = 400  # px, of the logo
_MARKUP: Final = """
<div class="stage">
  <img class="picture" alt="The picture with its logo">
  <div class="box">
    <button type="button" class="mark"
      aria-label="Logo: arrow keys move it, plus and minus size it, comma and full stop turn it"></button>
    <span class="turn" aria-hidden="true"></span>
    <span class="size" aria-hidden="true"></span>
  </div>
  <span class="said" role="status"></span>
</div>
"""
_SCRIPT: Final = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
_STYLE: Final = Path(__file__).with_suffix(".css").read_text(encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a logo is, as people say it."""

    x: float  # of its centre, share of the picture's width
    y: float  # share of the picture's height
    width: float  # share of the picture's width
    angle: float  # degrees, clockwise as seen


def place_of(corners: Corners, size: tuple[int, int]) -> Place:
    """The place of a rectangle by its corners, px, on a picture of (width, height)."""
    x, y = corners.mean(axis=0)
    right, down = corners[1] - corners[0]
    return Place(
        x=float(x) / size[0],
        y=float(y) / size[1],
        width=float(lengths(corners)[0]) / size[0],
        angle=math.degrees(math.atan2(down, right)),
    )


def show(
    picture: Image.Image,
    printed: Image.Image | None,
    logo: Logo,
    place: Place,
    *,
    key: str,
    moved: Callable[[Place], None],
) -> None:
    """Draws it. `moved` is called before the page runs again, once the logo was let go.

    Args:
        printed: the picture with the logo as it will be; None: it cannot be printed where it is.
    """
    component = st.components.v2.component("logo_stage", html=_MARKUP, css=_STYLE, js=_SCRIPT)

    def told() -> None:
        found = st.session_state[key].moved
        try:
            moved(Place(**{name: float(found[name]) for name in ("x", "y", "width", "angle")}))
        except (KeyError, TypeError, ValueError):  # no page of ours sends this
            return

    component(
        key=key,
        data={
            "picture": _address(picture, _SIDE),
            "printed": _address(printed, _SIDE) if printed is not None else "",
            "mark": _address(Image.fromarray(np.asarray(logo.drawn(_MARK_SIDE))), _MARK_SIDE),
            "aspect": logo.aspect,
            "ratio": picture.width / picture.height,
            "place": vars(place),
        },
        on_moved_change=told,
    )


def _address(picture: Image.Image, side: int) -> str:
    small = picture.copy()
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, format="WEBP", quality=92)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
