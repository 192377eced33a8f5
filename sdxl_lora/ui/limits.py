"""What the chosen model cannot draw of the words, said under them before anything is drawn, and the way out."""

from collections.abc import Callable, Mapping

import streamlit as st

from sdxl_lora import prompts
from sdxl_lora.errors import InputError
from sdxl_lora.models import registry
from sdxl_lora.scoring import limits
from sdxl_lora.scoring.limits import Limits
from sdxl_lora.ui.shared import escape

MOST_PROMPTS = 16  # of one with choices in it, that are looked at


def of(model: str, prompt: str, slots: Mapping[str, str]) -> Limits | None:
    """The first limits that the prompt, or one of those it stands for, meets; None without any."""
    name = registry.resolve_auto() if model == "auto" else model
    try:
        variants = prompts.expand(prompt)
    except InputError:  # said elsewhere
        return None
    if variants.count > MOST_PROMPTS:
        return None
    found = (limits.of(name, variant, slots) for variant in variants)
    return next((one for one in found if one), None)


def show(model: str, prompt: str, slots: Mapping[str, str], replace: Callable[[str], None]) -> None:
    """Draws the lines, and a button that takes the English; `replace` puts a text into the prompt's field."""
    met = of(model, prompt, slots) if prompt.strip() else None
    if met is None:
        return
    with st.container(key="limits", gap="xsmall"):
        for line in met.lines():
            st.caption(f":material/info: {escape(line)}")
        if met.translation is not None and st.button(
            "Use the English",
            key="create.translate",
            icon=":material/translate:",
            on_click=replace,
            args=(met.translation,),
        ):
            st.rerun(scope="app")


def product_label(model: str) -> Callable[[str], str]:
    """How a product stands in a menu: one that the model cannot draw says so."""
    name = registry.resolve_auto() if model == "auto" else model
    capabilities = registry.capabilities_of(name)
    return lambda value: f"{value} (not drawn by {name})" if capabilities.draws(value) is False else value
