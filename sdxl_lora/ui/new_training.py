"""Starts a training from the page: pictures with captions, what would go wrong with them, a goal, and off it goes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from sdxl_lora import config, files
from sdxl_lora.comparing import archive
from sdxl_lora.data import checks, sources
from sdxl_lora.errors import DataError, StudioError
from sdxl_lora.jobs.spec import JobSpec, TrainingWish
from sdxl_lora.models import registry
from sdxl_lora.request import GenerationRequest
from sdxl_lora.training import checking, presets
from sdxl_lora.ui import shared

_KINDS = ("A folder on this machine", "A ZIP file to upload")
_BESIDE = (".txt", ".caption", ".jsonl", ".json", ".csv")  # captions
_OPTIMIZERS = {"AdamW": "adamw", "Prodigy (finds its rate)": "prodigy", "Schedule-free": "schedulefree"}
_BUNDLED = "mini"
SAMPLE = Path(__file__).parents[1] / "assets" / "sample_data" / "brand.jsonl"


def home() -> Path:
    """Where runs that were started here lie."""
    return config.home() / "training"


@dataclass(frozen=True, kw_only=True)
class _Data:
    """A data set that was looked at."""

    path: str
    pictures: int
    problems: int
    lines: tuple[str, ...]
    captions: tuple[str, ...]  # some, of different pictures


def show(session: str, *, expanded: bool) -> None:
    """The form; a training that was started is what the page shows next."""
    with st.expander("New training", icon=":material/add:", expanded=expanded):
        goal = st.segmented_control(
            "What is to be learned?",
            tuple(presets.GOALS),
            default="emblem",
            format_func=lambda name: presets.GOALS[name].title,
            required=True,
            key="training.new.goal",
        )
        st.caption(shared.escape(presets.GOALS[goal].says[:1].upper() + presets.GOALS[goal].says[1:]) + ".")
        model = _model()
        try:
            path = _source()
            data = None if path is None else _looked_at(path, model)
        except StudioError as error:
            st.error(shared.escape(str(error)), icon=":material/error:")
            return
        if data is None:
            st.caption("Every picture needs a caption: a text file of the same name, or a metadata file.")
            return
        _findings(data)
        _start(session, goal, model, data)


def _model() -> str:
    if not shared.expert():
        return _BUNDLED if registry.resolve_auto() == _BUNDLED else registry.resolve_auto()
    return st.text_input("Model that learns", registry.resolve_auto(), key="training.new.model").strip()


def _source() -> str | None:
    kind = st.segmented_control(
        "Pictures from", _KINDS, default=_KINDS[0], required=True, key="training.new.kind"
    )
    if kind == _KINDS[0]:
        typed = st.text_input(
            "Folder with pictures and captions", key="training.new.folder", placeholder="photos"
        ).strip()
        if SAMPLE.is_file():
            st.button(
                "Try it with the example: a crest",
                key="training.new.sample",
                type="tertiary",
                icon=":material/science:",
                on_click=lambda: st.session_state.update({"training.new.folder": str(SAMPLE)}),
            )
        return str(Path(typed).expanduser()) if typed else None
    upload = st.file_uploader("ZIP with pictures and captions", "zip", key="training.new.zip")
    return None if upload is None else str(_unpacked(upload.name, upload.getvalue()))


def _unpacked(name: str, data: bytes) -> Path:
    """Folder with what is in an upload, named by its contents. Raises `DataError`, `StorageError`."""
    folder = home() / "data" / hashlib.sha256(data).hexdigest()[:16]
    for file, content in archive.read_zip(data, name, beside=_BESIDE).items():
        if not (folder / file).is_file():
            files.write_atomically(folder / file, content)
    return folder


@st.cache_data(show_spinner="Looking at every picture", max_entries=8, ttl=600)
def _looked_at(path: str, model: str) -> _Data:
    source = sources.open_source(path, captions_required=False)
    if not len(source):
        raise DataError(f"there are no pictures in {path}; choose another folder")
    report = checking.check_for(source, model)
    told = [found[0] for found in source.captions if found]
    some = dict.fromkeys(told[place * len(told) // 2] for place in range(2)) if told else {}
    return _Data(
        path=path,
        pictures=report.pictures,
        problems=report.problems,
        lines=tuple(checks.lines(report)),
        captions=tuple(some),
    )


def _findings(data: _Data) -> None:
    """What would go wrong, before anything is started."""
    if data.problems:
        st.warning(
            f"{data.pictures:d} pictures, and {data.problems:d} things to put right first: see below.",
            icon=":material/rule:",
        )
    else:
        st.success(f"{data.pictures:d} pictures, nothing to put right.", icon=":material/check_circle:")
    with st.expander("What was found in the pictures", expanded=bool(data.problems)):
        st.markdown("\n".join(f"- {shared.escape(line)}" for line in data.lines))


def _start(session: str, goal: str, model: str, data: _Data) -> None:
    bundled = model == _BUNDLED
    name = st.text_input("Name", f"{Path(data.path).stem}-{goal}", key="training.new.name", max_chars=60)
    drawn = st.text_area(
        "Draw these while it learns, one a line",
        "\n".join(data.captions),
        key=f"training.new.prompts.{data.path}",
        help="The same pictures after each checkpoint, so that you see what was learned",
    )
    usual = presets.STEPS["small" if bundled else "large"]
    steps = int(
        st.number_input(
            "Updates", 1, 100_000, usual, key="training.new.steps", help="More learn more, and longer"
        )
    )
    optimizer = "adamw"
    if shared.expert():
        optimizer = _OPTIMIZERS[
            st.selectbox("Optimizer", tuple(_OPTIMIZERS), key="training.new.optimizer") or "AdamW"
        ]
    prompts = [line.strip().replace("|", " ") for line in drawn.splitlines() if line.strip()]
    if not st.button("Train", key="training.new.start", type="primary", icon=":material/model_training:"):
        return
    try:
        spec = _spec(session, name, data, prompts, presets_of(goal, model, optimizer, steps, data.pictures))
        shared.queue().submit(spec)
    except StudioError as error:
        st.error(shared.escape(str(error)), icon=":material/error:")
        return
    st.toast("The training is in the line.", icon=":material/model_training:")
    st.rerun()


def presets_of(
    goal: str, model: str, optimizer: str, steps: int, pictures: int
) -> dict[str, presets.Setting]:
    """The goal's settings for a model, with that model among them."""
    chosen = presets.settings(
        goal, bundled=model == _BUNDLED, optimizer=optimizer, steps=steps, pictures=pictures
    )
    return {"pretrained_model_name_or_path": model, **chosen}


def _spec(
    session: str, name: str, data: _Data, prompts: Sequence[str], settings: dict[str, presets.Setting]
) -> JobSpec:
    """The job. Raises `InputError` for a name that no folder can have, or that is taken."""
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in name.strip())[:60].strip("-")
    if not plain:
        raise DataError("a training needs a name of letters or digits")
    output = home() / "runs" / plain
    if output.exists():
        raise DataError(f"there is a training named {plain!r} already; choose another name")
    settings |= {"dataset_name": data.path, "output_dir": str(output)}
    if prompts:
        settings["validation_prompt"] = " | ".join(prompts)
    masks = SAMPLE.parent / "masks"
    if Path(data.path) == SAMPLE and masks.is_dir():  # the very run of the script
        settings |= {
            "mask_dir": str(masks),
            "class_data_dir": str(SAMPLE.parent / "support.jsonl"),
            "prior_prediction": True,
            "trigger_words": "Halden, crest logo",
        }
    model = str(settings["pretrained_model_name_or_path"])
    example = GenerationRequest(prompt=prompts[0] if prompts else plain, model=model)
    wish = TrainingWish(name=plain, settings=tuple(settings.items()))
    return JobSpec(request=example, priority="batch", user=session, training=wish)
