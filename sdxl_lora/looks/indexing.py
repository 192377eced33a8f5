"""The thread that looks at pictures: at new ones as they are made, and at old ones when somebody asks for it.

What it does can be done again at any time: it makes thumbnails and keeps vectors, never a record. A picture that
cannot be read is passed over. It ends with its process, and whoever comes next goes on.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from sdxl_lora import later
from sdxl_lora.errors import StudioError
from sdxl_lora.looks.looking import Looks
from sdxl_lora.records import Store

logger = logging.getLogger(__name__)

AT_ONCE = 16  # pictures that are looked at together
FEW = 200  # pictures of other processes, or of a crash, that nobody has to ask for


@dataclass(frozen=True)
class Progress:
    """How far looking at old pictures is."""

    done: int
    total: int
    running: bool
    error: str = ""  # one line: why it ended early


class Indexer:
    """Looks at the pictures of one data folder in a thread of its own, which `close` ends."""

    def __init__(self, store: Store, looks: Looks) -> None:
        self._store = store
        self._looks = looks
        self._changed = threading.Condition()
        self._new: list[str] = []
        self._old: list[str] = []
        self._closed = False
        self._total = self._done = 0
        self._error = ""
        self._unreadable: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="looking at pictures", daemon=True)
        self._thread.start()

    def note(self, identifier: str) -> None:
        """A picture was made, or brought back; returns at once."""
        with self._changed:
            self._new.append(identifier)
            self._changed.notify_all()

    def look_at_all(self) -> None:
        """Begins to look at every picture that nobody looked at. Raises `StorageError`, `ModelUnavailableError`."""
        missing = self._missing()
        with self._changed:
            self._old, self._total, self._done, self._error = missing, len(missing), 0, ""
            self._changed.notify_all()

    def stop(self) -> None:
        """Looks at no more old pictures; what it has seen is kept."""
        with self._changed:
            self._old = []

    @property
    def progress(self) -> Progress:
        """Of the old pictures."""
        with self._changed:
            return Progress(self._done, self._total, bool(self._old), self._error)

    def missing(self) -> int:
        """Pictures that nobody looked at. Raises as `look_at_all`."""
        looked = self._looks.embeddings.count(self._looks.judge)
        return max(0, self._store.count() - looked - len(self._unreadable))

    def wait(self, timeout: float) -> bool:
        """Blocks until there is nothing to look at; False when the time is up before."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._new or self._old), timeout)

    def close(self, timeout: float = 10.0) -> None:
        """Ends the thread after the pictures it is at."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout)

    def _missing(self) -> list[str]:
        found = self._looks.embeddings.missing(self._looks.judge)
        return [identifier for identifier in found if identifier not in self._unreadable]

    def _run(self) -> None:
        later.wait()  # looking needs a CLIP, and nobody waits for it
        try:
            few = self._missing()
            if len(few) <= FEW:
                with self._changed:
                    self._new += few
        except StudioError as error:
            logger.info("pictures are not looked at: %s", error)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._new or self._old)
                if self._closed:
                    return
                line = self._new or self._old
                some, old = list(dict.fromkeys(line[:AT_ONCE])), line is self._old
            try:
                self._look_at(some)
            except StudioError as error:
                logger.warning("pictures are not looked at: %s", error)
                with self._changed:
                    self._new, self._old, self._error = [], [], str(error)
                    self._changed.notify_all()
                continue
            with self._changed:
                if old:
                    self._old = [identifier for identifier in self._old if identifier not in some]
                    self._done = min(self._done + len(some), self._total)
                else:
                    self._new = [identifier for identifier in self._new if identifier not in some]
                self._changed.notify_all()

    def _look_at(self, identifiers: Sequence[str]) -> None:
        pictures = []
        for record in self._store.those(identifiers):
            try:
                with Image.open(record.path) as image:
                    pictures.append((record.id, image.convert("RGB")))
            except (OSError, ValueError, Image.DecompressionBombError) as error:
                logger.warning("%s cannot be looked at: %s", record.path, error)
                self._unreadable.add(record.id)
                continue
            self._store.thumbnail(record)
        if pictures:
            self._looks.see(pictures)
