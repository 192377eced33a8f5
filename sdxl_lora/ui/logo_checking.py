"""Verify, second part: whether a picture shows a brand's logo as it is drawn, with a frame around what was found."""

import io
from typing import Final

import streamlit as st
from PIL import Image

from sdxl_lora.brands import kits
from sdxl_lora.data import images
from sdxl_lora.logos.matching import Sighting
from sdxl_lora.logos.raster import Logo
from sdxl_lora.records import metadata
from sdxl_lora.scoring import lettering, logo_check
from sdxl_lora.ui import shared

_OWN: Final = "A file of mine"
_SHOWN: Final = {
    "match": (st.success, ":material/check_circle:", "Match"),
    "altered": (st.error, ":material/report:", "Altered"),
    "too small": (st.warning, ":material/zoom_in:", "Too small to be judged"),
    "not found": (st.warning, ":material/search_off:", "Not found"),
}


def show(data: bytes, name: str) -> Image.Image | None:
    """Draws the choice of a logo and the answer; the picture with its frame, None without one. Raises `StudioError`."""
    st.subheader("Does it show your logo?", anchor=False)
    drawing = _chosen()
    if drawing is None:
        return None
    logo = Logo.read(*drawing)
    seen = _looked_for(data, name, *drawing)
    tell, icon, verdict = _SHOWN[seen.verdict]
    tell(f"**{verdict}**: {shared.escape(seen.reason)}.", icon=icon)
    if not lettering.available():
        st.caption("Letters were not read, only shapes compared: OCR is not installed here.")
    if seen.verdict == "not found":
        return None
    left, right = st.columns(2)
    cut = logo_check.cut_out(_opened(data, name), seen)
    left.image(logo.drawn(320), caption="As it is drawn", width="stretch", alt=f"The logo {logo.name}")
    right.image(
        cut, caption="On the picture", width="stretch", alt="The part of the picture inside the frame"
    )
    return logo_check.boxed(_opened(data, name), [seen])


def _chosen() -> tuple[bytes, str] | None:
    """File and name of the logo that is looked for. Raises `StudioError`."""
    known = {
        f"{brand}: {logo.file}": (brand, logo.file)
        for brand in kits.names()
        for logo in kits.get(brand).logos
    }
    choice = st.selectbox(
        "Logo",
        [*known, _OWN],
        index=None if known else 0,
        key="verify.logo",
        placeholder="Choose a logo of your brands",
        persist_state="session",
    )
    if choice is None:
        return None
    if choice != _OWN:
        brand, file = known[choice]
        return kits.logo_data(kits.get(brand), file), file
    own = st.file_uploader(
        "Logo file (SVG, or PNG with a transparent ground)", ["svg", "png"], key="verify.logo_file"
    )
    return None if own is None else (own.getvalue(), own.name)


def _opened(data: bytes, name: str) -> Image.Image:
    return images.decode(data, name)[0]


@st.cache_data(show_spinner="Looking for the logo", max_entries=32)
def _looked_for(data: bytes, name: str, drawing: bytes, logo_name: str) -> Sighting:
    return logo_check.check(
        _opened(data, name), Logo.read(drawing, logo_name), made_with=metadata.said_by(io.BytesIO(data))
    )
