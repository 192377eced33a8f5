"""One catalogue in one folder: what it was made from, what is there, and how it goes on.

    <name>.png, <preset>/<name>.jpg     the pictures, and those for shops
    manifest.json, manifest.csv         what is in each
    failed.csv                          rows that could not be made, with the reason
    .catalog/                           the table, the settings and the journal, from which a run goes on

A picture is drawn by a job whose key is the item's: a process that was killed asks for the same jobs again and gets
those that are done. It is in the folder before its line is in the journal. Nothing is written outside the folder.
"""

import contextlib
import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from sdxl_lora import config, files
from sdxl_lora.catalog import planning, tables
from sdxl_lora.catalog.journal import Failed, Journal, Made
from sdxl_lora.catalog.photos import Photos
from sdxl_lora.catalog.planning import Item, Plan, Settings
from sdxl_lora.catalog.tables import Table
from sdxl_lora.errors import DataError, InputError, NotFoundError

INSIDE = ".catalog"
_INFO, _PLAN = "run.json", "plan.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Info:
    """What is known of a catalogue without reading its table."""

    id: str
    table: str  # name of the file it was made from
    created_at: str  # ISO 8601, UTC
    settings: Mapping[str, Any]  # of `Settings.to_dict`
    running: bool = False  # somebody wants it to be made; after a crash it still does
    format: int = FORMAT


def home() -> Path:
    """Where catalogues lie that nobody gave another place."""
    return config.home() / "catalogs"


def all_runs() -> list[tuple[Path, Info]]:
    """Folders and facts of the catalogues under `home`, newest first."""
    found = []
    for folder in home().iterdir() if home().is_dir() else []:
        with contextlib.suppress(InputError):
            found.append((folder, info(folder)))
    return sorted(found, key=lambda one: one[1].created_at, reverse=True)


def info(folder: Path) -> Info:
    """What a folder says of its catalogue. Raises `NotFoundError` for one that has none, `DataError`."""
    values = files.read_json(folder / INSIDE / _INFO)
    if values is None:
        raise NotFoundError(f"there is no catalogue in {folder}")
    try:
        found = Info(**values)
        if found.format > FORMAT:
            raise DataError(f"the catalogue in {folder} was made by a newer version; update to go on with it")
        return found
    except TypeError as error:
        raise DataError(f"{folder / INSIDE / _INFO} is damaged; begin the catalogue anew") from error


def create(folder: Path, data: bytes, name: str, settings: Settings, photos: Photos | None = None) -> "Run":
    """Begins a catalogue: table and settings are kept, nothing is asked for yet.

    Raises `DataError` where the folder has one, or the table cannot be read, `InputError`, `StorageError`.
    """
    if (folder / INSIDE / _INFO).exists():
        raise DataError(f"{folder} has a catalogue already; go on with it, or choose another folder")
    known = Info(
        id=secrets.token_hex(6),
        table=Path(name).name,
        created_at=datetime.now(UTC).isoformat(),
        settings=settings.to_dict(),
    )
    return _begun(folder, known, data, settings, photos)


def change(folder: Path, data: bytes, name: str, settings: Settings, photos: Photos | None = None) -> "Run":
    """The catalogue in a folder with another table or other settings: what is the same in both is not made again.

    Raises as `create`, `NotFoundError`.
    """
    known = replace(info(folder), table=Path(name).name, settings=settings.to_dict())
    return _begun(folder, known, data, settings, photos)


def delete(folder: Path) -> None:
    """Removes a catalogue under `home` with all its files; its pictures stay in the records.

    Raises `NotFoundError`, `DataError` for a folder elsewhere or while it is being made, `StorageError`.
    """
    if folder.parent.resolve() != home().resolve():
        raise DataError(f"{folder} is not among this studio's catalogues; delete it yourself")
    info(folder)
    with files.locked(folder / INSIDE / "lock") as mine:
        if not mine:
            raise DataError("this catalogue is being made; stop it first")
        with files.storage_errors(folder, "delete"):
            shutil.rmtree(folder)


def _begun(folder: Path, known: Info, data: bytes, settings: Settings, photos: Photos | None) -> "Run":
    """Plans, and keeps everything that the run goes on from; the facts last, by which it is found."""
    table = parsed(data, known.table, settings)
    plan = planning.plan(table, settings, salt=known.id, photos=photos)
    inside = folder / INSIDE
    files.write_atomically(_table_path(inside, known), data)
    files.write_atomically(inside / _PLAN, json.dumps(plan.to_dict(), ensure_ascii=False).encode())
    run = Run(folder, known, plan)
    run.mark(running=known.running)
    return run


def parsed(data: bytes, name: str, settings: Settings) -> Table:
    """The table in the bytes of a file, read as the settings say. Raises `DataError`."""
    return tables.parse(
        data, name, encoding=settings.encoding, delimiter=settings.delimiter, sheet=settings.sheet
    )


def table_bytes(folder: Path, known: Info) -> bytes:
    """The table that a catalogue is made from, as it was given. Raises `StorageError`."""
    path = _table_path(folder / INSIDE, known)
    with files.storage_errors(path, "read"):
        return path.read_bytes()


def _table_path(inside: Path, known: Info) -> Path:
    return inside / f"table{Path(known.table).suffix.lower()}"


def new_folder(name: str) -> Path:
    """A folder under `home` for a catalogue that is made from a file called `name`."""
    stem = Path(name).stem
    kept = "".join(c if c.isalnum() else "-" for c in stem)[:40].strip("-") or "catalogue"
    return home() / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{kept}-{secrets.token_hex(2)}"


class Run:
    """A catalogue, its plan, and what of it is there."""

    def __init__(self, folder: Path, info: Info, plan: Plan) -> None:
        """Raises `StorageError` where the journal cannot be read."""
        self.folder = folder
        self.info = info
        self.plan = plan
        self.journal = Journal(folder / INSIDE)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The catalogue in a folder. Raises `NotFoundError`, `DataError`, `StorageError`."""
        known = info(folder)
        kept = files.read_json(folder / INSIDE / _PLAN)
        if not isinstance(kept, dict):
            raise DataError(f"{folder / INSIDE / _PLAN} is damaged; begin the catalogue anew")
        return cls(folder, known, Plan.from_dict(kept))

    @cached_property
    def table(self) -> Table:
        """What it is made from. Raises `InputError`, `StorageError` where that is damaged."""
        data = table_bytes(self.folder, self.info)
        return parsed(data, self.info.table, Settings.from_dict(self.info.settings))

    def mark(self, running: bool) -> None:
        """Notes whether somebody wants it to be made. Raises `StorageError`."""
        self.info = replace(self.info, running=running)
        text = json.dumps(asdict(self.info), ensure_ascii=False)
        files.write_atomically(self.folder / INSIDE / _INFO, text.encode())

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Inside, nobody else makes this catalogue. Raises `DataError` where somebody does."""
        with files.locked(self.folder / INSIDE / "lock") as mine:
            if not mine:
                raise DataError(
                    f"the catalogue in {self.folder} is being made already, here or by another process"
                )
            yield

    @property
    def made(self) -> list[Made]:
        """What is there of the plan, in its order."""
        return [self.journal.made[item.key] for item in self.plan.items if item.key in self.journal.made]

    @property
    def open_items(self) -> list[Item]:
        """What is not there yet, in the plan's order; a picture whose file was deleted is made again."""
        return [item for item in self.plan.items if not self.is_done(item)]

    @property
    def problems(self) -> dict[int, str]:
        """Row -> why it, or a picture of it, could not be made."""
        failed = {one.row: one.reason for one in self.failed}
        return {**failed, **self.plan.problems}

    @property
    def failed(self) -> list[Failed]:
        """Pictures of the plan that were tried and could not be made."""
        return [self.journal.failed[item.key] for item in self.plan.items if item.key in self.journal.failed]

    def is_done(self, item: Item) -> bool:
        """Whether the item's picture is there, and for every shop it is meant for."""
        made = self.journal.made.get(item.key)
        if made is None or not (self.folder / made.file).is_file():
            return False
        exports = [made.exports.get(preset) for preset in item.presets]
        return all(one is not None and (self.folder / str(one["file"])).is_file() for one in exports)
