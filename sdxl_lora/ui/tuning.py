"""The settings of the composer that have sensible defaults: all folded away.

An empty field means the model's own choice.
"""

import math
from dataclasses import dataclass, fields
from typing import Any, get_args

import streamlit as st

from sdxl_lora.config import Precision
from sdxl_lora.errors import InputError, RequestError
from sdxl_lora.models import registry, schedulers
from sdxl_lora.models.registry import ModelDefaults
from sdxl_lora.request import GenerationRequest, LoraSpec
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


@dataclass(frozen=True, kw_only=True)
class _Start:
    """What the widgets say when nobody touched them."""

    model: str = "auto"
    steps: int | None = None
    guidance: float | None = None
    guidance_end: float | None = None
    shape: str = _OWN_SHAPE
    width: int | None = None
    height: int | None = None
    seed: str = ""
    scheduler: str = _OWN_SCHEDULER
    sketch: int | None = None
    precision: str = "auto"


_FIELDS = tuple(field.name for field in fields(_Start))


def show() -> None:
    """Draws the widgets; `values` reads them."""
    for name in _FIELDS:
        st.session_state.setdefault(f"create.{name}", getattr(_Start(), name))
    st.text_area(
        "Avoid",
        key=words.NEGATIVE,
        height=80,
        placeholder="What must not be in the picture",
        help="The negative prompt: words the picture is steered away from.",
        persist_state="session",
    )
    model = st.selectbox(
        "Model",
        ["auto", *registry.NAMES],
        format_func=_model_label,
        key="create.model",
        accept_new_options=True,
        help="Or type a folder, or a hub id such as owner/model.",
        persist_state="session",
    )
    defaults = _defaults(str(model))
    with st.grid(2, min_column_width=130):
        st.number_input(
            "Steps",
            step=1,
            value=None,
            key="create.steps",
            placeholder=f"{defaults.steps}",
            help="More steps take longer and add detail, up to a point.",
            persist_state="session",
        )
        st.number_input(
            "Guidance",
            step=0.5,
            value=None,
            format="%g",
            key="create.guidance",
            placeholder=f"{defaults.guidance:g}",
            help="How strictly the picture follows the words; too much looks harsh.",
            persist_state="session",
        )
        st.text_input(
            "Seed",
            key="create.seed",
            placeholder="A new one each time",
            help="The same seed with the same settings gives the same picture.",
            persist_state="session",
        )
        st.selectbox(
            "Size",
            list(SHAPES),
            key="create.shape",
            format_func=_shape_label(defaults),
            persist_state="session",
        )
        if st.session_state["create.shape"] == _CUSTOM:
            for side in ("width", "height"):
                st.number_input(
                    f"{side.capitalize()} in px",
                    step=8,
                    value=None,
                    key=f"create.{side}",
                    placeholder=str(getattr(defaults, side)),
                    persist_state="session",
                )
        _sampling(defaults)
    _loras()


def values() -> dict[str, Any]:
    """The fields of a `GenerationRequest` that the widgets decide. Raises `InputError`."""
    state = st.session_state
    width, height = _sides(str(state["create.shape"]), str(state["create.model"]))
    scheduler = state["create.scheduler"]
    return {
        "negative_prompt": state.get(words.NEGATIVE, ""),
        "model": state["create.model"] or "auto",
        "steps": state["create.steps"],
        "guidance": state["create.guidance"],
        "guidance_end": state["create.guidance_end"],
        "width": width,
        "height": height,
        "seed": _seed(str(state["create.seed"])),
        "scheduler": None if scheduler == _OWN_SCHEDULER else scheduler,
        "sketch_steps": state["create.sketch"],
        "precision": state["create.precision"],
        "loras": tuple(
            LoraSpec(path=path, weight=float(state.get(f"create.lora.{row}.weight", 1.0)))
            for row in range(MAX_LORAS)
            if (path := str(state.get(f"create.lora.{row}.path", "")).strip())
        ),
    }


def restore(request: GenerationRequest) -> None:
    """Puts the settings of `request` into the widgets; call before they are drawn."""
    state = st.session_state
    start = _Start(
        model=request.model,
        steps=request.steps,
        guidance=request.guidance,
        guidance_end=request.guidance_end,
        shape=_shape_of(request),
        width=request.width,
        height=request.height,
        seed="" if request.seed is None else str(request.seed),
        scheduler=request.scheduler or _OWN_SCHEDULER,
        sketch=request.sketch_steps,
        precision=request.precision,
    )
    for name in _FIELDS:
        state[f"create.{name}"] = getattr(start, name)
    for row in range(MAX_LORAS):
        lora = request.loras[row] if row < len(request.loras) else LoraSpec(path="")
        state[f"create.lora.{row}.path"] = lora.path
        state[f"create.lora.{row}.weight"] = lora.weight


def shape_sides(ratio: float, defaults: ModelDefaults) -> tuple[int, int]:
    """Width and height in px: width / height near `ratio`, about as many pixels as the model was made for.

    Sides are multiples of 64 (32 for models below 512 px), which the levels of a UNet divide evenly.
    """
    step = 64 if min(defaults.width, defaults.height) >= 512 else 32
    area = defaults.width * defaults.height
    width, height = math.sqrt(area * ratio), math.sqrt(area / ratio)
    return max(step, round(width / step) * step), max(step, round(height / step) * step)


def _sampling(defaults: ModelDefaults) -> None:
    """How the picture is drawn, for those who know."""
    st.number_input(
        "Guidance end",
        step=0.1,
        value=None,
        format="%g",
        key="create.guidance_end",
        placeholder=f"{defaults.guidance_end:g}",
        help="On which share of the way the picture is held to the words, from 0 to 1. Without guidance towards"
        " the end surfaces are cleaner, and the picture is done sooner.",
        persist_state="session",
    )
    st.selectbox(
        "Scheduler", [_OWN_SCHEDULER, *schedulers.NAMES], key="create.scheduler", persist_state="session"
    )
    st.number_input(
        "Sketch steps",
        step=1,
        value=None,
        key="create.sketch",
        placeholder="None",
        help="Faster: the first half of the way in the long strides of a sketch of so many steps, 6 for 20 steps."
        " Pictures that were finished from a sketch need the same number to come out the same again.",
        persist_state="session",
    )
    st.selectbox("Precision", get_args(Precision), key="create.precision", persist_state="session")


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
                help="A small add-on that teaches the model a brand or product." if row == 0 else None,
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


def _seed(text: str) -> int | None:
    if not text.strip():
        return None
    try:
        return int(text)
    except ValueError:
        raise RequestError(
            f"seed {text.strip()!r} is not a whole number; leave it empty for a new one"
        ) from None
