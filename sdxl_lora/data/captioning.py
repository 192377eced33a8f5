"""Captions for a folder of product photos, by a BLIP captioner, in the form the data set already has.

What has a caption keeps it, so an interrupted run goes on where it was. Knows nothing of training.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import huggingface_hub
import torch
from huggingface_hub.errors import HTTPError
from PIL import Image

from sdxl_lora import files, plain_json
from sdxl_lora.data import folders
from sdxl_lora.data.images import decode
from sdxl_lora.errors import DataError, ModelUnavailableError, StorageError

MODEL = "Salesforce/blip-image-captioning-large"  # the original project's captioner
PREFIX = "a photography of"
Form = Literal["metadata", "txt", "json"]
HUB_TIMEOUT = 10.0  # seconds until the hub counts as out of reach
METADATA_NAME = "metadata.jsonl"
JSON_NAME = "captions.json"
Captioner = Callable[[Sequence[Image.Image]], list[str]]


@dataclass(frozen=True, kw_only=True)
class Captioned:
    """One picture and its new caption."""

    name: str
    caption: str


class BlipCaptioner:
    """Completes the prefix for each picture; greedy with three beams, so that equal pictures get equal
    captions.
    """

    def __init__(self, source: str = MODEL, *, prefix: str = PREFIX, device: str | None = None) -> None:
        """Loads the weights. Raises `ModelUnavailableError` with how to get them."""
        self.prefix = prefix
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        try:
            self._processor, self._model = _load(source)
        except (OSError, ValueError, HTTPError) as error:
            raise ModelUnavailableError(
                f"the captioner {source} is not on this machine and could not be fetched; with a network run "
                f"`hf download {source}` here, or copy that folder and give it as --model FOLDER"
            ) from error
        self._model.to(self.device).eval()

    @torch.no_grad()
    def __call__(self, images: Sequence[Image.Image]) -> list[str]:
        batch = self._processor(images=list(images), text=[self.prefix] * len(images), return_tensors="pt")
        tokens = self._model.generate(
            **batch.to(self.device), max_new_tokens=40, num_beams=3, do_sample=False
        )
        return [self._clean(text) for text in self._processor.batch_decode(tokens, skip_special_tokens=True)]

    def _clean(self, text: str) -> str:
        words = " ".join(text.split())
        return words if words.startswith(self.prefix) else f"{self.prefix} {words}"


def _load(source: str) -> tuple[Any, Any]:
    """Processor and model of a folder or hub id: what is on this machine, else from the hub.

    The hub is asked once whether it is there before anything is fetched: its client tries every file of a model
    again and again, minutes in all. Raises `OSError`, `ValueError`, `HTTPError`.
    """
    from transformers import BlipForConditionalGeneration, BlipProcessor

    def load(here: bool) -> tuple[Any, Any]:
        processor = BlipProcessor.from_pretrained(source, local_files_only=here)
        model = BlipForConditionalGeneration.from_pretrained(
            source, use_safetensors=True, local_files_only=here
        )
        return processor, model

    try:
        return load(here=True)
    except (OSError, ValueError):
        if Path(source).is_dir():
            raise
    huggingface_hub.HfApi().model_info(source, timeout=HUB_TIMEOUT)
    return load(here=False)


def caption_folder(
    folder: Path, captioner: Captioner, *, form: Form | None = None, batch_size: int = 4
) -> Iterator[Captioned]:
    """Writes a caption for every picture without one; each batch is on disk before the next begins.

    `form`: `metadata` (metadata.jsonl), `txt` (one file per picture), `json` (the original project's list);
    `None`: the one that is there, else metadata. Raises `DataError` (no folder, no pictures),
    `StorageError` (cannot write).
    """
    pictures = find_pictures(folder)
    book = open_book(folder, form)
    todo = [path for path in pictures if not book.has(path)]
    for start in range(0, len(todo), batch_size):
        paths = todo[start : start + batch_size]
        images = [decode(_bytes(path), path.name)[0] for path in paths]
        found = dict(zip(paths, captioner(images), strict=True))
        try:
            book.write(found)
        except StorageError as error:
            raise StorageError(f"{error}; earlier captions are kept") from None
        yield from (
            Captioned(name=str(path.relative_to(folder)), caption=text) for path, text in found.items()
        )


def find_pictures(folder: Path) -> list[Path]:
    """All pictures in a folder. Raises `DataError` when there is none."""
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    found = folders.find_pictures(folder).files
    if not found:
        raise DataError(f"{folder} has 0 pictures")
    return found


class Book:
    """Captions of a folder in one of the three forms."""

    def __init__(self, folder: Path, form: Form) -> None:
        self._folder, self._form = folder, form
        self._rows: dict[str, dict[str, Any]] = {}
        self._file = folder / (METADATA_NAME if form == "metadata" else JSON_NAME)
        if form != "txt" and self._file.is_file():
            text = self._file.read_text(encoding="utf-8")
            rows = (
                plain_json.parse(text)
                if form == "json"
                else [plain_json.parse(line) for line in text.split("\n") if line.strip()]
            )
            self._rows = {row[self._name_key]: row for row in rows}

    @property
    def _name_key(self) -> str:
        return "fileName" if self._form == "json" else "file_name"

    @property
    def _text_key(self) -> str:
        return "caption" if self._form == "json" else "text"

    def has(self, picture: Path) -> bool:
        if self._form == "txt":
            text = picture.with_suffix(".txt")
            return text.is_file() and bool(text.read_text(encoding="utf-8").strip())
        return bool(self._rows.get(str(picture.relative_to(self._folder)), {}).get(self._text_key))

    def write(self, found: dict[Path, str]) -> None:
        """Adds captions; the file is replaced as a whole, so it is never half-written."""
        if self._form == "txt":
            for picture, text in found.items():
                files.write_atomically(picture.with_suffix(".txt"), f"{text}\n".encode())
            return
        for picture, text in found.items():
            name = str(picture.relative_to(self._folder))
            row = self._rows.setdefault(name, {self._name_key: name})
            if self._form == "json":
                row.setdefault("LogoName", "")
            row[self._text_key] = text
        rows = [json.dumps(row, ensure_ascii=False) for row in self._rows.values()]
        body = "[\n" + ",\n".join(rows) + "\n]\n" if self._form == "json" else "\n".join(rows) + "\n"
        files.write_atomically(self._file, body.encode())


def open_book(folder: Path, form: Form | None) -> Book:
    """The captions of a folder. Raises `DataError` when they are damaged."""
    if form is not None and form not in get_args(Form):
        raise DataError(f"{form} is no form of captions; use {', '.join(get_args(Form))}")
    if form is None:
        form = "metadata"
        if (folder / JSON_NAME).is_file() and not (folder / METADATA_NAME).is_file():
            form = "json"
        elif not (folder / METADATA_NAME).is_file() and any(folder.rglob("*.txt")):
            form = "txt"
    try:
        return Book(folder, form)
    except (ValueError, KeyError, TypeError):
        raise DataError(
            f"the captions in {folder} are damaged; repair or remove them, or choose another form"
        ) from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
