"""Brand and logo of the studio's form: chosen here, said in full by the request that is sent."""

from dataclasses import replace

import streamlit as st

from sdxl_lora.brands import kits
from sdxl_lora.brands.applying import applied
from sdxl_lora.logos import asked, placing
from sdxl_lora.request import GenerationRequest, LogoSpec
from sdxl_lora.request.logo_spec import LOOKS, PRINT
from sdxl_lora.ui import shared

BRAND = "pages/brand.py"
_CHOSEN = "create.brand"
_LOGO = "create.logo_file"
_AT = "create.logo_at"
_KEPT = "create.logos"  # of the picture whose settings were taken over


def show() -> None:
    """Draws the choice of a brand kit, and of one more logo with its position."""
    state = st.session_state
    names = kits.names()
    if state.get(_CHOSEN) not in names:
        state[_CHOSEN] = None
    if names:
        st.selectbox("Brand", names, index=None, key=_CHOSEN, placeholder="No brand", persist_state="session")
        _tell(state.get(_CHOSEN))
    st.page_link(BRAND, label="Brand kits", icon=":material/branding_watermark:")
    st.file_uploader(
        "Logo, exactly as it is drawn",
        type=["svg", "png"],
        key=_LOGO,
        help="SVG, or PNG with a transparent ground. It is printed onto the finished picture, with the cloth's folds.",
    )
    st.selectbox(
        "Where the logo goes",
        list(placing.POSITIONS),
        format_func=lambda name: placing.POSITIONS[name].label,
        key=_AT,
        persist_state="session",
    )
    look(_LOGO)
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


def _tell(name: str | None) -> None:
    """The colours and backgrounds of the brand, to choose words by."""
    if name is None:
        return
    with shared.told():
        kit = kits.get(name)
        said = {"Colours": [swatch.name for swatch in kit.palette], "Backgrounds": list(kit.backgrounds)}
        for label, words in said.items():
            if words:
                st.caption(shared.escape(f"{label} of {name}: {', '.join(words)}"))


def _remove(number: int) -> None:
    logos = list(st.session_state.get(_KEPT, ()))
    st.session_state[_KEPT] = tuple(logos[:number] + logos[number + 1 :])


def restore(request: GenerationRequest) -> None:
    """Takes over the logos of a request; a brand that is chosen stays so, and says only what is not said yet."""
    st.session_state[_KEPT] = request.logos


def with_logos(request: GenerationRequest) -> GenerationRequest:
    """The request with the logos of the form. Raises `StudioError`."""
    state = st.session_state
    logos: tuple[LogoSpec, ...] = tuple(state.get(_KEPT, ()))
    file = state.get(_LOGO)
    if file is not None:
        kept = asked.keep(file.getvalue(), file.name)
        chosen = str(state.get(f"{_LOGO}.look") or PRINT)
        spec = LogoSpec(hash=kept.hash, name=file.name, at=state.get(_AT) or "chest", look=chosen)
        logos = logos if spec in logos else (*logos, spec)
    return replace(request, logos=logos)


def branded(request: GenerationRequest) -> GenerationRequest:
    """The request with everything of the chosen brand. Raises `StudioError`."""
    name = st.session_state.get(_CHOSEN)
    return applied(kits.get(name), request) if name else request
