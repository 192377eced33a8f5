"""A template on its page: its texts, its slots as a table, and the prompt it gives, checked while it is changed."""

from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from sdxl_lora import prompts
from sdxl_lora.errors import StudioError
from sdxl_lora.prompts import Template, own
from sdxl_lora.ui import shared, words

_SYNTAX = """
| in the pattern | becomes |
|---|---|
| `{colour}` | what the field *colour* says; a new name makes a new field |
| `{colour:title}` | the same with capitals, for product names |
| `[ with {logo}]` | left out when the field inside is empty |
| `{a}` | *a* or *an*, whichever fits what follows |
"""


def show(template: Template, *, editable: bool) -> None:
    """Draws the form; `editable` ones can be saved."""
    key = f"templates.{template.name}"
    left, right = st.columns([3, 2], gap="large")
    with left:
        draft, pattern = _texts(template, key, editable)
    rows = _table(template, pattern, f"{key}.slots", editable)
    with right:
        found = _check(draft, pattern, rows)
        if found is None:
            return
        st.markdown("**With its defaults it says**")
        with st.container(border=True, key="template-says"):
            st.markdown(shared.escape(prompts.fill(found, {})))
        if found.negative:
            st.caption(f"Avoids: {shared.escape(found.negative)}")
        if editable:
            _save(template, found, key)
        else:
            st.caption("This one is shipped with the studio. Duplicate it to change it.")


def _texts(template: Template, key: str, editable: bool) -> tuple[Template, str]:
    """The template with the texts as they stand in the fields, and the pattern, which may not fit its slots yet."""
    locked = not editable
    title = st.text_input(
        "Title",
        template.title,
        key=f"{key}.title",
        disabled=locked,
        max_chars=80,
        help="Before the comma: what is made. Templates of one garment stand together in the studio.",
    )
    with st.container(horizontal=True):
        category = st.text_input(
            "Category", template.category, key=f"{key}.category", disabled=locked, max_chars=40
        )
        style = st.text_input(
            "Kind of picture", template.style, key=f"{key}.style", disabled=locked, max_chars=40
        )
    pattern = template.pattern
    if editable or shared.expert():  # a shipped one is understood without it, and cannot be changed
        pattern = st.text_area("Pattern", pattern, key=f"{key}.pattern", disabled=locked, height=150)
        with st.expander("How to write a pattern", icon=":material/help:"):
            st.markdown(_SYNTAX)
    negative = st.text_input("Avoid", template.negative, key=f"{key}.negative", disabled=locked)
    draft = replace(template, title=title, category=category, style=style, negative=negative)
    return draft, " ".join(pattern.split())


def _table(template: Template, pattern: str, key: str, editable: bool) -> list[dict[str, Any]]:
    """The fields of the pattern as it stands; a broken one keeps those of the template."""
    given = [
        {
            "name": slot.name,
            "label": slot.label,
            "default": slot.default,
            "suggestions": f" {own.BETWEEN} ".join(slot.suggestions),
            "optional": slot.optional,
        }
        for slot in template.slots
    ]
    try:
        slots = own.slots_of(pattern, given)
    except StudioError:
        return given
    if not slots:
        return []
    old = {row["name"]: row for row in given}
    new = {"default": "", "suggestions": "", "optional": True}
    shown = [old.get(slot.name, {"name": slot.name, "label": slot.label, **new}) for slot in slots]
    table: pd.DataFrame = st.data_editor(
        pd.DataFrame(shown),
        key=f"{key}.{'-'.join(slot.name for slot in slots)}",  # other fields are another table
        hide_index=True,
        disabled=["name"] if editable else True,
        column_config={
            "name": st.column_config.TextColumn("Field") if editable or shared.expert() else None,
            "label": st.column_config.TextColumn("Label", max_chars=40),
            "default": st.column_config.TextColumn("Default", max_chars=200),
            "suggestions": st.column_config.TextColumn(
                f"Suggestions, with {own.BETWEEN} between", width="large"
            ),
            "optional": st.column_config.CheckboxColumn("May be empty"),
        },
    )
    rows: list[dict[str, Any]] = table.to_dict("records")
    return rows


def _check(draft: Template, pattern: str, rows: list[dict[str, Any]]) -> Template | None:
    """The template that the form makes; None, and one line of why, where it makes none."""
    try:
        found = replace(draft, pattern=pattern, slots=own.slots_of(pattern, rows))
        prompts.fill(found, {})
    except StudioError as error:
        message = str(error)
        st.error(shared.escape(message[:1].upper() + message[1:]), icon=":material/error:")
        return None
    return found


def _save(before: Template, found: Template, key: str) -> None:
    pressed = st.button(
        "Save",
        key=f"{key}.save",
        type="primary",
        icon=":material/save:",
        width="stretch",
        disabled=found == before,
        shortcut="Ctrl+S",
    )
    if not pressed:
        if found != before:
            st.caption("Changed, not saved yet.")
        return
    try:
        own.save(found)
    except StudioError as error:
        st.error(shared.escape(str(error)), icon=":material/error:")
        return
    words.refresh()
    st.toast("Saved. It is in the studio under its title.", icon=":material/check:")
    st.rerun()
