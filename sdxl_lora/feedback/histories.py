"""The history of every session on disk, so that a reload or a crash loses none of it.

One small JSON file a session, under `home()/histories`; the oldest go when there are many. A damaged file is no error:
the history begins anew, and the pictures are in the records anyway.
"""

import json
import logging
import os
from pathlib import Path

from sdxl_lora import plain_json
from sdxl_lora.errors import DataError, StorageError
from sdxl_lora.feedback.history import History

KEPT = 200  # sessions
log = logging.getLogger(__name__)


class Histories:
    """All histories under one data folder; `session` is a short word of letters and digits."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "histories"

    def read(self, session: str) -> History:
        """The history of a session, empty where it has none."""
        path = self._path(session)
        try:
            return History.from_dict(plain_json.parse(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return History()
        except (OSError, ValueError, DataError) as error:
            log.warning("history %s begins anew: %s", path, error)
            return History()

    def keep(self, session: str, history: History) -> None:
        """Writes the history of a session. Raises `StorageError` where the disk refuses."""
        path = self._path(session)
        partial = path.with_suffix(f".{os.getpid()}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(history.to_dict()), encoding="utf-8")
            partial.replace(path)
            for old in sorted(self._folder.glob("*.json"), key=lambda file: file.stat().st_mtime)[:-KEPT]:
                old.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                f"cannot write {path}: {error.strerror}; free space or choose a folder"
            ) from error

    def _path(self, session: str) -> Path:
        if not session.isalnum():
            raise DataError(f"{session[:40]!r} is no session")
        return self._folder / f"{session}.json"
