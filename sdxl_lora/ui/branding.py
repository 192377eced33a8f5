"""Brand and logo of the studio's form: chosen here, said in full by the request that is sent."""

from collections.abc import Mapping
from dataclasses import replace

import streamlit as st

from sdxl_lora.brands import kits
from sdxl_lora.brands.applying import applied
from sdxl_lora.logos import keeping, positions
from sdxl_lora.models import registry
from sdxl_lora.request import FIELDS, GenerationRequest, LogoSpec
from sdxl_lora.request.cue import CUES, NO_CUE
from sdxl_lora.request.logo_spec import LOOKS, PRINT
from sdxl_lora.ui import shared, words

BRAND = "pages/brand.py"
_CHOSEN = "create.brand"
_LOGO = "create.logo_file"
_AT = "create.logo_at"
_COLOUR = "create.brand_colour"
_BACKGROUND = "create.brand_background"
_MODEL = "create.model"
_RECOLOUR = "create.recolour"  # the field of the form that makes a garment's colour exact
_CUE = "create.logo_cue"
_STRENGTHS = {
    "controlnet_conditioning_scale": ("controlnet", "both"),
    "ip_adapter_scale": ("ip-adapter", "both"),
}
_NETWORKS = "create.cue_networks"  # of the picture whose settings were taken over; "" = the usual ones
_CUE_LABELS = {NO_CUE: "No", "controlnet": "Its outline", "ip-adapter": "Its looks", "both": "Both"}
_KEPT = "create.logos"  # of the picture whose settings were taken over

_FIELDS = {field.name: field for field in FIELDS}


def show() -> None:
    """Draws the choice of a brand kit, and of one more logo with its position."""
    state = st.session_state
    names = kits.names()
    if state.get(_CHOSEN) not in names:
        state[_CHOSEN] = None
    if names:
        st.selectbox("Brand kit", names, index=None, key=_CHOSEN, placeholder="None", persist_state="session")
        _offer(state.get(_CHOSEN))
    st.page_link(BRAND, label="Brand kits", icon=":material/branding_watermark:")
    st.file_uploader(
        "Logo, exactly as it is drawn",
        type=["svg", "png"],
        key=_LOGO,
        help="SVG, or PNG with a transparent ground. It is printed onto the finished picture, with the cloth's folds.",
    )
    st.selectbox(
        "Where the logo goes",
        list(positions.POSITIONS),
        format_func=lambda name: positions.POSITIONS[name].label,
        key=_AT,
        persist_state="session",
    )
    look(_LOGO)
    _offer_cue()
    for number, logo in enumerate(state.get(_KEPT, ())):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(shared.escape(str(logo)))
            st.button(
                "Remove", key=f"create.logo_off.{number}", type="tertiary", on_click=_remove, args=(number,)
            )


def look(key: str) -> str:
    """Draws the choice between print and embroidery."""
    chosen = st.segmented_control(
        "How it is put on",
        LOOKS,
        format_func=lambda one: "Printed, exact" if one == PRINT else "Embroidered, approximate",
        key=f"{key}.look",
        default=PRINT,
        required=True,
        persist_state="session",
    )
    return str(chosen)


def _offer_cue() -> None:
    """Draws whether the model sees the logo while it draws, where it can; and where it was taken over, to be undone."""
    state = st.session_state
    state.setdefault(_CUE, NO_CUE)
    if state[_CUE] == NO_CUE and not registry.capabilities_of(str(state.get(_MODEL, "auto"))).logo_cues:
        return
    st.segmented_control(
        "Show the logo to the model while it draws",
        CUES,
        format_func=_CUE_LABELS.__getitem__,
        key=_CUE,
        required=True,
        help=shared.escape(_FIELDS["logo_cue"].help),
        persist_state="session",
    )
    for name, cues in _STRENGTHS.items():
        if state[_CUE] in cues:
            field = _FIELDS[name]
            state.setdefault(f"create.{name}", field.default)
            st.slider(
                shared.escape(field.label),
                min_value=0.0,
                max_value=float(field.kind.schema()["maximum"]),
                step=0.1,
                key=f"create.{name}",
                help=shared.escape(field.help),
                persist_state="session",
            )


def _offer(name: str | None) -> None:
    """The colours and backgrounds of the brand: a click fills the blank, and a colour is made exact afterwards."""
    if name is None:
        return
    with shared.told():
        kit = kits.get(name)
        palette = {swatch.name: swatch.hex for swatch in kit.palette}
        if palette:
            st.pills(
                "Colours of the brand",
                list(palette),
                key=_COLOUR,
                format_func=shared.escape,
                on_change=_take_colour,
                args=(palette,),
                help="Its name goes into the words; the finished garment gets the very colour.",
            )
        if kit.backgrounds:
            st.pills(
                "Backgrounds of the brand",
                kit.backgrounds,
                key=_BACKGROUND,
                format_func=shared.escape,
                on_change=_take_background,
            )


def _take_colour(palette: Mapping[str, str]) -> None:
    if chosen := st.session_state[_COLOUR]:
        words.fill_in("colour", chosen)
        st.session_state[_RECOLOUR] = palette[chosen]
    else:  # taken back: as the words say
        st.session_state[_RECOLOUR] = ""


def _take_background() -> None:
    if chosen := st.session_state[_BACKGROUND]:
        words.fill_in("setting", chosen)


def _remove(number: int) -> None:
    logos = list(st.session_state.get(_KEPT, ()))
    st.session_state[_KEPT] = tuple(logos[:number] + logos[number + 1 :])


def restore(request: GenerationRequest) -> None:
    """Takes over the logos of a request; a brand that is chosen stays so, and says only what is not said yet."""
    state = st.session_state
    state[_KEPT] = request.logos
    state[_CUE] = request.logo_cue
    state[_NETWORKS] = {name: getattr(request, name) for name in ("controlnet", "ip_adapter")}
    for name in _STRENGTHS:
        state[f"create.{name}"] = getattr(request, name)


def with_logos(request: GenerationRequest) -> GenerationRequest:
    """The request with the logos of the form. Raises `StudioError`."""
    state = st.session_state
    logos: tuple[LogoSpec, ...] = tuple(state.get(_KEPT, ()))
    file = state.get(_LOGO)
    if file is not None:
        kept = keeping.keep(file.getvalue(), file.name)
        chosen = str(state.get(f"{_LOGO}.look") or PRINT)
        spec = LogoSpec(hash=kept.hash, name=file.name, at=state.get(_AT) or "chest", look=chosen)
        logos = logos if spec in logos else (*logos, spec)
    cue = {name: state.get(f"create.{name}", _FIELDS[name].default) for name in ("logo_cue", *_STRENGTHS)}
    return replace(request, logos=logos, **cue, **state.get(_NETWORKS, {}))


def branded(request: GenerationRequest) -> GenerationRequest:
    """The request with everything of the chosen brand. Raises `StudioError`."""
    name = st.session_state.get(_CHOSEN)
    return applied(kits.get(name), request) if name else request
