"""Before and after in one frame: a slider that uncovers the earlier picture. Own HTML, nothing is fetched."""

import base64
import io

import streamlit as st
from PIL import Image

_SIDE = 900  # px, of what is sent to the browser
_MARKUP = """
<div class="frame"><img class="before" alt="Before"><img class="after" alt="After"></div>
<input type="range" min="0" max="100" value="50" aria-label="Before and after">
"""
_SCRIPT = """
export default function ({ parentElement, data }) {
    const range = parentElement.querySelector("input");
    const after = parentElement.querySelector(".after");
    parentElement.querySelector(".before").src = data.before;
    after.src = data.after;
    parentElement.querySelector(".frame").style.width = `min(100%, ${70 * data.ratio}vh)`;
    const show = () => { after.style.clipPath = `inset(0 0 0 ${range.value}%)`; };
    range.addEventListener("input", show);
    show();
    return () => range.removeEventListener("input", show);
}
"""
_STYLE = """
.frame { position: relative; margin-inline: auto; line-height: 0; }
.frame img { width: 100%; border-radius: 0.75rem; }
.frame .after { position: absolute; inset: 0; height: 100%; }
input { width: 100%; height: 2.75rem; accent-color: var(--st-primary-color); }
"""


def show(before: Image.Image, after: Image.Image, key: str) -> None:
    """`before` under `after`; where their shapes differ, `before` stands in the middle of the other's frame."""
    pictures = {
        "before": _address(_framed(before, after.size)),
        "after": _address(after),
        "ratio": after.width / after.height,
    }
    component = st.components.v2.component("before_after", html=_MARKUP, css=_STYLE, js=_SCRIPT)
    component(key=key, data=pictures)


def _framed(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    if picture.size == size:
        return picture
    scale = min(size[0] / picture.width, size[1] / picture.height)
    fitted = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    frame = Image.new("RGB", size, "white")
    frame.paste(fitted, ((size[0] - fitted.width) // 2, (size[1] - fitted.height) // 2))
    return frame


def _address(picture: Image.Image) -> str:
    small = picture.convert("RGB")
    small.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    small.save(buffer, format="WEBP", quality=95)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
