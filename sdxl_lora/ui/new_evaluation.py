"""Starts an evaluation from the page: two folders or ZIP files, captions if there are some, and what came of it.

The work is done in the page's own run, so that it ends when somebody presses Cancel or leaves; what was measured of a
picture until then is kept, and the next start goes on from there. Files of an upload are kept by their contents, for
the page shows the pictures of an evaluation later.
"""

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from sdxl_lora import config, files
from sdxl_lora.comparing import archive
from sdxl_lora.errors import DataError, StudioError
from sdxl_lora.evaluation.cache import FeatureCache
from sdxl_lora.evaluation.engine import evaluate
from sdxl_lora.evaluation.pairing import Pairing, pair_folders
from sdxl_lora.ui import evaluations
from sdxl_lora.ui.shared import escape

RUNS = "metrics.runs"  # the evaluations that are shown
_KINDS = ("Folders on this machine", "Files to upload")
_CAPTIONS = ("json", "jsonl", "csv", "txt")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be evaluated."""

    generated: Path
    reference: Path | None
    captions: Path | None

    @property
    def command(self) -> str:
        """The command line that makes the same evaluation again."""
        words = ["python", "-m", "sdxl_lora", "evaluate", "--generated", str(self.generated)]
        for flag, path in (("--reference", self.reference), ("--captions", self.captions)):
            words += [flag, str(path)] if path is not None else []
        return shlex.join(words)


def show(*, expanded: bool) -> None:
    """The form; a finished evaluation is what the page shows next."""
    with st.expander("New evaluation", icon=":material/add:", expanded=expanded):
        kind = st.segmented_control(
            "Pictures from", _KINDS, default=_KINDS[0], required=True, key="metrics.new.kind"
        )
        try:
            asked = _folders() if kind == _KINDS[0] else _uploads()
        except StudioError as error:
            st.error(escape(str(error)), icon=":material/error:")
            return
        if asked is None:
            st.caption("Without photos or captions some metrics cannot be computed; they say so.")
            return
        st.markdown("The command that makes this again:")
        st.code(asked.command, language="bash", wrap_lines=True)
        label = st.text_input("Name", key="metrics.new.label", placeholder=asked.generated.name, max_chars=80)
        if not st.button("Evaluate", key="metrics.new.start", type="primary", icon=":material/play_arrow:"):
            return
        try:
            name = _run(asked, label.strip() or asked.generated.name)
        except StudioError as error:
            st.error(escape(str(error)), icon=":material/error:")
            return
        st.session_state[RUNS] = [name]
        st.rerun()


def _run(asked: Asked, label: str) -> str:
    """Evaluates and keeps the report; the name it has on the page. Raises `StudioError`."""
    pairing = pair_folders(asked.generated, asked.reference, asked.captions)
    for note in pairing.notes:
        st.caption(escape(note))
    st.button(
        "Cancel", key="metrics.new.cancel", icon=":material/close:", help="What was measured so far is kept"
    )
    report = _evaluated(pairing, label)
    folders = {"generated": asked.generated, **({"reference": asked.reference} if asked.reference else {})}
    return evaluations.name(evaluations.store().add(report, folders))


def _evaluated(pairing: Pairing, label: str) -> dict[str, Any]:
    bar = st.progress(0.0, text="Getting the networks ready")
    cache = FeatureCache(config.home() / "cache" / "features.sqlite")

    def progress(done: int, total: int) -> None:
        bar.progress(done / total, text=f"{done} of {total} pictures")  # Cancel ends the run here

    try:
        return evaluate(pairing, label=label, cache=cache, progress=progress).to_dict()
    finally:
        cache.close()


def _folders() -> Asked | None:
    generated = st.text_input(
        "Folder of the pictures", key="metrics.new.generated", placeholder="outputs/pictures"
    )
    reference = st.text_input(
        "Folder of photos with the same names", key="metrics.new.reference", placeholder="optional"
    )
    captions = st.text_input(
        "File of captions", key="metrics.new.captions", placeholder="optional; .jsonl, .json, .csv or .txt"
    )
    paths = [
        Path(text.strip()).expanduser() if text.strip() else None for text in (generated, reference, captions)
    ]
    if paths[0] is None:
        return None
    return Asked(generated=paths[0], reference=paths[1], captions=paths[2])


def _uploads() -> Asked | None:
    generated = st.file_uploader("ZIP of the pictures", "zip", key="metrics.new.generated_zip")
    reference = st.file_uploader("ZIP of photos with the same names", "zip", key="metrics.new.reference_zip")
    captions = st.file_uploader("Captions", _CAPTIONS, key="metrics.new.captions_file")
    if generated is None:
        return None
    return Asked(
        generated=_unpacked(generated.name, generated.getvalue()),
        reference=None if reference is None else _unpacked(reference.name, reference.getvalue()),
        captions=None if captions is None else _kept(captions.name, captions.getvalue()),
    )


def _unpacked(name: str, data: bytes) -> Path:
    """Folder with the pictures of an upload, named by its contents. Raises `DataError`, `StorageError`."""
    folder = _place(data) / _plain_stem(name)
    for picture, content in archive.read_zip(data, name).items():
        if not (folder / picture).is_file():
            files.write_atomically(folder / picture, content)
    return folder


def _kept(name: str, data: bytes) -> Path:
    path = _place(data) / f"{_plain_stem(name)}{Path(name).suffix.lower()}"
    if not path.is_file():
        files.write_atomically(path, data)
    return path


def _place(data: bytes) -> Path:
    return config.home() / "evaluations" / "uploads" / hashlib.sha256(data).hexdigest()[:16]


def _plain_stem(name: str) -> str:
    """A name that is safe in a path. Raises `DataError` where nothing is left of it."""
    stem = "".join(c if c.isalnum() or c in "-_ " else "-" for c in Path(name).stem)[:60].strip()
    if not stem:
        raise DataError(f"{name!r} is no usable name of a file; rename it")
    return stem
