"""Is a picture right for a shop: the checklist while it is put right, one click per finding, the file to download."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from sdxl_lora import config, export
from sdxl_lora.records import Record
from sdxl_lora.ui import shared

if TYPE_CHECKING:
    from sdxl_lora.export import Finding, Mended

_SIGNS = {
    "ok": ":green[:material/check:]",
    "warning": ":orange[:material/warning:]",
    "fail": ":red[:material/close:]",
}
_MIMES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "AVIF": "image/avif"}
_FORMATS = {"As the shop prefers": "", "JPEG": "JPEG", "PNG": "PNG", "WebP": "WEBP", "AVIF": "AVIF"}


def show(record: Record, data: bytes, name: str, key: str) -> None:
    """The choice of a shop and its checklist.

    Args:
        data: the picture's file.
        name: of the file.
    """
    with st.expander("Use it in a shop", icon=":material/storefront:", key=f"{key}.shops"):
        shops = export.presets()
        chosen = st.selectbox(
            "Shop",
            list(shops),
            index=None,
            format_func=lambda preset: shops[preset].title,
            key=f"{key}.shop",
            placeholder="Choose a shop or network",
            label_visibility="collapsed",
        )
        if chosen is not None:
            with shared.told():
                _checklist(record, data, name, str(chosen), f"{key}.{chosen}")


def _checklist(record: Record, data: bytes, name: str, preset: str, key: str) -> None:
    fixes: set[str] = st.session_state.setdefault(f"{key}.fixes", set())
    kind = _FORMATS[
        str(
            st.segmented_control(
                "Format", list(_FORMATS), default=next(iter(_FORMATS)), required=True, key=f"{key}.format"
            )
        )
    ]
    mended, findings = _mended(record.id, data, name, preset, tuple(sorted(fixes)), kind)
    open_ones = list(dict.fromkeys(found.check for found in findings if found.mendable))
    asked: set[str] = set()
    for number, found in enumerate(findings):
        first = found.mendable and found.check not in asked
        asked.add(found.check)
        _line(found, f"{key}.{number}", fixes if first else None)
    if len(open_ones) > 1:
        st.button(
            "Fix everything",
            key=f"{key}.all",
            type="primary",
            icon=":material/auto_fix_high:",
            on_click=fixes.update,
            args=([found.check for found in findings],),  # one may only show when another is put right
        )
    _result(mended, fixes, preset, key)


def _line(found: Finding, key: str, fixes: set[str] | None) -> None:
    """One rule: how it stands, what else to know, and its button where a click puts it right."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        sign, text = _SIGNS[found.state], shared.escape(found.text[:1].upper() + found.text[1:])
        note = f" ({shared.escape(found.rule.note)})" if found.rule.note and found.state != "ok" else ""
        said = f"{found.rule.source}, read {found.rule.read}"
        st.markdown(shared.composed(f"{sign} {text}{note}"), help=shared.escape(said))
        if fixes is not None:
            st.button(
                "Fix",
                key=f"{key}.fix",
                icon=":material/auto_fix_high:",
                on_click=fixes.add,
                args=(found.check,),
            )


def _result(mended: Mended, fixes: set[str], preset: str, key: str) -> None:
    if mended.done:
        st.image(mended.picture.data, width="stretch", alt="The picture as it would be written")
        st.caption(shared.escape(f"Done: {', '.join(mended.done)}."))
    for line in export.preset(preset).look:
        st.caption(shared.escape(f"Look yourself: {line}."))
    with st.container(horizontal=True):
        st.download_button(
            "Download for this shop",
            data=mended.picture.data,
            file_name=mended.picture.name,
            mime=_MIMES.get(mended.picture.format, "application/octet-stream"),
            icon=":material/download:",
            on_click="ignore",
            key=f"{key}.download",
        )
        if fixes:
            st.button("Undo fixes", key=f"{key}.undo", icon=":material/undo:", on_click=fixes.clear)


@st.cache_data(show_spinner="Measuring the picture", max_entries=12)
def _mended(
    record: str, _data: bytes, name: str, preset: str, fixes: tuple[str, ...], kind: str
) -> tuple[Mended, tuple[Finding, ...]]:
    """The picture with these findings put right, and how it stands then. Raises `StudioError`."""
    rules = export.preset(preset)
    picture = export.read(_data, name)
    mended = export.mend(picture, rules, only=fixes, format=kind or None)
    mended = export.sealed(mended, picture, config.home())
    return mended, export.check(mended.picture, rules)
