"""A finished picture: its card with what can be done next, and the dialog that tells everything about it."""

import re
import textwrap
from dataclasses import replace
from datetime import UTC, datetime

import streamlit as st

from sdxl_lora.errors import NotFoundError
from sdxl_lora.feedback.corrections import other_colours
from sdxl_lora.feedback.reviews import brand_of
from sdxl_lora.jobs.spec import Effort, JobSpec
from sdxl_lora.models import registry
from sdxl_lora.prompts import emphasis
from sdxl_lora.prompts.vocabulary import WORDS
from sdxl_lora.records import Record
from sdxl_lora.request import GenerationRequest, expansion
from sdxl_lora.ui import (
    boards,
    composer,
    edit_steps,
    gallery_filters,
    shared,
    shops,
    trash,
    verifying,
    votes,
    why,
)
from sdxl_lora.ui.shared import escape

FIRST_COLOURS = ("black", "white", "red", "navy", "green", "grey")  # what is asked for most
MOST_COLOURS = 4  # at one click
GONE = "The file of this picture is gone."
SCORE_HELP = (
    "How well the picture fits the words, judged by {name}: -1 to 1, higher fits better. "
    "Compare pictures of one prompt with it; other prompts and other CLIP models have other scales. "
    "The mini-CLIP was trained beside mini: it knows that model's pictures and no photographs."
)


def card(record: Record, place: str) -> None:
    """Picture, score, seed and the next steps; `small_cards` has those of walls of many pictures.

    `place` keeps the keys of two cards of one picture apart.
    """
    key = f"{place}.{record.id}"
    image = file_of(record)
    if image is None:
        st.caption(GONE)
        return
    framed = votes.selected() == record.id
    with st.container(key=f"card-{'framed-' if framed else ''}{key}", gap="xsmall"):
        st.image(image, width="stretch", alt=record.request.prompt)
        _facts(record)
        why.show(record, key)
        # the same rows for all, so that cards side by side stay level; the framed one says its keys
        with st.container(horizontal=True, gap="xsmall", key=f"votes-{key}"):
            votes.show(record, key, keys=framed)
            favourite(record, key, keys=framed)
        if framed:
            votes.wrong(record, key)
        with st.container(horizontal=True, gap="xsmall"):
            _more(record, key)
            _colours(record, key)
        # style.css shows the icons only; the labels are for screen readers
        with st.container(horizontal=True, gap="xsmall", key=f"actions-{key}"):
            _signs(record, key)


def _signs(record: Record, key: str) -> None:
    download(record, key)
    if st.button(
        "Change the words",
        key=f"{key}.words",
        icon=":material/edit:",
        help="Same seed, change the words",
        disabled=bool(record.left_out),
    ):
        change_words(record)
    if st.button(
        "Use as start",
        key=f"{key}.edit",
        icon=":material/auto_fix_high:",
        help="Use as start: vary it, change a part, widen it",
    ):
        edit_steps.begin_with(record)
        st.switch_page(shared.EDIT)
    if st.button("Put on a board", key=f"{key}.board", icon=":material/dashboard:", help="Put it on a board"):
        boards.choose([record.id])
    if st.button(
        "Details",
        key=f"{key}.details",
        icon=":material/info:",
        help="Every detail",
        on_click=votes.select,  # the keys must not vote on another picture than the one looked at
        args=(record.id,),
    ):
        details(record.id)


def more_like(record: Record) -> None:
    """Queues new pictures with the settings of this one and new seeds, and shows them in the studio."""
    again = replace(record.request, seed=None, count=composer.count())
    with shared.told():
        shared.queue().submit(JobSpec(request=again, user=shared.session_id()))
        st.switch_page(shared.CREATE)


def _colours(record: Record, key: str) -> None:
    """One click: the same picture in other colours, side by side."""
    request, colours = record.request, WORDS["colours"]
    capabilities = registry.capabilities_of(request.model)
    known = (name for name in (*FIRST_COLOURS, *colours) if not capabilities.unknown_words(name))
    found = list(other_colours(expansion.literal(request), dict.fromkeys(known)).items())[:MOST_COLOURS]
    if not found:
        return
    pressed = st.button(
        "Other colours",
        key=f"{key}.colours",
        icon=":material/palette:",
        help=f"The same seed in {escape(', '.join(colour for colour, _ in found))}, side by side",
        disabled=bool(record.left_out),
        width="stretch",
    )
    if pressed:
        with shared.told():
            composer.send([one for _, one in found], shared.session_id(), Effort())
            st.switch_page(shared.CREATE)


def change_words(record: Record) -> None:
    """Opens the studio with every setting of this picture, its seed included."""
    composer.open_with(
        expansion.literal(record.request),
        f"Seed {record.request.seed} is kept. Change the words, then press Generate.",
    )
    st.switch_page(shared.CREATE)


@st.dialog("About this picture", width="large", on_dismiss="rerun")
def details(identifier: str, *, keys: bool = False) -> None:
    """Everything known of one picture, to look at, use again or delete; `keys`: it may be voted on by keyboard."""
    with shared.told():
        record = shared.find(identifier)
        if record is None:
            st.rerun()  # deleted, here or in another tab: the dialog closes
        _details(record, keys=keys)


def _details(record: Record, *, keys: bool) -> None:
    key = f"details.{record.id}"
    facts = settings(record)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        image = file_of(record)
        if image is None:
            st.caption(GONE)
        else:
            st.image(image, width="stretch", alt=record.request.prompt)
        with st.container(horizontal=True, gap="xsmall", key=f"votes-{key}"):
            votes.show(record, key, keys=keys)
            favourite(record, key, keys=keys)
        votes.wrong(record, key)
    with right:
        _facts(record)
        why.show(record, key)
        st.code(record.request.prompt, language=None, wrap_lines=True)
        st.table(
            {"Setting": [name for name, _ in facts], "Value": [escape(value) for _, value in facts]},
            border="horizontal",
            hide_index=True,
            hide_header=True,
        )
        if st.button(
            "Use these settings",
            key=f"{key}.recall",
            type="primary",
            icon=":material/tune:",
            width="stretch",
            disabled=bool(record.left_out),
        ):
            composer.open_with(
                expansion.literal(record.request), "All settings of the picture are filled in."
            )
            st.switch_page(shared.CREATE)
        _made_from(record)
        _more(record, key)
        if image is not None:
            shops.show(record, image, file_name(record.request), key)
        boards.of_picture(record, key)
        votes.report(brand_of(record))
        with st.container(horizontal=True):
            download(record, key)
            if st.button(
                "Verify",
                key=f"{key}.verify",
                icon=":material/verified_user:",
                help="Its signature; your logo on it",
            ):
                verifying.begin_with(record)
                st.switch_page(shared.VERIFY)
            if not record.left_out and st.button(
                "Try settings in a grid", key=f"{key}.grid", icon=":material/grid_view:"
            ):
                st.switch_page(
                    shared.GRID, query_params={"picture": record.id, "session": shared.session_id()}
                )
            if st.button("Similar pictures", key=f"{key}.similar", icon=":material/image_search:"):
                gallery_filters.open_like(record.id)
            st.button(
                "Move to trash",
                key=f"{key}.delete",
                icon=":material/delete:",
                on_click=trash.put,
                args=([record.id],),
            )


def _made_from(record: Record) -> None:
    """The picture that an edit began from."""
    if not record.request.made_from:
        return
    before = shared.find(record.request.made_from)
    image = None if before is None else file_of(before, small=True)
    st.caption("Made from this picture" if image else "Made from a picture that was deleted since")
    if before is not None and image is not None:
        st.image(image, width=140, alt=before.request.prompt)


def file_of(record: Record, *, small: bool = False) -> bytes | None:
    """The picture's file, or its thumbnail's; None where it is gone. Read here, as Streamlit raises for lost files."""
    try:
        return (shared.store().thumbnail(record) if small else record.path).read_bytes()
    except OSError:
        return None


def _guidance(request: GenerationRequest) -> str:
    if request.guidance is None:
        return ""
    if request.guidance_end in (None, 1):
        return f"{request.guidance:g}"
    return f"{request.guidance:g} on the first {request.guidance_end:.0%}"


def settings(record: Record) -> list[tuple[str, str]]:
    """What made the picture, in the words of the studio page, shortest useful form."""
    request = record.request
    size = f"{record.width} × {record.height} px"
    rows = [
        ("Model", request.model),
        ("Size", size),
        ("Seed", str(request.seed)),
        ("Steps", str(request.steps)),
        ("Sketch", f"of {request.sketch_steps} steps, finished" if request.sketch_steps else ""),
        ("Guidance", _guidance(request)),
        ("Clean-up", f"at timestep {request.cleanup_timestep}" if request.cleanup_timestep else ""),
        ("Scheduler", request.scheduler or ""),
        ("Precision", request.precision),
        ("Engine", "" if request.engine == "auto" else request.engine),
        ("Avoid", request.negative_prompt),
        ("LoRAs", ", ".join(f"{lora.path} × {lora.weight:g}" for lora in request.loras)),
        ("Template", request.template),
        ("Made", record.created_at.astimezone().strftime("%d %b %Y, %H:%M")),
        ("Took", f"{record.seconds:.1f} s"),
    ]
    return [(name, value) for name, value in rows if value]


def name(request: GenerationRequest) -> str:
    """What a picture shows, in a few words: colour and product, or the first words that say it."""
    slots = dict(request.slots)
    if product := slots.get("product", "").strip():
        words = " ".join(filter(None, (slots.get("colour", "").strip(), product)))
    else:
        said = emphasis.plain(request.prompt)
        found = re.search(
            r"\b(?:photograph(?:y)?|photo|picture|image) of (.+)", said, re.IGNORECASE | re.DOTALL
        )
        words = re.split(r",| with | on an? | in front ", found[1] if found else said.strip(), maxsplit=1)[0]
        words = re.sub(r"^(?:an?|the) ", "", words.strip(), flags=re.IGNORECASE) or said.strip()
    short = textwrap.shorten(words, 44, placeholder=" …")
    short = words[:42] + " …" if short.strip() == "…" else short  # one word that is longer than that
    return short[:1].upper() + short[1:]


def file_name(request: GenerationRequest) -> str:
    """A name that says what is in the file: the first words and the seed."""
    words = re.findall(r"\w+", request.prompt.lower())[:6]
    return "-".join([*words, str(request.seed)]) + ".png"


def ago(moment: datetime, now: datetime | None = None) -> str:
    """'just now', '5 min ago', '3 h ago', else the date. `moment` is UTC."""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min ago"
    if seconds < 86_400:
        return f"{seconds // 3600:.0f} h ago"
    return moment.astimezone().strftime("%d %b %Y")


def _facts(record: Record) -> None:
    """Scores, seed (for experts) and age in small print."""
    lines, help_text = [], None
    if record.card.scored:  # the others are behind the button that tells why
        judge, score = escape(record.card.scorer), f"**{record.card.score:.2f}**"
        lines.append(f"{judge} {score}" if shared.expert() else f"Fits the words {score} ({judge})")
        help_text = SCORE_HELP.format(name=record.card.scorer)
    lines += [f"Seed {record.request.seed}"] if shared.expert() else []
    lines.append(ago(record.created_at))
    st.caption(shared.composed(" · ".join(lines)), help=shared.composed(help_text or "") or None)
    if record.left_out:
        names = escape(", ".join(record.left_out))
        st.caption(
            shared.composed(
                f":material/update: Made by a newer version: {names} is not known here, so it cannot be made again."
            )
        )


def _more(record: Record, key: str) -> None:
    if st.button(
        "More like this",
        key=f"{key}.more",
        icon=":material/auto_awesome:",
        help="New seeds, same settings",
        disabled=bool(record.left_out),  # it would be another picture
        width="stretch",
    ):
        more_like(record)


def favourite(record: Record, key: str, *, keys: bool = False) -> None:
    st.button(
        "Favourite",
        key=f"{key}.favourite",
        icon=":material/favorite:" if record.favourite else ":material/favorite_border:",
        type="primary" if record.favourite else "secondary",
        help=None if keys else "Remove from favourites" if record.favourite else "Add to favourites",
        shortcut=votes.FAVOURITE if keys else None,
        on_click=_mark,
        args=(record.id, not record.favourite),
    )


def _mark(identifier: str, favourite: bool) -> None:
    with shared.toasted():
        shared.store().mark_favourite(identifier, favourite)


def _content(record: Record) -> bytes:
    try:
        return record.path.read_bytes()
    except OSError as error:
        raise NotFoundError("this picture was deleted; nothing is left to download") from error


def download(record: Record, key: str) -> None:
    st.download_button(
        "Download",
        data=lambda: _content(record),  # read when asked for: pictures of SDXL are large
        file_name=file_name(record.request),
        mime="image/png",
        key=f"{key}.download",
        icon=":material/download:",
        help="Download the PNG; it remembers all its settings",
        on_click="ignore",
    )
