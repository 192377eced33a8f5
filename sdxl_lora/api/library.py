"""The models and LoRAs that may be named over HTTP: those on this machine, by short names. Nothing is ever fetched.

Models are the registry's whose weights are here, and folders in `models/` of the data folder. LoRAs are `.safetensors`
files, and folders with one, in `loras/` of the data folder. `SDXL_LORA_API_FOLDERS` names more folders for both. A path
or a hub id is no name: whoever may draw must not thereby read the disk or the network.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from sdxl_lora.errors import InputError, UnknownNameError
from sdxl_lora.models import registry
from sdxl_lora.models.registry import ModelInfo

_LORA = ".safetensors"


class Library:
    """What lies in the folders now; looked up anew each time."""

    def __init__(self, home: Path) -> None:
        more = os.environ.get("SDXL_LORA_API_FOLDERS", "")
        self._others = tuple(Path(part).expanduser() for part in more.split(os.pathsep) if part)
        self._home = home

    def models(self) -> dict[str, ModelInfo]:
        """Name -> model, the one that draws where none is named first."""
        found = {info.name: info for info in registry.available() if info.present}
        for entry in self._entries("models"):
            if (entry / "model_index.json").is_file():
                try:
                    info = registry.describe(str(entry))
                except InputError:  # damaged; the page says so where it is typed in
                    continue
                if info.present:
                    found.setdefault(entry.name, info)
        usual = registry.resolve_auto()
        return dict(sorted(found.items(), key=lambda item: item[0] != usual))

    def model(self, name: str) -> str:
        """What a request calls the model of that name: "auto" or "" is the usual one. Raises `UnknownNameError`."""
        if name in ("", "auto"):
            return "auto"
        known = self.models()
        if name not in known:
            raise UnknownNameError("model", name, [*known, "auto"])
        return known[name].name

    def loras(self) -> dict[str, Path]:
        """Name -> file or folder."""
        found: dict[str, Path] = {}
        for entry in self._entries("loras"):
            if entry.suffix == _LORA and entry.is_file():
                found.setdefault(entry.stem, entry)
            elif entry.is_dir() and any(entry.glob(f"*{_LORA}")):
                found.setdefault(entry.name, entry)
        return found

    def lora(self, name: str) -> str:
        """The path of the LoRA of that name. Raises `UnknownNameError`."""
        known = self.loras()
        if (path := known.get(name.removesuffix(_LORA))) is None:
            raise UnknownNameError(
                "LoRA", name, known, "" if known else "none yet: put files into loras/ of the data folder"
            )
        return str(path)

    def _entries(self, kind: str) -> Iterator[Path]:
        for folder in (self._home / kind, *self._others):
            if folder.is_dir():
                yield from sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
