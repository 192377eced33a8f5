"""Templates: look at those there are, and make, change and delete one's own."""

from dataclasses import replace

import streamlit as st

from sdxl_lora import prompts
from sdxl_lora.errors import StudioError
from sdxl_lora.prompts import Template, own
from sdxl_lora.ui import shared, templates, words

BLANK = Template(
    name="new",
    title="New template, catalogue",
    category="outerwear",
    style="catalogue",
    pattern="a photography of {a} [{colour} ]{product}[, {setting}]",
    slots=own.slots_of(
        "{colour}{product}{setting}",
        [
            {"name": "colour", "default": "navy", "optional": True},
            {"name": "product", "default": "jacket"},
            {"name": "setting", "default": "studio background", "optional": True},
        ],
    ),
    negative="blurry, low quality, watermark",
)
CHOSEN = "templates.chosen"


def begin(template: Template) -> None:
    """Writes a new template and opens it."""
    try:
        own.save(template)
    except StudioError as error:
        st.session_state["templates.error"] = str(error)
        return
    words.refresh()
    st.session_state[CHOSEN] = template.name


def remove(name: str) -> None:
    """Deletes a template of the user's."""
    try:
        own.delete(name)
    except StudioError as error:
        st.session_state["templates.error"] = str(error)
        return
    words.refresh()
    st.session_state.pop(CHOSEN, None)


def name_of(name: str) -> str:
    """A template as it stands in the list."""
    title = known[name].title if name in known else f"{name} (cannot be read)"
    return f"{title} · yours" if own.is_own(name) else title


shared.session_id()
st.title("Templates", anchor=False)
st.markdown(
    "A template turns a few words into a whole prompt. Shipped ones stay as they are; copies are yours."
)
if error := st.session_state.pop("templates.error", ""):
    st.error(shared.escape(error), icon=":material/error:")
known, problems = prompts.templates(), prompts.problems()
names = sorted({*known, *problems}, key=lambda name: (not own.is_own(name), name))
titles = {name: name_of(name) for name in names}  # as of now: a file may go while the page is drawn
if st.session_state.get(CHOSEN) not in names:
    st.session_state[CHOSEN] = names[0]
with st.container(horizontal=True, vertical_alignment="bottom", key="templates-bar"):
    name = str(
        st.selectbox("Template", names, format_func=titles.__getitem__, key=CHOSEN, persist_state="session")
    )
    if name in known:
        st.button(
            "Duplicate",
            key="templates.duplicate",
            icon=":material/content_copy:",
            on_click=lambda: begin(own.copy_of(known[name])),
        )
    st.button(
        "New",
        key="templates.new",
        icon=":material/add:",
        on_click=lambda: begin(replace(BLANK, name=own.name_for(BLANK.title))),
    )
    if own.is_own(name):
        with st.popover("Delete", icon=":material/delete:", key="templates.delete"):
            st.markdown(f"**{shared.escape(titles[name])}** is removed for good. Pictures made with it stay.")
            st.button(
                "Delete this template", key="templates.confirm", type="primary", on_click=remove, args=(name,)
            )
if name in problems:
    st.error(shared.escape(str(problems[name])), icon=":material/error:")
else:
    templates.show(known[name], editable=own.is_own(name))
