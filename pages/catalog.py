"""Catalogue: a table of products becomes named pictures; made while nobody watches, looked through, downloaded."""

import streamlit as st

from sdxl_lora.errors import StudioError
from sdxl_lora.ui import catalogs, new_catalog, shared

shared.session_id()
st.title("Catalogue", anchor=False)
try:
    known = catalogs.known()
    chosen = catalogs.choose(known) if known else None
    if chosen is None:
        if not known:
            st.markdown("One row per product in, one named picture per product out.")
        new_catalog.form()
    else:
        catalogs.show(chosen)
except StudioError as error:
    st.error(shared.escape(str(error)), icon=":material/error:")
