"""The words of the composer: template pills, the blanks of a template, and the line that will be sent.

The line follows the blanks until somebody edits it by hand; from then on it is left alone, and a button
offers to fill it in again. Nothing typed is ever overwritten without being asked to.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from sdxl_lora import prompts
from sdxl_lora.errors import InputError
from sdxl_lora.prompts import Slot, Template, attributes, translation
from sdxl_lora.request import GenerationRequest
from sdxl_lora.ui import limits, shared

OWN = "Write my own"
FIELD = "What will be sent"  # label of the line
PROMPT = "create.prompt"
NEGATIVE = "create.negative"
_GARMENT = "create.garment"
_STYLE = "create.style"
_TEMPLATE = "create.template"  # name of the template whose blanks were shown last
_FILLED = "create.filled"  # what the blanks gave when the line last followed them
_FILLED_NEGATIVE = "create.filled_negative"
_FIRST = ("Jacket", "T-shirt")  # what is asked for most; the others follow by name
_FOLDED = (
    "second_colour",
    "material",
    "presentation",
    "light",
    "camera",
    "detail",
    "style",
)  # blanks few people need


@dataclass(frozen=True, kw_only=True)
class Words:
    """What the composer says."""

    prompt: str
    template: str = ""  # "": no template, or edited by hand since
    slots: tuple[tuple[str, str], ...] = ()


def show(line: DeltaGenerator) -> Words:
    """Draws the widgets and returns what they say now; garment and words go into `line`, the blanks below it."""
    state = st.session_state
    state.setdefault(PROMPT, "")
    state.setdefault(_FILLED, "")
    groups = _groups()
    for name, error in prompts.problems().items():
        st.error(f"{shared.escape(name)}: {shared.escape(str(error))}", icon=":material/error:")
    if state.get(_GARMENT, "") not in (*groups, OWN):
        # a template that was taken away leaves its words; a first visit has none
        state[_GARMENT] = OWN if state.get(_GARMENT) and state[PROMPT] else next(iter(groups), OWN)
    garment = line.pills(
        "What are you making?",
        [*groups, OWN],
        key=_GARMENT,
        required=True,
        persist_state="session",
    )
    styles = groups.get(str(garment), {})
    if len(styles) > 1:
        if state.get(_STYLE) not in styles:
            state[_STYLE] = next(iter(styles))
        st.segmented_control(
            "Kind of picture",
            list(styles),
            format_func=str.capitalize,
            key=_STYLE,
            required=True,
            persist_state="session",
            help="Catalogue: the product alone. Lifestyle: somebody wears it somewhere.",
        )
    template = styles.get(state.get(_STYLE, "")) or next(iter(styles.values()), None)
    values = {} if template is None else _blanks(template)
    st.page_link(shared.TEMPLATES, label="Own templates", icon=":material/edit_note:")
    text = _follow(template, values)
    line.text_area(
        FIELD,
        key=PROMPT,
        height=104,
        placeholder="For example: a navy windbreaker jacket with a white triangle logo on the chest",
        help="The picture is made from exactly these words. Edit them as you like:"
        " `(navy:1.4)` says navy louder, `{red|navy}` makes one picture of each.",
        persist_state="session",
    )
    prompt = str(state[PROMPT])
    if template is None or text is None:
        return Words(prompt=prompt)
    if prompt != text:
        with line.container(horizontal=True, vertical_alignment="center"):
            st.caption("Edited by hand: the fields below no longer change it.")
            st.button(
                "Fill in from the fields",
                key="create.refill",
                type="tertiary",
                on_click=_refill,
                args=(text,),
            )
        brand = values.get("brand", "").strip()  # votes are kept by brand
        named = brand and brand.lower() in prompt.lower()
        return Words(prompt=prompt, slots=(("brand", brand),) if named else ())
    return Words(prompt=prompt, template=template.name, slots=tuple(values.items()))


def restore(request: GenerationRequest) -> None:
    """Puts the words of `request` into the widgets; call before they are drawn."""
    state = st.session_state
    state[PROMPT] = state[_FILLED] = request.prompt  # nobody typed it: choosing a template may replace it
    state[NEGATIVE] = request.negative_prompt
    state[_FILLED_NEGATIVE] = ""
    for garment, styles in _groups().items():
        for style, template in styles.items():
            filled = _filled(template, dict(request.slots)) if template.name == request.template else None
            if filled is not None:
                state[_GARMENT], state[_STYLE], state[_TEMPLATE] = garment, style, template.name
                state[_FILLED] = filled  # other words than the fields give are taken as edited by hand
                state[_FILLED_NEGATIVE] = template.negative
                for name, value in request.slots:
                    state[_key(template, name)] = value or None
                return
    state[_GARMENT] = OWN


def refresh() -> None:
    """Templates were added, changed or deleted."""
    _groups.clear()


@st.cache_resource(ttl=5, max_entries=1, show_spinner=False)
def _groups() -> dict[str, dict[str, Template]]:
    """Garment as people call it -> style -> template.

    Read anew after five seconds: users may add their own.
    """
    groups: dict[str, dict[str, Template]] = {}
    for template in prompts.templates().values():
        garment = template.title.rpartition(",")[0].strip() or template.title
        if template.style in groups.get(garment, {}):  # two of one title: both must be there to choose
            garment = f"{garment} ({template.name})"
        groups.setdefault(garment, {})[template.style] = template
    return dict(sorted(groups.items(), key=lambda item: (item[0] not in _FIRST, item[0])))


def _blanks(template: Template) -> dict[str, str]:
    """Draws the blanks of `template`; their values by slot name."""
    state = st.session_state
    if state.get(_TEMPLATE) != template.name:
        _carry_over(template)
        state[_TEMPLATE] = template.name
    with st.grid(2, min_column_width=130, gap="small"):
        for slot in template.slots:
            if slot.name not in _FOLDED:
                _blank(template, slot)
    folded = [slot for slot in template.slots if slot.name in _FOLDED]
    if folded:
        with st.expander("More details"), st.grid(2, min_column_width=130, gap="small"):
            for slot in folded:
                _blank(template, slot)
    values = {slot.name: str(state.get(_key(template, slot.name)) or "") for slot in template.slots}
    english = translation.of_fields(values)
    if english:
        said = ", ".join(f"{values[name]} → {word}" for name, word in english.items())
        st.caption(f":material/translate: {shared.escape(said)}")
    return values | english


def _blank(template: Template, slot: Slot) -> None:
    label = limits.product_label(str(st.session_state.get("create.model") or "auto"))
    st.selectbox(
        slot.label,
        slot.suggestions,
        index=None,
        format_func=label if slot.name in attributes.SLOTS["garment"] else str,
        key=_key(template, slot.name),
        accept_new_options=True,
        placeholder="Choose or type" if slot.optional else slot.default,
        persist_state="session",
    )


def _carry_over(template: Template) -> None:
    """A first look at a template starts from its defaults, but keeps what was said before and fits here."""
    state = st.session_state
    before = prompts.templates().get(state.get(_TEMPLATE, ""))
    said = {slot.name: slot for slot in before.slots} if before else {}
    for slot in template.slots:
        old = said.get(slot.name)
        if before is not None and old is not None and old.suggestions == slot.suggestions:
            state[_key(template, slot.name)] = state.get(_key(before, slot.name))
        elif _key(template, slot.name) not in state:
            state[_key(template, slot.name)] = slot.default or None


def _follow(template: Template | None, values: Mapping[str, str]) -> str | None:
    """What the blanks give; the line and the negative prompt become it unless edited by hand."""
    if template is None:
        return None
    state = st.session_state
    try:
        text = prompts.fill(template, _given(template, values))
    except InputError as error:
        st.error(shared.escape(str(error)), icon=":material/error:")
        return None
    for key, filled, new in ((PROMPT, _FILLED, text), (NEGATIVE, _FILLED_NEGATIVE, template.negative)):
        if state.get(key, "") == state.get(filled, ""):
            state[key] = state[filled] = new
    return text


def _given(template: Template, values: Mapping[str, str]) -> dict[str, str]:
    """Empty blanks that must not be empty are left to the template's default."""
    return {slot.name: values[slot.name] for slot in template.slots if values.get(slot.name) or slot.optional}


def _filled(template: Template, values: Mapping[str, str]) -> str | None:
    try:
        return prompts.fill(template, values)
    except InputError:
        return None  # the template has changed since


def _refill(text: str) -> None:
    st.session_state[PROMPT] = st.session_state[_FILLED] = text


def fill_in(slot: str, text: str) -> None:
    """Puts `text` into a blank of the template that is shown, where it has such a one; for callbacks."""
    template = prompts.templates().get(st.session_state.get(_TEMPLATE, ""))
    if template is not None and any(known.name == slot for known in template.slots):
        st.session_state[_key(template, slot)] = text


def replace(text: str) -> None:
    """Puts `text` into the line, as if it had been typed; for callbacks, which run before the line is drawn."""
    st.session_state[PROMPT] = text


def _key(template: Template, slot: str) -> str:
    return f"create.slot.{template.name}.{slot}"
