"""The studio in the browser: `streamlit run app.py`. Page set-up and navigation, nothing else.

Streamlit imports this file once for its server, which answers the HTTP API on the same port (`sdxl_lora.api`), and runs
it once more for every look at a page.
"""

import streamlit as st

from sdxl_lora import __version__
from sdxl_lora.ui import serving, shared


def look() -> None:
    """One look at a page."""
    serving.looked()
    st.set_page_config(
        page_title="Apparel Studio",
        page_icon=shared.MARK,
        layout="wide",
        menu_items={"About": f"Pictures of clothing for online shops. Version {__version__}."},
    )
    st.logo(shared.MARK, size="large")
    shared.style()
    page = st.navigation(
        [
            st.Page(shared.CREATE, title="Studio", icon=":material/auto_awesome:", default=True),
            st.Page(shared.EDIT, title="Edit", icon=":material/auto_fix_high:"),
            st.Page("pages/products.py", title="Products", icon=":material/checkroom:"),
            st.Page("pages/catalog.py", title="Catalogue", icon=":material/grid_on:"),
            st.Page(shared.GALLERY, title="Gallery", icon=":material/photo_library:"),
            st.Page("pages/brand.py", title="Brand", icon=":material/branding_watermark:"),
            st.Page(shared.TEMPLATES, title="Templates", icon=":material/edit_note:"),
            st.Page("pages/training.py", title="Training", icon=":material/model_training:"),
            st.Page("pages/compare.py", title="Compare", icon=":material/compare:"),
            st.Page("pages/metrics.py", title="Metrics", icon=":material/monitoring:"),
            st.Page("pages/grid.py", title="Grid", icon=":material/grid_view:", visibility="hidden"),
            st.Page(shared.VERIFY, title="Verify", icon=":material/verified_user:"),
        ],
        position="top",
    )
    if wanted := shared.entered():
        st.switch_page(wanted)
    with shared.told():
        shared.tell_notices()
        shared.warn_if_read_only()
        page.run()
    serving.looked()


if __name__ == "__main__":
    look()
else:
    app = st.App(__file__, routes=serving.routes(), lifespan=serving.lifespan)
