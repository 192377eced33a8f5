"""The form of a brand kit, and its way in and out as a ZIP."""

import hashlib

import streamlit as st

from sdxl_lora.brands import kits
from sdxl_lora.brands.kit import BrandKit, KitLogo, Swatch
from sdxl_lora.errors import StudioError
from sdxl_lora.logos import positions
from sdxl_lora.ui import shared

_ONLY_KEPT = "Only kept"
_TAKEN = "brand.taken"  # digest of the ZIP that was read last


def edit(kit: BrandKit | None) -> None:
    """Fields of a kit, or of a new one, and what saves and deletes it."""
    key = f"brand.{kits.slug(kit.name) if kit else 'new'}"
    with st.form(key, border=True):
        name = (
            kit.name
            if kit
            else st.text_input("Name", key=f"{key}.name", placeholder="For example: North Peak")
        )
        colours = _lines(
            key, "Colours, each as name #RRGGBB", [f"{s.name} {s.hex}" for s in kit.palette] if kit else []
        )
        words = _lines(key, "Words for every picture", kit.words if kit else ())
        avoid = _lines(key, "Words to avoid", kit.avoid if kit else ())
        backgrounds = _lines(key, "Backgrounds", kit.backgrounds if kit else ())
        lora = st.text_input(
            "LoRA", kit.lora if kit else "", key=f"{key}.lora", placeholder="File, folder or hub id"
        )
        kept = _logos(kit, key)
        file = st.file_uploader(
            "Add a logo (SVG, or PNG with a transparent ground)", ["svg", "png"], key=f"{key}.file"
        )
        at = st.selectbox("Where it goes", [*positions.POSITIONS, ""], format_func=_place, key=f"{key}.at")
        pressed = st.form_submit_button("Save", type="primary", icon=":material/save:")
    if pressed:
        new = {} if file is None else {file.name: file.getvalue()}
        try:
            logos = [logo for logo in kept if logo.file not in new] + [
                KitLogo(file=one, at=at) for one in new
            ]
            made = BrandKit(
                name=str(name).strip(),
                palette=tuple(_swatch(line) for line in colours),
                logos=tuple(logos),
                words=words,
                avoid=avoid,
                backgrounds=backgrounds,
                lora=lora.strip(),
                lora_weight=kit.lora_weight if kit else 1.0,
            )
            if kit is None and made.name in kits.names():
                st.error(
                    shared.escape(f"{made.name} is there already; choose it above"), icon=":material/error:"
                )
                return
            kits.save(made, new)
        except StudioError as error:
            st.error(shared.escape(str(error)), icon=":material/error:")
            return
        st.success(shared.escape(f"{made.name} is saved."), icon=":material/check:")


def _lines(key: str, label: str, values: "list[str] | tuple[str, ...]") -> tuple[str, ...]:
    text = st.text_area(f"{label}, one a line", "\n".join(values), key=f"{key}.{label}", height=80)
    return tuple(line.strip() for line in str(text).splitlines() if line.strip())


def _swatch(line: str) -> Swatch:
    name, _, value = line.rpartition(" ")
    return Swatch(name=name.strip(), hex=value)


def _logos(kit: BrandKit | None, key: str) -> list[KitLogo]:
    """The kit's logos that stay."""
    stay = []
    for logo in kit.logos if kit else ():
        if st.checkbox(
            f"{shared.escape(logo.file)}: {_place(logo.at)}", value=True, key=f"{key}.keep.{logo.file}"
        ):
            stay.append(logo)
    return stay


def _place(at: str) -> str:
    return positions.POSITIONS[at].label if at in positions.POSITIONS else at or _ONLY_KEPT


def passing_on(kit: BrandKit | None) -> None:
    """A ZIP to give away, one to read, and the end of a kit."""
    if kit is not None:
        with shared.told(), st.container(horizontal=True):
            data = kits.export(kit)
            st.download_button(
                "Download as ZIP", data, f"{kits.slug(kit.name)}.zip", icon=":material/download:"
            )
            with st.popover("Delete", icon=":material/delete:"):
                st.markdown(
                    "The kit and its logos are removed. Pictures that were made with it stay as they are."
                )
                st.button(
                    "Delete this kit", key="brand.delete", type="primary", on_click=_delete, args=(kit.name,)
                )
    file = st.file_uploader("Read a kit from a ZIP", ["zip"], key="brand.zip")
    if file is None:
        return
    digest = hashlib.sha256(file.getvalue()).hexdigest()
    if st.session_state.get(_TAKEN) == digest:
        return
    with shared.told():
        taken = kits.take(file.getvalue(), file.name)
        st.session_state[_TAKEN] = digest
        st.success(shared.escape(f"{taken.name} is here now; choose it above."), icon=":material/check:")


def _delete(name: str) -> None:
    with shared.told():
        kits.delete(name)
