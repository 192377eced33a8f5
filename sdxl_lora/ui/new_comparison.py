"""The form for a new comparison: prompts, systems, and keys that are used once and kept nowhere."""

import secrets
from collections.abc import Mapping
from typing import Any

import streamlit as st

from sdxl_lora.comparing import archive, columns, engine, prompts, providers
from sdxl_lora.comparing.columns import MOST_COLUMNS, Column
from sdxl_lora.comparing.prompts import EXAMPLES, Row
from sdxl_lora.errors import DataError, RequestError, StudioError
from sdxl_lora.models import registry
from sdxl_lora.records.comparisons import ComparisonRecord
from sdxl_lora.ui import one_or_new, shared
from sdxl_lora.ui.comparisons import store

KINDS = {
    "model": "One of our models",
    "pictures": "Pictures made elsewhere",
    "openai": "OpenAI",
    "google": "Google",
}
MOST_UPLOAD = 200  # MB
Draft = dict[str, Any]


def form() -> None:
    """Prompts and systems; the button makes the comparison and shows it."""
    text = st.text_area(
        "Prompts, one per line",
        "\n".join(row.prompt for row in EXAMPLES),
        key="compare.prompts",
        height=190,
        help="Every system gets them word for word. These are the five of the original project.",
    )
    st.markdown("**Systems**")
    drafts = _drafts()
    with st.grid(3, min_column_width=260, key="grid-systems"):
        for place, identifier in enumerate(drafts):
            with st.container(border=True, key=f"system-{identifier}"):
                _system(identifier, place)
    with st.container(horizontal=True):
        st.button(
            "Add a system",
            key="compare.add",
            icon=":material/add:",
            disabled=len(drafts) >= MOST_COLUMNS,
            on_click=lambda: drafts.append(secrets.token_hex(4)),
        )
    with st.expander("Settings of our models", icon=":material/tune:"), st.container(horizontal=True):
        seed = st.number_input("First seed", 0, 2**31, 0, key="compare.seed", width=160)
        steps = st.number_input(
            "Steps", 1, 150, None, key="compare.steps", placeholder="the model's own", width=160
        )
        guidance = st.number_input(
            "Guidance", 0.0, 30.0, None, key="compare.guidance", placeholder="the model's own", width=160
        )
    if not st.button("Compare", key="compare.start", type="primary", icon=":material/compare:"):
        return
    try:
        rows = prompts.of_lines(text)
        systems = [_column(identifier, place, rows) for place, identifier in enumerate(drafts)]
        record = engine.begin(store(), rows, systems, seed=seed, steps=steps, guidance=guidance)
    except StudioError as error:
        st.error(shared.escape(str(error)), icon=":material/error:")
        return
    st.query_params["comparison"] = record.id
    one_or_new.begin("compare", False)
    keys = {place: str(st.session_state.get(f"{i}.key", "")) for place, i in enumerate(drafts)}
    make(record, keys)


def missing(record: ComparisonRecord) -> None:
    """What is not made yet, and a button that goes on; asks for keys again, since none was kept."""
    places = sorted({column for column, _ in record.missing})
    for reason in st.session_state.pop("compare.stopped", []):
        st.warning(shared.escape(reason), icon=":material/pause_circle:")
    count, total = len(record.missing), len(record.rows) * len(record.columns)
    st.info(f"{count:d} of {total:d} pictures are not made yet.", icon=":material/hourglass_empty:")
    keys = {}
    for place in places:
        kind = record.columns[place]["kind"]
        if kind in providers.SERVICES:
            keys[place] = _key_field(
                kind, f"compare.again.{record.id}.{place}", record.columns[place]["label"]
            )
    if st.button("Make what is missing", key="compare.again", type="primary", icon=":material/play_arrow:"):
        make(record, keys)


def make(record: ComparisonRecord, keys: Mapping[int, str]) -> None:
    """Fills the cells with a bar, scores, and shows the result. Leaving the page stops it; nothing is lost."""
    total = len(record.rows) * len(record.columns)
    bar = st.progress(1 - len(record.missing) / total, "Making the pictures. What is made is kept at once.")
    stopped = []
    try:
        for event in engine.fill(
            store(), record, keys={p: k for p, k in keys.items() if k}, queue=shared.queue()
        ):
            label = record.columns[event.column]["label"]
            if isinstance(event, engine.Stopped):
                stopped.append(f"{label}: {event.reason}")
            else:
                bar.progress(event.done / event.total, f"{label}: picture {event.done} of {event.total}")
        record = store().get(record.id)
        with st.spinner("Scoring every column in the same way"):
            engine.score(store(), record)
    except DataError as error:
        stopped.append(str(error))  # nothing to score yet
    except StudioError as error:
        stopped.append(str(error))
    st.session_state["compare.stopped"] = stopped
    st.rerun()


def _drafts() -> list[str]:
    """Identifiers of the systems in the form; two to begin with."""
    if "compare.systems" not in st.session_state:
        st.session_state["compare.systems"] = [secrets.token_hex(4) for _ in range(2)]
    drafts: list[str] = st.session_state["compare.systems"]
    return drafts


def _system(identifier: str, place: int) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.selectbox(
            f"System {place + 1}",
            list(KINDS),
            index=min(place, 1),
            format_func=KINDS.__getitem__,
            key=f"{identifier}.kind",
        )
        if place > 1:
            st.button(
                "Remove",
                key=f"{identifier}.remove",
                icon=":material/close:",
                type="tertiary",
                on_click=_drafts().remove,
                args=(identifier,),
            )
    st.text_input("Name", key=f"{identifier}.label", placeholder=_placeholder(kind), max_chars=80)
    if kind == "model":
        names = [info.name for info in registry.available()]
        st.selectbox("Model", names, key=f"{identifier}.model", accept_new_options=True)
        st.text_input(
            "LoRA", key=f"{identifier}.lora", placeholder="none; a file or folder, :0.8 for its weight"
        )
    elif kind == "pictures":
        st.file_uploader(
            "A ZIP, or the pictures",
            ["zip", "png", "jpg", "jpeg", "webp"],
            accept_multiple_files=True,
            max_upload_size=MOST_UPLOAD,
            key=f"{identifier}.files",
            help="Paired with the prompts by the number in the file names: 1.png is the first prompt's.",
        )
    else:
        st.text_input(
            "Model", key=f"{identifier}.model_name", placeholder=providers.SERVICES[kind].default_model
        )
        _key_field(kind, f"{identifier}.key")


def _placeholder(kind: str) -> str:
    return {"model": "the model's name", "pictures": "the system's name"}.get(kind, "the provider's name")


def _key_field(kind: str, key: str, label: str = "") -> str:
    service = providers.SERVICES[kind]
    if not providers.installed(kind):
        st.caption(f"{shared.escape(service.title)}'s client is not installed: {providers.INSTALL}")
        return ""
    known = bool(providers.key_from_environment(kind))
    value = st.text_input(
        f"Your {shared.escape(label or service.title)} key",
        key=key,
        type="password",
        autocomplete="off",
        placeholder=f"from {service.variables[0]}" if known else "used once, kept nowhere",
    )
    st.caption("Every picture is charged to this key by the provider.")
    return value


def _column(identifier: str, place: int, rows: tuple[Row, ...]) -> Column:
    """What the form says of one system. Raises `RequestError`, `DataError`, `ImageError`."""
    state = st.session_state
    kind, label = state[f"{identifier}.kind"], state.get(f"{identifier}.label", "").strip()
    if kind == "model":
        lora = state.get(f"{identifier}.lora", "").strip()
        name = state[f"{identifier}.model"] or ""
        return columns.of_model(
            label or (f"{name} + {lora}" if lora else name), name, (lora,) if lora else ()
        )
    if kind == "pictures":
        files = _uploaded(state.get(f"{identifier}.files") or [], place)
        return columns.of_pictures(
            label or f"System {place + 1}", files, rows, source=label or f"System {place + 1}"
        )
    return columns.of_provider(label, kind, state.get(f"{identifier}.model_name", ""))


def _uploaded(uploads: list[Any], place: int) -> dict[str, bytes]:
    """File name -> content, of one ZIP or several pictures."""
    if not uploads:
        raise DataError(f"system {place + 1} has no pictures yet; choose a ZIP or the pictures")
    zips = [upload for upload in uploads if upload.name.lower().endswith(".zip")]
    if zips and len(uploads) > 1:
        raise RequestError(f"system {place + 1}: give one ZIP, or pictures, not both")
    if zips:
        return archive.read_zip(zips[0].getvalue(), zips[0].name)
    return {upload.name: upload.getvalue() for upload in uploads}
