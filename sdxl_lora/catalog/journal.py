"""What a catalogue has made so far: one line per picture that is there, or that failed, in the order it happened.

A line is on the disk before the next picture is begun. A line that a crash cut off is passed over.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from sdxl_lora import files

NAME = "journal.jsonl"


@dataclass(frozen=True, kw_only=True)
class Made:
    """A picture that is in the folder; what a manifest says of it."""

    key: str  # of its item
    row: int
    sku: str
    name: str
    file: str  # in the folder
    sha256: str  # of the file
    record: str  # id of its record
    prompt: str
    negative_prompt: str
    template: str
    slots: Mapping[str, str]
    seed: int
    width: int  # px
    height: int  # px
    model: str
    model_sha256: str
    loras: tuple[Mapping[str, Any], ...]  # path, weight, sha256
    steps: int
    scores: Mapping[str, Any]
    checks: str  # what the judges say: "passed", "not judged", or what failed
    alt: str
    seconds: float
    created_at: str  # ISO 8601, UTC
    exports: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # preset -> file, done, left


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A picture that could not be made."""

    key: str
    row: int
    reason: str  # one line


class Journal:
    """The lines of one folder, read once and added to."""

    def __init__(self, folder: Path) -> None:
        """Raises `StorageError` where the file cannot be read."""
        self._path = folder / NAME
        self.made: dict[str, Made] = {}  # by key; the latest holds
        self.failed: dict[str, Failed] = {}  # by key; those that were made afterwards are not in it
        if self._path.exists():
            with files.storage_errors(self._path, "read"):
                lines = self._path.read_bytes().splitlines()
            for line in lines:
                self._take(files.parse_json(line))

    def add(self, entry: Made | Failed) -> None:
        """Writes a line. Raises `StorageError`."""
        line = json.dumps(asdict(entry), ensure_ascii=False, allow_nan=False)
        files.append_line(self._path, line.encode())
        self._keep(entry)

    def _take(self, values: Any) -> None:
        """A line as it was read; one that makes no sense is none."""
        if not isinstance(values, dict):
            return
        kind = Failed if "reason" in values else Made
        known = {one.name for one in fields(kind)}
        try:
            self._keep(kind(**{name: value for name, value in values.items() if name in known}))
        except TypeError:
            return

    def _keep(self, entry: Made | Failed) -> None:
        if isinstance(entry, Made):
            self.made[entry.key] = entry
            self.failed.pop(entry.key, None)
        else:
            self.failed[entry.key] = entry


def digest(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()
