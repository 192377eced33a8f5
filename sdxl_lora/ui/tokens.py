"""The line under the prompt: how long it is for the chosen model, and how many pictures it stands for.

Follows every keystroke: a piece of script on the page tells the server what stands in the field, and the server counts
with the model's own tokenizers. Only this line is drawn anew.
"""

import hashlib
from typing import Any

import streamlit as st

from sdxl_lora.errors import StudioError
from sdxl_lora.generation import tokens
from sdxl_lora.request import GenerationRequest, expansion
from sdxl_lora.ui import limits, shared, words

_PAUSE = 250  # ms without a keystroke
_HELP = (
    "How much of the words the model reads at once, the marks at the beginning and the end included."
    " It is counted in tokens, pieces of words; longer prompts are sent in chunks, and nothing is cut."
)

# `input` events of the prompt's field bubble to the document, so the field may be replaced as often as it likes.
_LISTEN = """
export default function ({ data, setStateValue }) {
  let timer;
  const listen = (event) => {
    if (event.target.getAttribute?.("aria-label") !== data.label) return;
    clearTimeout(timer);
    timer = setTimeout(() => setStateValue("typed", { text: event.target.value, over: data.over }), data.pause);
  };
  document.addEventListener("input", listen);
  return () => { clearTimeout(timer); document.removeEventListener("input", listen); };
}
"""


@st.cache_resource(show_spinner=False, max_entries=1)
def _listener() -> Any:
    return st.components.v2.component("studio_typing", html="<span></span>", js=_LISTEN)


@st.fragment
def show(label: str, asked: words.Words, model: str, count: int) -> None:
    """Draws the line, and below it what the model cannot draw.

    `label`: of the prompt's field; `asked`: what was in it when the page ran last.
    """
    prompt = asked.prompt
    over = hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest()[:12]
    with st.container(key="typing"):  # takes no room, see style.css
        said = _listener()(
            data={"label": label, "over": over, "pause": _PAUSE},
            key="create.typing",
            on_typed_change=_nothing,
        )
    typed = getattr(said, "typed", None) or {}
    text = str(typed.get("text", "")) if typed.get("over") == over else prompt
    line = " · ".join(filter(None, [_length(text, model), _pictures(text, asked, count)]))
    with st.container(key="length"):  # close to the field, see style.css
        if line:
            st.caption(shared.escape(line), help=_HELP)
    limits.show(model, text, dict(asked.slots), words.replace)


def _length(text: str, model: str) -> str:
    found = tokens.count(model, text) if text.strip() else None
    if found is None or (found.chunks == 1 and not shared.expert()):
        return ""
    if not shared.expert():
        return f"Long: read in {found.chunks} parts, what comes first counts most"
    return tokens.in_words(found)


def _pictures(text: str, asked: words.Words, count: int) -> str:
    """What choices in the prompt come to; empty without any."""
    if not text.strip():
        return ""
    try:
        request = GenerationRequest(prompt=text, template=asked.template, slots=asked.slots)
        number = expansion.expand(request).count
    except StudioError as error:
        return str(error)
    return "" if number == 1 else f"{number:,} prompts × {count} = {number * count:,} pictures"


def _nothing() -> None:
    """A component's state is only kept for those who ask to be told of it."""
