"""The form for a new catalogue: a table, what its columns mean, what holds for all rows, and what will come of it."""

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from typing import Any

import streamlit as st

from sdxl_lora import export, prompts
from sdxl_lora.catalog import columns, estimating, planning, runs, tables
from sdxl_lora.catalog.photos import Photos
from sdxl_lora.catalog.planning import Plan, Settings
from sdxl_lora.catalog.tables import Table
from sdxl_lora.errors import InputError, StudioError
from sdxl_lora.models import registry
from sdxl_lora.prompts import Template
from sdxl_lora.prompts.vocabulary import WORDS
from sdxl_lora.search.levels import LEVELS
from sdxl_lora.ui import catalogs, one_or_new, shared
from sdxl_lora.ui.counting import number_of

EXAMPLE = (
    "sku,product,colour,brand,logo\r\n"
    "NP-101,windbreaker jacket,navy,Northpeak,triangle\r\n"
    "NP-102,puffer jacket,red,Northpeak,star\r\n"
    "NP-103,trench coat,beige,Northpeak,\r\n"
)
_ONE_SHOT = "One shot"
_LEVELS = {_ONE_SHOT: "", **{level.title: name for name, level in LEVELS.items()}}
_NO_TEMPLATE = "No template: a column has all the words"
_COMBINED = {
    "colour": ("Colours", "colours"),
    "setting": ("Scenes", "catalogue settings"),
}  # slot -> label, word list
_AS_IT_IS, _WHITE = "As photographed", "Pure white, the product fills 85 %"
_FIRST = 3  # rows shown
_MOST_MB = 200
_PROBLEMS = 200
_SAMPLE = 40  # characters


def form() -> None:
    """Draws it from top to bottom; the buttons at its end begin the catalogue. Raises `InputError`."""
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    with left:
        upload = st.file_uploader(
            "Your products, as CSV, Excel or JSON lines",
            ["csv", "tsv", "txt", "xlsx", "jsonl", "json"],
            max_upload_size=_MOST_MB,
            key="catalog.file",
            help="One row per product; the first row names the columns.",
        )
    with right:
        st.download_button(
            "Example table",
            EXAMPLE,
            file_name="products.csv",
            mime="text/csv",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
            key="catalog.example",
        )
    if upload is None:
        st.caption("A table can be as plain as this:")
        st.table(list(csv.DictReader(io.StringIO(EXAMPLE))), border="horizontal", hide_index=True)
        return
    data = upload.getvalue()
    table = _table(data, upload.name)
    for note in table.notes:
        st.caption(shared.escape(note[:1].upper() + note[1:]))
    template = _template()
    meaning = _columns(table, template)
    uploads = _photos() if "photo" in meaning.values() else {}
    settings = _for_all(template, meaning)
    plan = _plan(data, table, settings, uploads)
    _preview(plan, table)
    _begin(data, upload.name, settings, plan, uploads)


@st.cache_data(show_spinner="Reading the table", max_entries=4)
def _table(data: bytes, name: str) -> Table:
    return tables.parse(data, name)


def _template() -> Template | None:
    known = prompts.templates()
    names = ["", *known]
    st.header("What to make", anchor=False)
    chosen = st.selectbox(
        "Template",
        names,
        index=min(1, len(names) - 1) if "jacket" not in known else names.index("jacket"),
        format_func=lambda name: known[name].title if name else _NO_TEMPLATE,
        key="catalog.template",
    )
    return known.get(str(chosen))


def _columns(table: Table, template: Template | None) -> Mapping[str, str]:
    """Column -> target, as chosen; what a column's name says is filled in."""
    st.header("What the columns mean", anchor=False)
    labels = _labels(template)
    guessed = columns.choose(table.columns).targets
    everything = columns.targets()
    labels |= {target: everything[target] for target in guessed.values() if target != columns.IGNORED}
    first = next((row.cells for row in table.rows if not row.problem), {})
    chosen: dict[str, str] = {}
    with st.grid(3, min_column_width=220, key="grid-columns"):
        for column in table.columns[: tables.MOST_COLUMNS]:
            options = [columns.IGNORED, *labels]
            guess = guessed.get(column, columns.IGNORED)
            sample = first.get(column, "")
            with st.container(gap=None):
                chosen[column] = str(
                    st.selectbox(
                        shared.escape(column),
                        options,
                        index=options.index(guess) if guess in options else 0,
                        format_func=lambda target: {**labels, columns.IGNORED: "Not used"}[target],
                        key=f"catalog.column.{_digest(column, template.name if template else '')}",
                    )
                )
                short = sample[:_SAMPLE] + ("…" if len(sample) > _SAMPLE else "")
                st.caption(shared.escape(f"First: {short}") if short else "First: empty")
    return chosen


def _labels(template: Template | None) -> dict[str, str]:
    """Targets that make sense, with their labels; those of the trade only for experts."""
    slots = {slot.name: slot.label for slot in template.slots} if template else {}
    simple = ("sku", "name", "photo", "prompt", "preset", "alt", "level", "template")
    own = {name: columns.OWN[name] for name in (columns.OWN if shared.expert() else simple)}
    often = ("background", "fill", "shadow", "strength", "loras", "seed")
    request = columns.REQUEST if shared.expert() else {name: columns.REQUEST[name] for name in often}
    return {"sku": own["sku"], **slots, **own, **request}


def _photos() -> dict[str, bytes]:
    """The photos that a column names, by name."""
    given = st.file_uploader(
        "The photos that the column names",
        ["png", "jpg", "jpeg", "webp", "avif", "tif", "tiff"],
        accept_multiple_files=True,
        max_upload_size=_MOST_MB,
        key="catalog.photos",
        help="Each photo is used as it is: with a new background and frame if you ask for them, and never redrawn"
        " unless a column says how strongly.",
    )
    return {one.name: one.getvalue() for one in given or []}


def _for_all(template: Template | None, meaning: Mapping[str, str]) -> Settings:
    """What holds where a row says nothing else."""
    st.header("For all products", anchor=False)
    values: dict[str, str] = {}
    with st.container(horizontal=True, key="catalog-all"):
        for slot, (label, words) in _COMBINED.items():
            if (
                template is None
                or slot not in {one.name for one in template.slots}
                or slot in meaning.values()
            ):
                continue
            picked = st.multiselect(
                shared.escape(label),
                list(WORDS[words]),
                key=f"catalog.combine.{slot}",
                accept_new_options=True,
                max_selections=20,
                placeholder="As in the template",
                help="Of several, every product is made in each.",
            )
            if picked:
                escaped = [prompts.escape(str(one)) for one in picked]
                values[slot] = escaped[0] if len(escaped) == 1 else f"{{{'|'.join(escaped)}}}"
        shops = st.multiselect(
            "Also for these shops",
            list(export.presets()),
            format_func=lambda name: export.preset(name).title,
            key="catalog.shops",
            placeholder="None",
            help="Each picture is also written as the shop asks: background, framing, size and format.",
        )
    words = st.text_input(
        "More words for all",
        key="catalog.words",
        max_chars=500,
        placeholder="For example: soft morning light",
    )
    level = st.segmented_control(
        "How hard to try", tuple(_LEVELS), default=_ONE_SHOT, required=True, key="catalog.level"
    )
    return Settings(
        template=template.name if template else "",
        prompt=words.strip(),
        columns=dict(meaning),
        values=values,
        request={**_behind(meaning), **_request()},
        level=_LEVELS[str(level)],
        presets=tuple(shops),
    )


def _behind(meaning: Mapping[str, str]) -> dict[str, Any]:
    """What stands behind the products of photos."""
    if "photo" not in meaning.values() or "background" in meaning.values():
        return {}
    chosen = st.segmented_control(
        "Behind the product", (_AS_IT_IS, _WHITE), default=_AS_IT_IS, required=True, key="catalog.behind"
    )
    return {"background": "white", "fill": 85} if chosen == _WHITE else {}


def _request() -> dict[str, Any]:
    """Model, steps and seed, for those who want them."""
    found: dict[str, Any] = {}
    with st.expander("Model and settings", icon=":material/tune:"), st.container(horizontal=True):
        model = st.selectbox(
            "Model",
            ["auto", *(one.name for one in registry.available())],
            format_func=lambda name: "Automatic" if name == "auto" else name,
            key="catalog.model",
        )
        steps = st.number_input("Steps", 1, 150, None, key="catalog.steps", placeholder="the model's own")
        seed = st.text_input(
            "One seed for all",
            key="catalog.seed",
            placeholder="each its own",
            help="The same seed makes pictures of a set more alike.",
        )
    if model != "auto":
        found["model"] = str(model)
    if steps is not None:
        found["steps"] = int(steps)
    if seed.strip():
        if not seed.strip().isdecimal():
            raise InputError(f"the seed {seed.strip()[:40]!r} is no whole number")
        found["seed"] = int(seed)
    return found


def _plan(data: bytes, table: Table, settings: Settings, uploads: Mapping[str, bytes]) -> Plan:
    said = json.dumps(settings.to_dict(), sort_keys=True, default=str)
    key = _digest(hashlib.sha256(data).hexdigest(), said, *sorted(uploads))
    return _planned(key, table, settings, uploads)


@st.cache_data(show_spinner="Filling in the rows", max_entries=8)
def _planned(key: str, _table: Table, _settings: Settings, _uploads: Mapping[str, bytes]) -> Plan:
    return planning.plan(_table, _settings, photos=Photos(files=_uploads, keep=False))


def _preview(plan: Plan, table: Table) -> None:
    st.header("What will be made", anchor=False)
    time = estimating.estimate(shared.store(), plan.items)
    st.markdown(shared.composed(f"**{shared.escape(time.words())}**"))
    for note in plan.notes:
        if note not in table.notes:
            st.caption(shared.escape(note[:1].upper() + note[1:]))
    if plan.items:
        with st.grid(_FIRST, min_column_width=240, key="grid-first"):
            for item in plan.items[:_FIRST]:
                with st.container(border=True):
                    st.markdown(shared.composed(f"**{shared.escape(item.name)}.png**"))
                    st.markdown(shared.escape(item.request.prompt))
                    st.caption(shared.escape(f"Alternative text: {item.alt}"))
    if plan.problems:
        rows = sorted(plan.problems.items())
        many = f"{number_of(len(rows), 'row')} cannot be made"
        with st.expander(shared.escape(many), icon=":material/error:", expanded=not plan.items):
            st.dataframe(
                {"Row": [row for row, _ in rows[:_PROBLEMS]], "Why": [why for _, why in rows[:_PROBLEMS]]},
                hide_index=True,
                width="stretch",
            )


def _begin(data: bytes, name: str, settings: Settings, plan: Plan, uploads: Mapping[str, bytes]) -> None:
    with st.container(horizontal=True, key="catalog-begin"):
        one = st.button(
            "Try the first row",
            key="catalog.try",
            icon=":material/counter_1:",
            disabled=not plan.items,
            help="Makes one picture, to look at before the others are made.",
        )
        every = st.button(
            shared.escape(f"Make {'it' if len(plan.items) == 1 else f'all {len(plan.items):,}'}"),
            key="catalog.all",
            type="primary",
            icon=":material/play_arrow:",
            disabled=not plan.items,
        )
    if not (one or every):
        return
    try:
        with st.spinner("Reading the photos" if uploads else "Beginning"):
            run = runs.create(runs.new_folder(name), data, name, settings, Photos(files=uploads))
        catalogs.makers().start(run.folder, most=1 if one else None)
    except StudioError as error:
        st.error(shared.escape(str(error)), icon=":material/error:")
        return
    st.query_params["catalogue"] = run.folder.name
    one_or_new.begin(catalogs.PAGE, False)
    st.rerun()


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
