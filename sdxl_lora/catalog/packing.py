"""A catalogue's folder as one ZIP, in pieces: nothing is held but the piece, however large the catalogue is."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from sdxl_lora import files
from sdxl_lora.catalog import manifest
from sdxl_lora.catalog.journal import Made
from sdxl_lora.errors import StorageError

_PIECE = 256 * 1024  # bytes
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same folder gives the same ZIP


class _Pieces(io.RawIOBase):
    """Takes what is written until somebody fetches it; cannot seek, so that the ZIP is written from front to back."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        self._held += data
        return len(data)

    def fetch(self) -> bytes:
        held = bytes(self._held)
        self._held.clear()
        return held


def members(folder: Path, made: Iterator[Made] | list[Made]) -> list[str]:
    """Files of a catalogue that are there, by their names in the folder: pictures, exports, manifests."""
    found: dict[str, None] = {}
    for one in made:
        found[one.file] = None
        found |= dict.fromkeys(str(export["file"]) for export in one.exports.values())
    found |= dict.fromkeys((manifest.JSON, manifest.CSV, manifest.FAILED))
    return [name for name in found if (folder / name).is_file()]


def stream(folder: Path, names: list[str]) -> Iterator[bytes]:
    """The ZIP in pieces. Pictures are stored as they are: they are compressed already.

    Raises `StorageError` where a file was deleted meanwhile.
    """
    pieces = _Pieces()
    with zipfile.ZipFile(pieces, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            packed = zipfile.ZIP_DEFLATED if name.endswith((".json", ".csv")) else zipfile.ZIP_STORED
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = packed
            entry.external_attr = 0o644 << 16
            try:
                with (
                    (folder / name).open("rb") as source,
                    archive.open(entry, "w", force_zip64=True) as target,
                ):
                    while data := source.read(_PIECE):
                        target.write(data)
                        yield pieces.fetch()
            except OSError as error:
                raise StorageError(f"cannot read {folder / name}: {error.strerror or error}") from error
    yield pieces.fetch()


def write(path: Path, folder: Path, names: list[str]) -> None:
    """The ZIP as a file, whole or not at all. Raises `StorageError`."""
    temporary = path.with_name(f".{path.name}{files.TEMPORARY_SUFFIX}")
    with files.storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                for piece in stream(folder, names):
                    file.write(piece)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
