"""Edit: a picture to begin from on the left with what to do, what came of it on the right."""

import streamlit as st

from sdxl_lora import later
from sdxl_lora.ui import examples, feed, shared

with later.importing():
    from sdxl_lora.ui import editing

session = shared.session_id()
left, right = st.columns([7, 7], gap="medium")
with left, st.container(key="composer"):
    editing.form(session)
with right:
    editing.compare(session)
    if not feed.show(session):
        with st.container(key="empty"):
            st.header("What comes of it will appear here", anchor=False)
            st.markdown("The picture you begin with stays as it is; every step is a picture of its own.")
            if not editing.begun():
                st.markdown("No photo at hand? Begin with one of these:")
                if example := examples.pick("edit"):
                    editing.begin_with_file(example.picture)
                    st.rerun()
editing.keep_up(session)
