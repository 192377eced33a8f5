"""A grid of two settings: its form, its cells while they are drawn, and all of it as one picture.

Picture, settings and values are in the address. Jobs are found again by their keys, so that a bookmark shows the grid,
and draws nothing that nobody asked for.
"""

import io
from collections.abc import Mapping
from dataclasses import replace

import streamlit as st
from PIL import Image

from sdxl_lora.comparing import axes
from sdxl_lora.comparing import grid as sheet
from sdxl_lora.comparing.axes import Grid
from sdxl_lora.jobs.job import Job
from sdxl_lora.records import Record
from sdxl_lora.ui import pictures, shared
from sdxl_lora.ui.counting import number_of

PICTURE = "picture"  # in the address: the picture whose settings are the others
POLL_SECONDS = 1.5
_FIRST = {"grid.x": "guidance", "grid.xs": "2, 3, 5", "grid.y": "seed"}


def show() -> None:
    """The form, and below it the grid once it was asked for. Raises `StudioError`."""
    identifier = st.query_params.get(PICTURE, "")
    record = shared.find(identifier) if identifier else None
    if record is None or record.left_out:
        st.markdown("Open a picture's details in the gallery and press **Try settings in a grid**.")
        st.page_link(shared.GALLERY, label="To the gallery", icon=":material/photo_library:")
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        image = pictures.file_of(record, small=True)
        if image is not None:
            st.image(image, width=96, alt=record.request.prompt)
        st.markdown(shared.escape(record.request.prompt))
    grid = _form(record)
    if grid is None:
        return
    specs = grid.specs()
    jobs = shared.queue().asked(axes.USER, [spec.idempotency_key for spec in specs.values()])
    new = [spec for spec in specs.values() if spec.idempotency_key not in jobs]
    if new and st.button(
        f"Draw {number_of(len(new), 'picture')}",
        key="grid.draw",
        type="primary",
        icon=":material/grid_view:",
    ):
        shared.queue().submit_all(new)
        st.rerun()
    lost = [job for job in jobs.values() if job.state in ("failed", "cancelled")]
    if lost and st.button(f"Try {len(lost):d} again", key="grid.again", icon=":material/refresh:"):
        for job in lost:
            shared.queue().retry(job.id)
        st.rerun()
    if jobs:
        busy = any(job.active for job in jobs.values())
        st.fragment(_grid, run_every=POLL_SECONDS if busy else None)(grid, busy)


def _form(record: Record) -> Grid | None:
    known = axes.settings()
    if not record.request.loras:
        known = {name: one for name, one in known.items() if not name.startswith("lora")}
    columns = st.columns(2)
    said = {}
    for column, (letter, where) in zip(columns, (("x", "Across"), ("y", "Down")), strict=True):
        with column:
            key = f"grid.{letter}"
            names = list(known)
            name = st.selectbox(
                f"{where}: {'columns' if letter == 'x' else 'rows'}",
                names,
                index=names.index(_FIRST[key]),
                format_func=lambda one: known[one].label,
                key=key,
                bind="query-params",
            )
            seed = record.request.seed or 0
            text = st.text_input(
                "Values, with commas between them",
                value=_FIRST.get(f"{key}s", f"{seed}-{seed + 2}"),
                key=f"{key}s",
                placeholder=shared.escape(known[str(name)].example),
                bind="query-params",
            )
            said[letter] = axes.read(str(name), str(text)) if str(text).strip() else None
    across, down = said["x"], said["y"]
    if across is None or down is None:
        return None
    return Grid(replace(record.request, count=1), across, down)


def _grid(grid: Grid, was_busy: bool) -> None:
    with shared.told():
        specs = grid.specs()
        keys = {cell: spec.idempotency_key for cell, spec in specs.items()}
        asked = shared.queue().asked(axes.USER, list(keys.values()))
        jobs = {cell: asked[key] for cell, key in keys.items() if key in asked}
        active = [job for job in jobs.values() if job.active]
        if was_busy and not active:
            st.rerun()
        records = _records(jobs)
        if active:
            st.progress(len(records) / len(specs), text=f"{len(records)} of {len(specs)} pictures")
            if st.button("Cancel", key="grid.cancel", icon=":material/close:"):
                for job in active:
                    shared.queue().cancel(job.id)
        for error in {job.error for job in jobs.values() if job.error}:
            st.error(shared.escape(str(error)), icon=":material/error:")
        width = len(grid.across.values)
        for row, below in enumerate(grid.down.labels):
            st.markdown(shared.composed(f"**{shared.escape(below)}**"))
            with st.grid(width, min_column_width=90, key=f"grid-axes-{row}"):
                for column, beside in enumerate(grid.across.labels):
                    with st.container(gap="xsmall"):
                        _cell(records.get((column, row)), jobs.get((column, row)), f"{beside}, {below}")
                        st.caption(shared.escape(beside))
        if records and not active:
            st.download_button(
                "Download as one picture",
                data=lambda: _sheet(grid, records),
                file_name="grid.png",
                mime="image/png",
                key="grid.download",
                icon=":material/download:",
                on_click="ignore",
            )


def _records(jobs: Mapping[tuple[int, int], Job]) -> dict[tuple[int, int], Record]:
    found = {cell: shared.find(job.record_ids[0]) for cell, job in jobs.items() if job.record_ids}
    return {cell: record for cell, record in found.items() if record is not None}


def _cell(record: Record | None, job: Job | None, said: str) -> None:
    image = None if record is None else pictures.file_of(record, small=True)
    if record is not None and image is not None:
        st.image(image, width="stretch", alt=said)
        if record.card.scored:
            st.caption(shared.escape(f"{record.card.scorer} {record.card.score:.3f}"))
    elif job is not None and job.active:
        st.skeleton(height=120)
    else:
        st.caption("Not drawn")


def _sheet(grid: Grid, records: Mapping[tuple[int, int], Record]) -> bytes:
    """The labelled grid as a PNG."""

    def cell(column: int, row: int) -> Image.Image | str:
        record = records.get((column, row))
        try:
            if record is not None:
                with Image.open(record.path) as image:
                    return image.convert("RGB")
        except OSError:
            return "The file of this picture is gone."
        return "Not drawn"

    buffer = io.BytesIO()
    sheet.draw(grid.across.labels, grid.down.labels, cell).save(buffer, format="PNG")
    return buffer.getvalue()
