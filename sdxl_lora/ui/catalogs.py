"""Catalogues on their page: which there are, how far one is, its failed rows, its download."""

import atexit
from pathlib import Path

import streamlit as st

from sdxl_lora import config
from sdxl_lora.catalog import estimating, manifest, packing, runs
from sdxl_lora.catalog.background import Makers
from sdxl_lora.catalog.filling import write_manifests
from sdxl_lora.catalog.runs import Run
from sdxl_lora.lru_cache import LruCache
from sdxl_lora.ui import catalog_review, one_or_new, shared
from sdxl_lora.ui.counting import number_of

PAGE = "catalog"  # what the keys of its widgets begin with
_POLL = 1.0  # seconds
_PROBLEMS = 200  # rows in the table
_OPENED: LruCache[tuple[object, ...], Run] = LruCache(4)  # what is asked for at every rerun


@st.cache_resource(show_spinner=False, max_entries=1, on_release=Makers.close)
def _makers(home: Path) -> Makers:
    found = Makers(shared.front_door())
    atexit.register(found.close)
    found.go_on()
    return found


def makers() -> Makers:
    """Those of this process; the first call goes on with what a restart has cut off. Raises `StorageError`."""
    return _makers(config.home())


def known() -> dict[str, str]:
    """Folder -> what it is called in the list, newest first."""
    return {folder.name: _title(info) for folder, info in runs.all_runs()}


def _title(info: runs.Info) -> str:
    when = info.created_at[:16].replace("T", " ")
    return f"{info.table} · {when}"


def open_run(folder: Path) -> Run:
    """The catalogue as it is now; read again only when something of it changed. Raises `InputError`, `StorageError`."""
    paths = [folder / runs.INSIDE / name for name in ("run.json", "plan.json", "journal.jsonl")]
    found = [path.stat() if path.exists() else None for path in paths]
    key = (folder, *((one.st_mtime_ns, one.st_size) if one else None for one in found))
    return _OPENED.find(key) or _OPENED.keep(key, Run.open(folder))


def choose(names: dict[str, str]) -> Path | None:
    """The catalogue to show, or None for a new one; it stands in the address, so that the page can be closed."""
    chosen = one_or_new.choose(names, label="Catalogue", page=PAGE)
    return None if chosen is None else runs.home() / chosen


def show(folder: Path) -> None:
    """One catalogue: making it, or looking through it."""
    running = makers().running(folder)
    st.fragment(_progress, run_every=_POLL if running else None)(folder, running)
    if not running:
        run = open_run(folder)
        if run.made:
            catalog_review.show(run)
        _failed(run)


def _progress(folder: Path, watched: bool) -> None:
    """How far it is, and what can be done about it; asks again while it is made.

    Args:
        watched: whether it was being made when the page was drawn; as soon as that is no longer so, all is drawn anew.
    """
    running = makers().running(folder)
    if running != watched:
        st.rerun()
    if running:
        _making(folder)
    else:
        _resting(open_run(folder))


def _making(folder: Path) -> None:
    now = makers().progress(folder)
    if now is None:
        st.progress(0.0, "Beginning")
    else:
        left = now.seconds_left
        time = f"about {estimating.duration(left)} left" if left is not None else "loading the model"
        failed = f", {now.failed:,} failed" if now.failed else ""
        said = f"{now.done:,} of {now.total:,} pictures{failed}, {time}"
        st.progress(min(1.0, now.done / max(1, now.total)), shared.escape(said))
    with st.container(horizontal=True, key="catalog-actions", vertical_alignment="center"):
        st.button("Stop", key="catalog.stop", icon=":material/stop:", on_click=makers().stop, args=(folder,))
        st.caption("You may close this page. It goes on, and is here when you come back.")
    latest = makers().latest(folder)
    if latest:
        with st.grid(4, min_column_width=130, key="grid-latest"):
            for one in latest:
                with st.container():
                    catalog_review.picture(folder, one, small=True)
                    st.caption(shared.escape(one.name))


def _resting(run: Run) -> None:
    made, total, failed = len(run.made), len(run.plan.items), len(run.failed)
    said = f"{made:,} of {total:,} pictures" + (f", {failed:,} failed" if failed else "")
    st.progress(min(1.0, made / max(1, total)), shared.escape(said))
    if error := makers().reason(run.folder):
        st.error(shared.escape(error), icon=":material/error:")
    with st.container(horizontal=True, key="catalog-actions", vertical_alignment="center"):
        missing = run.open_items
        if missing:
            left = estimating.estimate(shared.store(), missing)
            st.button(
                shared.escape(f"Make {'the rest' if made else 'them'}: {left.words()}"),
                key="catalog.go-on",
                type="primary",
                icon=":material/play_arrow:",
                on_click=_start,
                args=(run.folder,),
            )
        if made:
            st.link_button(
                shared.escape(f"Download {'what is there' if missing else 'all'} as ZIP"),
                zip_address(run),
                icon=":material/download:",
            )
        with st.popover("Delete", icon=":material/delete:", key="catalog.delete"):
            st.markdown("The catalogue and its files are removed. The pictures stay in the gallery.")
            st.button(
                "Delete this catalogue",
                key="catalog.confirm",
                type="primary",
                on_click=_delete,
                args=(run.folder,),
            )


def zip_address(run: Run) -> str:
    """Where the server streams the catalogue from, see `serving.routes`."""
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return "/".join(filter(None, ["", base, "catalogs", run.folder.name, f"{run.info.id}.zip"])).replace(
        "//", "/"
    )


def _start(folder: Path) -> None:
    with shared.toasted():
        makers().start(folder)


def _delete(folder: Path) -> None:
    with shared.toasted():
        makers().stop(folder)
        makers().wait(folder, 30.0)
        runs.delete(folder)
        st.query_params.pop("catalogue", None)


def _failed(run: Run) -> None:
    problems = sorted(run.problems.items())
    if not problems:
        return
    many = f"{number_of(len(problems), 'row')} could not be made"
    with st.expander(shared.escape(many), icon=":material/error:", key="catalog-failed"):
        rows = {row.number: row for row in run.table.rows}
        first = run.table.columns[0]
        st.dataframe(
            {
                "Row": [number for number, _ in problems[:_PROBLEMS]],
                first: [
                    rows[number].cells.get(first, "") if number in rows else ""
                    for number, _ in problems[:_PROBLEMS]
                ],
                "Why": [why for _, why in problems[:_PROBLEMS]],
            },
            hide_index=True,
            width="stretch",
        )
        path = run.folder / manifest.FAILED
        if not path.exists():
            manifest.write_failed(run.folder, run.table, run.problems)
        st.download_button(
            "Download these rows, to put them right",
            data=lambda: path.read_bytes(),
            file_name="failed.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="catalog.failed",
        )


def packed(folder_name: str, identifier: str) -> tuple[Path, list[str]] | None:
    """Folder and files of a catalogue that a ZIP is asked for; None where there is none of that name and number.

    Raises `InputError`, `StorageError`.
    """
    found = {folder.name: (folder, info) for folder, info in runs.all_runs()}.get(folder_name)
    if found is None or found[1].id != identifier:
        return None
    run = Run.open(found[0])
    write_manifests(run, shared.front_door())  # with what people have said of the pictures since
    return run.folder, packing.members(run.folder, run.made)
