"""Which files of a folder are training pictures, which text is whose caption, and what is left out and why.

Understands what other programs leave behind: splits (`train/` beside `test/`), the folders of kohya's scripts
(`10_name`: every picture ten times; `1_reg`), captions in `.txt` or `.caption` files, macOS's shadow files.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sdxl_lora.data.listings import captions_of, read_text

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"}
)
UNREAD_SUFFIXES = frozenset(
    {".heic", ".heif", ".jxl", ".jp2", ".svg", ".psd", ".raw", ".dng", ".cr2", ".nef", ".arw", ".pdf", ".mp4"}
)
CAPTION_SUFFIXES = (".txt", ".caption")
TRAIN = "train"
HELD_OUT = frozenset({"test", "validation", "valid", "val", "dev", "eval"})
_REPEATED = re.compile(r"(\d{1,4})_(.+)")
_REGULARISATION = ("reg", "regularization", "regularisation")


@dataclass(kw_only=True)
class Found:
    """The pictures of a folder."""

    files: list[Path] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)  # name in the folder -> why


def train_split(paths: Sequence[Path], folder: Path) -> tuple[list[Path], dict[str, str]]:
    """(those of the training split, why the others are left out); all, where there is no such split.

    A path's split is the first part of its name, or of a folder's above it: `test/`, `data/test-00000.parquet`.
    """
    splits = {path: _split(path, folder) for path in paths}
    if TRAIN not in splits.values():
        return list(paths), {}
    left_out = {
        str(path.relative_to(folder)): f"of the split {split}: training reads {TRAIN}"
        for path, split in splits.items()
        if split in HELD_OUT
    }
    return [path for path, split in splits.items() if split not in HELD_OUT], left_out


def find_pictures(folder: Path) -> Found:
    """Every picture below `folder` that is to be trained on, in order."""
    found = Found()
    for path in sorted(folder.rglob("*")):
        suffix, name = path.suffix.lower(), str(path.relative_to(folder))
        if suffix not in IMAGE_SUFFIXES | UNREAD_SUFFIXES or not path.is_file():
            continue
        inside = path.relative_to(folder).parts
        if path.name.startswith("._") or "__MACOSX" in inside:
            found.left_out[name] = "a shadow file of macOS, no picture"
        elif any(part.startswith(".") for part in inside):
            found.left_out[name] = "hidden: its name or folder begins with a dot"
        elif suffix in UNREAD_SUFFIXES:
            found.left_out[name] = f"{suffix} is not read here: convert it to PNG or JPEG"
        elif any(_is_regularisation(part) for part in inside[:-1]):
            found.left_out[name] = "regularisation: give its folder as --class_data_dir"
        else:
            found.files.append(path)
    found.files, others = train_split(found.files, folder)
    found.left_out |= others
    return found


def caption_file(picture: Path) -> Path | None:
    """The text beside a picture, whichever way its suffix is written."""
    for suffix in CAPTION_SUFFIXES:
        for written in (suffix, suffix.upper()):
            path = picture.with_suffix(written)
            if path.is_file():
                return path
    return None


def sidecar_captions(picture: Path) -> tuple[str, ...]:
    """The caption in the file beside a picture; else, in a folder of kohya's (`10_name`), the name."""
    path = caption_file(picture)
    if path is not None:
        return captions_of(read_text(path).strip(), str(path))
    repeated = _REPEATED.fullmatch(picture.parent.name)
    return (repeated[2].replace("_", " "),) if repeated else ()


def repeats(picture: Path, folder: Path) -> int:
    """How often an epoch shows a picture: what the folder it lies in says, in kohya's way, else once."""
    repeated = _REPEATED.fullmatch(picture.parent.name) if picture.parent != folder else None
    return max(1, int(repeated[1])) if repeated else 1


def _split(path: Path, folder: Path) -> str:
    parts = path.relative_to(folder).parts
    names = [part.lower() for part in parts[:-1]] + [re.split(r"[-_.]", parts[-1].lower())[0]] * (
        path.suffix == ".parquet"
    )
    return next((name for name in names if name == TRAIN or name in HELD_OUT), "")


def _is_regularisation(name: str) -> bool:
    repeated = _REPEATED.fullmatch(name.lower())
    return (repeated[2] if repeated else name.lower()) in _REGULARISATION
