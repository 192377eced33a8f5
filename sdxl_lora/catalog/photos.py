"""Photos that rows name: files beside the table, or uploaded with it, kept as input pictures.

A name is one inside the folder and nothing else: what leads out of it, by `..`, a drive or a link, is refused.
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from sdxl_lora import inputs
from sdxl_lora.errors import DataError

UNKNOWN = "0" * 64  # stands for a photo that is there and was not kept yet


class Photos:
    """Name in a cell -> hash of the input picture."""

    def __init__(
        self, folder: Path | None = None, files: Mapping[str, bytes] | None = None, *, keep: bool = True
    ) -> None:
        """Args:
        folder: names are looked for in it.
        files: name -> content, of uploads; they win.
        keep: make input pictures of them; otherwise only look whether they are there.
        """
        self._folder = folder
        self._files = {name.casefold(): data for name, data in (files or {}).items()}
        self._keep = keep
        self._known: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        """The hash. Raises `DataError`, `ImageError`, `StorageError`."""
        if name not in self._known:
            self._known[name] = self._find(name)
        return self._known[name]

    def _find(self, name: str) -> str:
        plain = name.replace("\\", "/")
        if (data := self._files.get(PurePosixPath(plain).name.casefold())) is not None:
            return inputs.keep(data, name=name).hash if self._keep else UNKNOWN
        if self._folder is None:
            raise DataError(f"there is no photo {name[:100]!r} among those that were given")
        path = self._inside(plain, name)
        return inputs.keep_file(path).hash if self._keep else UNKNOWN

    def _inside(self, plain: str, name: str) -> Path:
        assert self._folder is not None
        try:
            folder = self._folder.resolve()
            path = (folder / plain).resolve()
            there = path.is_file()
        except (OSError, ValueError) as error:  # ValueError: a zero byte
            raise DataError(f"photo {name[:100]!r} cannot be looked for: {error}") from error
        if not path.is_relative_to(folder) or plain[1:2] == ":":
            raise DataError(
                f"photo {name[:100]!r} is not in {self._folder}; photos lie beside the table, or below it"
            )
        if not there:
            raise DataError(f"there is no photo {name[:100]!r} in {self._folder}")
        return path
