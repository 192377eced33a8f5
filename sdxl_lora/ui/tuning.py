"""The settings of the composer that have sensible defaults: all folded away.

The widgets are made from the table of request fields, each by its kind. An empty one means the model's own choice.
"""

import math
from typing import Any

import streamlit as st

from sdxl_lora.errors import InputError, RequestError
from sdxl_lora.models import registry, schedulers
from sdxl_lora.models.registry import ModelDefaults
from sdxl_lora.request import FIELDS, OWN_SCHEDULER, Field, GenerationRequest, LoraSpec
from sdxl_lora.request.kinds import Background, Choice, Colour, Factor, Name, Number, Seed, Switch, Whole
from sdxl_lora.ui import shared, words

MAX_LORAS = 4
SHAPES = {
    "Model's own size": None,
    "Portrait 3:4": 3 / 4,
    "Landscape 4:3": 4 / 3,
    "Custom": None,
}
_OWN_SHAPE, *_, _CUSTOM = SHAPES
_OWN_SCHEDULER = "Model's own"


_SHAPE = "create.shape"
_ALONE = ("model", "loras")  # fields with more than one widget in a cell of the grid
_SIDES = ("width", "height")
_IN_FORM = [field for field in FIELDS if field.group in ("settings", "expert") and field.name != "loras"]


def show() -> None:
    """Draws the widgets; `values` reads them."""
    state = st.session_state
    state.setdefault(_SHAPE, _OWN_SHAPE)
    for field in _IN_FORM:
        state.setdefault(_key(field), _start(field))
    avoid = _field("negative_prompt")
    st.text_area(
        shared.escape(avoid.label),
        key=words.NEGATIVE,
        height=80,
        placeholder="What must not be in the picture",
        help=shared.escape(avoid.help),
        persist_state="session",
    )
    model = _field("model")
    st.selectbox(
        shared.escape(model.label),
        ["auto", *registry.NAMES],
        format_func=_model_label,
        key=_key(model),
        accept_new_options=True,
        help=shared.escape(model.help),
        persist_state="session",
    )
    defaults = _defaults(str(state[_key(model)]))
    with st.grid(2, min_column_width=130):
        for group in ("settings", "expert"):
            for field in _IN_FORM:
                if field.group == group and field.name not in (*_ALONE, *_SIDES) and _is_shown(field):
                    _widget(field, defaults)
            if group == "settings":
                _size(defaults)
    _loras()


def _is_shown(field: Field) -> bool:
    """Everybody sees what everybody understands, and whatever is set: nothing works in secret."""
    return field.group == "settings" or shared.expert() or st.session_state[_key(field)] != _start(field)


def values() -> dict[str, Any]:
    """The fields of a `GenerationRequest` that the widgets decide. Raises `InputError`."""
    state = st.session_state
    found = {field.name: _said(field, state[_key(field)]) for field in _IN_FORM}
    found |= dict(zip(_SIDES, _sides(str(state[_SHAPE]), str(found["model"])), strict=True))
    found["negative_prompt"] = state.get(words.NEGATIVE, "")
    found["loras"] = tuple(
        LoraSpec(path=path, weight=float(state.get(f"create.lora.{row}.weight", 1.0)))
        for row in range(MAX_LORAS)
        if (path := str(state.get(f"create.lora.{row}.path", "")).strip())
    )
    return found


def restore(request: GenerationRequest) -> tuple[str, ...]:
    """Puts the settings of `request` into the widgets; call before they are drawn.

    Returns what there is no widget or no choice for, one sentence each.
    """
    state, notes = st.session_state, []
    for field in _IN_FORM:
        value = getattr(request, field.name)
        if field.name == "scheduler" and value not in (None, OWN_SCHEDULER, *schedulers.NAMES):
            notes.append(f"There is no scheduler {value} here: the model's own is chosen.")
            value = None
        state[_key(field)] = _start(field) if value in (None, field.otherwise) else _shown(field, value)
    state[_SHAPE] = _shape_of(request)
    for row in range(MAX_LORAS):
        lora = request.loras[row] if row < len(request.loras) else LoraSpec(path="")
        state[f"create.lora.{row}.path"] = lora.path
        state[f"create.lora.{row}.weight"] = lora.weight
    if len(request.loras) > MAX_LORAS:
        notes.append(f"Only {MAX_LORAS} of {len(request.loras)} LoRAs are taken over.")
    return tuple(notes)


def _field(name: str) -> Field:
    return next(field for field in FIELDS if field.name == name)


def _key(field: Field) -> str:
    return f"create.{field.name}"


def _start(field: Field) -> Any:
    """What its widget says when nobody touched it."""
    if field.name == "scheduler":
        return _OWN_SCHEDULER
    return (
        "" if isinstance(field.kind, Seed) or (field.open and isinstance(field.kind, Name)) else field.default
    )


def _shown(field: Field, value: Any) -> Any:
    """A value as its widget holds it."""
    return str(value) if isinstance(field.kind, Seed) else value


def _said(field: Field, shown: Any) -> Any:
    """What a widget says. Raises `RequestError`."""
    if shown is None or (isinstance(shown, str) and shown.strip() in ("", _OWN_SCHEDULER)):
        return field.default
    if isinstance(field.kind, Background | Colour):
        return field.kind.parse(shown)
    if isinstance(field.kind, Seed):
        try:
            return field.kind.parse(str(shown))
        except ValueError:
            raise RequestError(
                f"{field.words} {shown.strip()!r} is not a whole number; leave it empty for a new one"
            ) from None
    return shown


def _widget(field: Field, defaults: ModelDefaults) -> None:
    """The widget that fits the kind of a field; empty means what its placeholder says."""
    usual = getattr(defaults, field.name, None) if field.from_model else None
    how: dict[str, Any] = {"key": _key(field), "help": field.help, "persist_state": "session"}
    label = f"{field.label} in {field.unit}" if field.unit else field.label
    kind = field.kind
    if isinstance(kind, Seed):
        st.text_input(shared.escape(label), placeholder="A new one each time", **how)
    elif isinstance(kind, Whole):
        st.number_input(
            shared.escape(label),
            step=kind.multiple,
            value=None,
            placeholder="None" if usual is None else str(usual),
            **how,
        )
    elif isinstance(kind, Number):
        empty = field.otherwise if usual is None else usual
        placeholder = "" if empty is None else f"{empty:g}"
        st.number_input(
            shared.escape(label), step=kind.step, value=None, format="%g", placeholder=placeholder, **how
        )
    elif isinstance(kind, Switch):
        st.checkbox(shared.escape(label), **how)
    elif isinstance(kind, Background):
        st.selectbox(
            shared.escape(label),
            ["", *kind.plain],
            format_func=lambda value: kind.words(value).capitalize(),
            accept_new_options=True,
            **how,
        )
    elif isinstance(kind, Colour):
        st.text_input(shared.escape(label), placeholder="As drawn; or a colour, #1F2A44", **how)
    elif isinstance(kind, Factor):
        st.selectbox(shared.escape(label), kind.options, format_func=_factor_label, **how)
    elif isinstance(kind, Choice):
        st.selectbox(shared.escape(label), kind.options, **how)
    elif field.name == "scheduler":
        st.selectbox(shared.escape(label), [_OWN_SCHEDULER, *schedulers.NAMES], **how)
    else:
        st.text_input(shared.escape(label), **how)


def _factor_label(factor: int) -> str:
    return "As drawn" if factor == 1 else f"{factor} times as large"


def _size(defaults: ModelDefaults) -> None:
    """One choice of a shape, which gives both sides, or the two of them."""
    st.selectbox(
        "Size", list(SHAPES), key=_SHAPE, format_func=_shape_label(defaults), persist_state="session"
    )
    if st.session_state[_SHAPE] == _CUSTOM:
        for side in _SIDES:
            _widget(_field(side), defaults)


def shape_sides(ratio: float, defaults: ModelDefaults) -> tuple[int, int]:
    """Width and height in px: width / height near `ratio`, about as many pixels as the model was made for.

    Sides are multiples of 64 (32 for models below 512 px), which the levels of a UNet divide evenly.
    """
    step = 64 if min(defaults.width, defaults.height) >= 512 else 32
    area = defaults.width * defaults.height
    width, height = math.sqrt(area * ratio), math.sqrt(area / ratio)
    return max(step, round(width / step) * step), max(step, round(height / step) * step)


def _loras() -> None:
    """Rows of LoRA and strength; a new row appears when the last is filled."""
    state = st.session_state
    filled = [row for row in range(MAX_LORAS) if str(state.get(f"create.lora.{row}.path", "")).strip()]
    for row in range(min(MAX_LORAS, max(filled, default=-1) + 2)):
        state.setdefault(f"create.lora.{row}.weight", 1.0)
        with st.grid(2, min_column_width=130):
            st.text_input(
                "LoRA" if row == 0 else f"LoRA {row + 1:d}",
                key=f"create.lora.{row}.path",
                placeholder="File, folder or hub id",
                help=shared.escape(_field("loras").help) if row == 0 else None,
                persist_state="session",
            )
            st.number_input(
                "Strength", step=0.1, format="%g", key=f"create.lora.{row}.weight", persist_state="session"
            )


def _defaults(model: str) -> ModelDefaults:
    """What an empty field stands for; a model that is not there is said so."""
    try:
        info = registry.describe(model)
    except InputError as error:
        st.error(shared.escape(str(error)), icon=":material/error:")
        return ModelDefaults()
    if not info.present and info.bytes:
        st.caption(
            f"Not on this machine yet: the first picture fetches {info.bytes / 1e9:.1f} GB."
            f" Licence: {shared.escape(info.licence)}."
        )
    return info.defaults


def _model_label(model: str) -> str:
    try:
        info = registry.describe(model)
    except InputError:
        return model  # typed by hand; `_defaults` says what is wrong with it
    if model == "auto":
        return f"Automatic ({info.name})"
    return model if info.present else f"{model} (not on this machine)"


def _shape_label(defaults: ModelDefaults) -> Any:
    def label(shape: str) -> str:
        ratio = SHAPES.get(shape)
        if shape == _OWN_SHAPE:
            return f"{defaults.width} × {defaults.height}"
        if ratio is None:
            return shape
        width, height = shape_sides(ratio, defaults)
        return f"{shape} · {width} × {height}"

    return label


def _shape_of(request: GenerationRequest) -> str:
    """The entry of `SHAPES` that gives the size of `request`."""
    sides = (request.width, request.height)
    if sides == (None, None):
        return _OWN_SHAPE
    try:
        defaults = registry.describe(request.model).defaults
    except InputError:
        return _CUSTOM
    if sides == (defaults.width, defaults.height):
        return _OWN_SHAPE
    fitting = (shape for shape, ratio in SHAPES.items() if ratio and sides == shape_sides(ratio, defaults))
    return next(fitting, _CUSTOM)


def _sides(shape: str, model: str) -> tuple[int | None, int | None]:
    ratio = SHAPES.get(shape)
    if shape == _CUSTOM:
        return st.session_state["create.width"], st.session_state["create.height"]
    if ratio is None:
        return None, None
    return shape_sides(ratio, registry.describe(model).defaults)
