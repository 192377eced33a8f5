"""The form of a product set, and what is said of the set once it is there: which picture falls out, and why."""

import re
import secrets
from pathlib import Path

import streamlit as st
from PIL import Image

from sdxl_lora.editing import backgrounds, colour, framing
from sdxl_lora.editing.consistency import Verdict
from sdxl_lora.editing.cutout import CutOut
from sdxl_lora.errors import StudioError
from sdxl_lora.jobs import product_sets
from sdxl_lora.jobs.job import Job
from sdxl_lora.jobs.product_sets import Member, Wish
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.ui import feed, shared
from sdxl_lora.ui.counting import number_of
from sdxl_lora.ui.examples import Example

_GROUP = "set-"
_PHOTO = "products.photo"
_EXAMPLE = "products.example"  # path of the picture to begin with while no photo was uploaded
_PHOTOS = ("png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp")
_SIZES = (1_024, 1_536, 2_048)
_SHOWN = 420  # px


def choose(example: Example) -> None:
    """Begins with the picture of an example, until a photo is uploaded."""
    st.session_state[_EXAMPLE] = example.picture


def chosen() -> bool:
    """Whether there is a photo or an example to make a set of."""
    return bool(st.session_state.get(_PHOTO) or st.session_state.get(_EXAMPLE))


def form(session: str) -> None:
    """From a photo to a set: what was found on it, then what is wanted."""
    st.title("Your product, your backgrounds")
    file = st.file_uploader("A photo of one product", type=_PHOTOS, key=_PHOTO)
    example: Path | None = st.session_state.get(_EXAMPLE)
    if file is not None:
        data, name = file.getvalue(), file.name
    elif example is not None:
        data, name = example.read_bytes(), example.name
    else:
        return
    try:
        product, found = _product(data, name)
    except StudioError as error:
        st.error(shared.escape(str(error)), icon=":material/error:")
        return
    _say_what_was_found(found)
    wish = _wish()
    try:
        members = product_sets.members(product, _stem(name), wish)
    except StudioError as error:
        st.error(shared.escape(str(error)), icon=":material/error:")
        return
    number = number_of(len(members), "picture")
    if st.button(
        shared.escape(f"Make {number}"), key="products.make", type="primary", icon=":material/photo_library:"
    ):
        _submit(members, session)
        st.rerun()


def checks(session: str) -> None:
    """What falls out of the set that was made last, once all of it is there."""
    strips = [strip for strip in feed.strips(shared.queue().jobs(session)) if _is_set(strip)]
    if not strips or any(job.active for job in strips[-1]):
        return
    try:
        verdicts = _checked(tuple(made for job in strips[-1] if (made := _made(job))))
    except StudioError as error:
        st.caption(shared.escape(str(error)))
        return
    odd = [verdict for verdict in verdicts if not verdict.fits]
    if verdicts and not odd:
        st.success(
            f"All {len(verdicts)} pictures of the set belong together.", icon=":material/check_circle:"
        )
    for verdict in odd:
        reasons = "; ".join(verdict.reasons)
        st.warning(shared.escape(f"{verdict.name} falls out: {reasons}"), icon=":material/rule:")


@st.cache_data(show_spinner="Cutting the product out", max_entries=8)
def _product(data: bytes, name: str) -> tuple[str, CutOut]:
    return product_sets.product_of(data, name)


@st.cache_data(show_spinner="Comparing the pictures of the set", max_entries=8)
def _checked(made: tuple[tuple[str, str, str], ...]) -> list[Verdict]:
    """Verdicts of (name, colour, id) of each picture; of one alone there is nothing to say."""
    pictures = []
    for name, code, identifier in made:
        record = shared.find(identifier)
        if record is not None:
            request = record.request
            scene = request.background or request.prompt
            swatch = colour.parse(code) if code else None
            pictures.append((Member(name, swatch, scene, request), record.path))
    return product_sets.check(pictures) if len(pictures) > 1 else []


def _say_what_was_found(found: CutOut) -> None:
    shown = found.image.copy()
    shown.thumbnail((_SHOWN, _SHOWN), Image.Resampling.LANCZOS)
    st.image(backgrounds.on_colour(shown, backgrounds.WHITE), alt="The product without its background")
    if found.doubt:
        st.warning(shared.escape(found.doubt), icon=":material/warning:")
    if sides := framing.cut_off(found.image):
        where = " and ".join(sides)
        st.caption(
            shared.escape(f"The photo ends before the product does ({where}): most shops want all of it.")
        )
    try:
        garment = colour.garment_colour(found.image)
    except StudioError:
        return
    if not garment.single:
        st.caption(f"No single colour: {garment.share:.0%} of it is near {shared.escape(garment.hex)}.")
        return
    st.caption(f"Its colour on the photo: {shared.escape(garment.hex)}")
    swatch = st.text_input(
        "Is it the right colour?", placeholder="#1F2A44, as on its swatch", key="products.swatch"
    )
    if swatch.strip():
        try:
            check = colour.compare(found.image, colour.parse(swatch))
        except StudioError as error:
            st.error(shared.escape(str(error)), icon=":material/error:")
            return
        words = check.words[:1].upper() + check.words[1:]
        st.caption(shared.escape(words))
        if not check.matches and st.button(
            "Give it that colour", key="products.mend", icon=":material/palette:"
        ):
            kept = list(st.session_state.get("products.colours", []))
            code = colour.to_hex(check.swatch)
            st.session_state["products.colours"] = [*kept, *([] if code in kept else [code])]


def _wish() -> Wish:
    scenes = st.multiselect(
        "Backgrounds",
        ["white", "transparent"],
        default=["white"],
        accept_new_options=True,
        key="products.backgrounds",
        help="Type a colour such as \\#E8E4DA, or a scene such as: in a forest",
    )
    colours = st.multiselect(
        "Colours",
        list(st.session_state.get("products.colours", [])),
        accept_new_options=True,
        key="products.colours",
        placeholder="As on the photo; or type colours such as #C3272B",
        help="Recoloured pictures are edits: show them only where the product comes in that colour.",
    )
    fill = st.slider("How much of the frame it fills, in %", 40, 100, 85, 5, key="products.fill")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        side = st.selectbox("Size", _SIZES, format_func=lambda px: f"{px} × {px}", key="products.size")
        shadow = st.checkbox("Shadow on the ground", key="products.shadow")
    return Wish(
        colours=tuple(colours), scenes=tuple(scenes) or ("white",), fill=fill, shadow=shadow, side=side
    )


def _submit(members: list[Member], session: str) -> None:
    group = f"{_GROUP}{secrets.token_hex(6)}"
    for member in members:
        shared.queue().submit(JobSpec(request=member.request, user=session, group=group))


def _is_set(strip: list[Job]) -> bool:
    return strip[0].spec.group.startswith(_GROUP)


def _made(job: Job) -> tuple[str, str, str] | None:
    """(name, colour, id) of a member that is there."""
    found = next((identifier for identifier in job.record_ids if identifier is not None), None)
    request = job.request
    name = " on ".join(filter(None, (request.recolour, request.background or request.prompt)))
    return None if found is None else (name, request.recolour, found)


def _stem(name: str) -> str:
    return re.sub(r"[^\w-]+", "-", name.rsplit(".", 1)[0]).strip("-")[:60] or "product"
