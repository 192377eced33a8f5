"""Verify: drop a picture, and see what it says about itself and whether that holds."""

import streamlit as st

from sdxl_lora import config
from sdxl_lora.provenance.verifying import verify
from sdxl_lora.ui import shared
from sdxl_lora.ui.shared import escape

_ICONS = {
    "own": ":material/verified:",
    "trusted": ":material/verified:",
    "unknown signer": ":material/help:",
    "broken": ":material/gpp_bad:",
    "none": ":material/info:",
}

shared.session_id()
st.title("Verify", anchor=False)
st.markdown("Drop a picture, from here or anywhere: is it signed, was it changed, did a model make it?")
file = st.file_uploader(
    "Picture to verify", ["png", "jpg", "jpeg", "webp"], key="verify.file", max_upload_size=64
)
if file is not None:
    with shared.told():
        with st.spinner("Looking at it"):
            verdict = verify(file.getvalue(), file.name, config.home())
        first, *more = verdict.lines
        show = st.error if verdict.signature.state == "broken" else st.info
        left, right = st.columns([3, 2], gap="medium")
        right.image(file.getvalue(), width="stretch", alt=f"The picture {file.name}")
        with left:  # on a phone the answer stands above the picture
            show(escape(first), icon=_ICONS[verdict.signature.state])
            for line in more:
                st.markdown(f"- {escape(line)}")
