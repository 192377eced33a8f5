"""The history of every session on disk, so that a reload or a crash loses none of it.

One small JSON file a session, under `home()/histories`; the oldest go when there are many. A file that cannot be read,
or that a newer version wrote, is no error: it is kept beside, the history begins anew, and the pictures are in the
records anyway.
"""

import contextlib
import json
import logging
from pathlib import Path

from sdxl_lora import files
from sdxl_lora.errors import DataError
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
            return History.from_dict(files.read_json(path))
        except DataError as error:
            if path.exists():
                log.warning("history %s begins anew: %s", path, error)
            return History()

    def keep(self, session: str, history: History) -> None:
        """Writes the history of a session. Raises `StorageError` where the disk refuses."""
        path = self._path(session)
        if path.exists() and not self.read(session).steps:
            with files.storage_errors(path):
                path.replace(path.with_suffix(".unread"))
        files.write_atomically(path, json.dumps(history.to_dict()).encode())
        others = [file for file in self._folder.glob("*.json") if file != path]  # whatever the clock says
        for old in sorted(others, key=_changed, reverse=True)[KEPT - 1 :]:
            with contextlib.suppress(OSError):
                old.unlink(missing_ok=True)

    def _path(self, session: str) -> Path:
        if not session.isalnum():
            raise DataError(f"{session[:40]!r} is no session")
        return self._folder / f"{session}.json"


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process was faster
        return 0.0
