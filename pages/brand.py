"""Brand: kits of what a brand's pictures have in common; made, changed, passed on as a ZIP."""

import streamlit as st

from sdxl_lora.brands import kits
from sdxl_lora.errors import StudioError
from sdxl_lora.ui import brand_form, shared

shared.session_id()
st.title("Brand", anchor=False)
st.markdown(
    "What all pictures of a brand have in common. Choose the brand in the studio, and it is said in every request."
)
names = kits.names()
chosen = st.selectbox("Brand kit", names, index=None, key="brand.chosen", placeholder="A new one")
try:
    kit = kits.get(chosen) if chosen else None
except StudioError as error:
    st.error(shared.escape(str(error)), icon=":material/error:")
    kit = None
brand_form.edit(kit)
brand_form.passing_on(kit)
