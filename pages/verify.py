"""Verify: drop a picture, and see what it says about itself, and whether it shows a logo as it is drawn."""

import streamlit as st

from sdxl_lora import config, later
from sdxl_lora.ui import shared, verifying
from sdxl_lora.ui.shared import escape

with later.importing():
    from sdxl_lora.provenance.verifying import verify
    from sdxl_lora.ui import logo_checking

_ICONS = {
    "own": ":material/verified:",
    "trusted": ":material/verified:",
    "unknown signer": ":material/help:",
    "broken": ":material/gpp_bad:",
    "none": ":material/info:",
}

shared.session_id()
st.title("Verify", anchor=False)
st.markdown(
    "Drop a picture, from here or anywhere: is it signed, was it changed, did a model make it, and is your logo on it "
    "as it is drawn?"
)
with shared.told():
    picture = verifying.picture()
    if picture is not None:
        data, name = picture
        with st.spinner("Looking at it"):
            verdict = verify(data, name, config.home())
        first, *more = verdict.lines
        show = st.error if verdict.signature.state == "broken" else st.info
        left, right = st.columns([3, 2], gap="medium")
        place = right.container()
        with left:  # on a phone the answer stands above the picture
            show(escape(first), icon=_ICONS[verdict.signature.state])
            for line in more:
                st.markdown(f"- {escape(line)}")
            framed = None
            with shared.told():
                framed = logo_checking.show(data, name)
        place.image(framed or data, width="stretch", alt=f"The picture {name}")
