"""The one place that knows the component in which people draw: a picture to paint on, what was painted as a mask."""

import numpy as np
import streamlit as st
from PIL import Image

_WIDEST, _WIDEST_ON_A_PHONE = 480, 300  # px; the component does not shrink, and its column is no wider
_TALLEST = 480  # px
_BRUSH = "rgba(168, 67, 42, 0.55)"


def mask(picture: Image.Image, key: str, *, brush: int) -> Image.Image | None:
    """Shows `picture` to be painted on; what was painted, white, at the picture's own size. None = nothing yet.

    `brush`: its width in px of the shown picture.
    """
    # its assets are known only while Streamlit runs
    from streamlit_drawable_canvas import st_canvas

    phone = "Mobi" in str(st.context.headers.get("User-Agent", ""))
    scale = min((_WIDEST_ON_A_PHONE if phone else _WIDEST) / picture.width, _TALLEST / picture.height)
    shown = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    with st.container(key=f"canvas-{key}"):
        drawn = st_canvas(
            stroke_width=brush,
            stroke_color=_BRUSH,
            fill_color=_BRUSH,
            background_image=picture.resize(shown, Image.Resampling.LANCZOS),
            width=shown[0],
            height=shown[1],
            drawing_mode="freedraw",
            return_image_data=True,
            key=key,
        )
    pixels = drawn.image_data
    if pixels is None:
        return None
    painted = np.asarray(pixels)[..., 3] > 0
    if not painted.any():
        return None
    return Image.fromarray(painted.astype(np.uint8) * 255).resize(picture.size, Image.Resampling.NEAREST)
