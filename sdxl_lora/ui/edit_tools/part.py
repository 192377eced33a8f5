"""Change a part: painted over, found, a rectangle or a mask from a file; everything else stays as it is."""

import streamlit as st
from PIL import Image

from sdxl_lora import inputs
from sdxl_lora.jobs import edits
from sdxl_lora.jobs.edits import Source
from sdxl_lora.ui import canvas, shared
from sdxl_lora.ui.edit_tools.tool import Tool, Wanted

_PAINT, _GARMENT, _BACKGROUND, _RECTANGLE, _FILE = (
    "Paint over it",
    "The garment",
    "The background",
    "A rectangle",
    "A mask file",
)
_TINT = (168, 67, 42)


def _show(source: Source) -> Wanted | None:
    how = st.selectbox(
        "Which part",
        (_PAINT, _GARMENT, _BACKGROUND, _RECTANGLE, _FILE),
        key="edit.part",
        persist_state="session",
    )
    mask = _mask(source, str(how))
    words = st.text_area(
        "What should be there",
        key=f"edit.part.words.{source.picture[:12]}",
        height=80,
        placeholder="a yellow star emblem on a navy hoodie",
        help="Only what is to be seen in that part.",
    )
    if mask is None or not words.strip():
        return None
    return Wanted(request=lambda: edits.change_part(source, mask, words))


def _mask(source: Source, how: str) -> Image.Image | None:
    picture = source.image()
    if how == _PAINT:
        brush = st.slider("Brush", 8, 96, 32, key="edit.part.brush")
        return canvas.mask(picture, f"edit-{source.picture[:12]}", brush=brush)
    if how == _FILE:
        return _from_file(source)
    if how == _RECTANGLE:
        mask = _rectangle(source)
    else:
        mask, found = _part(source, "garment" if how == _GARMENT else "background", source.picture)
        st.caption(shared.escape(found[:1].upper() + found[1:]))
    st.image(
        _tinted(picture, mask), width="stretch", alt="The picture, with the part that will change in colour"
    )
    return mask


def _from_file(source: Source) -> Image.Image | None:
    file = st.file_uploader("White is drawn anew", type=("png", "jpg", "jpeg", "webp"), key="edit.part.file")
    if file is None:
        return None
    mask = inputs.open(inputs.keep(file.getvalue(), name=file.name).hash).convert("L")
    if mask.size == (source.width, source.height):
        st.image(_tinted(source.image(), mask), width="stretch", alt="The picture, with the mask in colour")
    return mask


def _rectangle(source: Source) -> Image.Image:
    key = f"edit.part.{source.picture[:12]}"
    across = st.slider("From left to right, in %", 0, 100, (35, 65), key=f"{key}.across")
    down = st.slider("From top to bottom, in %", 0, 100, (35, 65), key=f"{key}.down")
    left, right = (round(source.width * share / 100) for share in across)
    top, bottom = (round(source.height * share / 100) for share in down)
    return edits.rectangle_mask(source, left, top, right - left, bottom - top)


@st.cache_data(show_spinner="Finding it", max_entries=8)
def _part(_source: Source, part: str, digest: str) -> tuple[Image.Image, str]:
    return edits.part_mask(_source, part)


def _tinted(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """The picture with what is marked in colour."""
    tint = Image.blend(picture, Image.new("RGB", picture.size, _TINT), 0.55)
    return Image.composite(tint, picture, mask)


TOOL = Tool(
    name="Change a part", help="Only what you mark is drawn anew; everything else stays as it is.", show=_show
)
