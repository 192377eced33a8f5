"""Products: a photo of a product, cut out, in colours and scenes that belong together."""

import streamlit as st

from sdxl_lora import later
from sdxl_lora.ui import examples, feed, shared

with later.importing():
    from sdxl_lora.ui import product_sets

session = shared.session_id()
left, right = st.columns([6, 8], gap="medium")
with left, st.container(key="composer"):
    product_sets.form(session)
with right:
    product_sets.checks(session)
    if not feed.show(session):
        with st.container(key="empty"):
            st.header("Your pictures will appear here", anchor=False)
            st.markdown("Choose a photo of one product. It is cut out here, on this machine.")
            if not product_sets.chosen():
                st.markdown("No photo at hand? Begin with one of these:")
                if example := examples.pick("products"):
                    product_sets.choose(example)
                    st.rerun()
