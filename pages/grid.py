"""Grid: two settings of a picture against each other, drawn as jobs, shown with labels, taken along as one picture."""

import streamlit as st

from sdxl_lora.ui import setting_grids, shared

shared.session_id()
st.title("Two settings against each other", anchor=False)
with shared.told():
    setting_grids.show()
