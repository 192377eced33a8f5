"""Catalogues that are made while nobody watches: a thread each, started and stopped from anywhere in the process.

Whether a catalogue is wanted stands in its folder, so that what a crash or a restart has cut off goes on by itself.
"""

import logging
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from sdxl_lora.catalog import runs
from sdxl_lora.catalog.filling import Progress, fill
from sdxl_lora.catalog.journal import Made
from sdxl_lora.catalog.runs import Run
from sdxl_lora.errors import Cancelled, StudioError
from sdxl_lora.jobs.front_door import FrontDoor

log = logging.getLogger(__name__)

LATEST = 8  # pictures that are remembered
SURPRISE = "something unexpected went wrong; the details are in the server's log, and the catalogue can go on"


@dataclass
class _Making:
    """One catalogue that is being made, or was."""

    thread: threading.Thread | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    progress: Progress | None = None
    latest: deque[Made] = field(default_factory=lambda: deque(maxlen=LATEST))
    error: str = ""


class Makers:
    """The catalogues of one process; every method may be called from any thread."""

    def __init__(self, door: FrontDoor) -> None:
        self._door = door
        self._lock = threading.Lock()
        self._makings: dict[Path, _Making] = {}
        self._closing = False

    def start(self, folder: Path, *, most: int | None = None) -> None:
        """Makes what is missing, at most so many pictures; does nothing where that is being done.

        Raises `StorageError` where the folder cannot be written.
        """
        with self._lock:
            known = self._makings.get(folder)
            if self._closing or (known is not None and known.thread is not None and known.thread.is_alive()):
                return
            making = self._makings[folder] = _Making()
            making.thread = threading.Thread(
                target=self._make, args=(folder, making, most), name="catalogue", daemon=True
            )
            making.thread.start()

    def stop(self, folder: Path) -> None:
        """Ends it within one picture; what is finished stays."""
        with self._lock:
            if (known := self._makings.get(folder)) is not None:
                known.stop.set()

    def wait(self, folder: Path, timeout: float | None = None) -> None:
        """Blocks until nothing of it is being made, or the time is up."""
        with self._lock:
            known = self._makings.get(folder)
        if known is not None and known.thread is not None:
            known.thread.join(timeout)

    def running(self, folder: Path) -> bool:
        """Whether this process is making it now."""
        with self._lock:
            known = self._makings.get(folder)
        return known is not None and known.thread is not None and known.thread.is_alive()

    def progress(self, folder: Path) -> Progress | None:
        """How far it is; None where this process has not begun."""
        with self._lock:
            known = self._makings.get(folder)
        return None if known is None else known.progress

    def latest(self, folder: Path) -> tuple[Made, ...]:
        """What came last, the newest first."""
        with self._lock:
            known = self._makings.get(folder)
        return () if known is None else tuple(known.latest)

    def reason(self, folder: Path) -> str:
        """Why it ended early, in one line; "" where it did not, or somebody stopped it."""
        with self._lock:
            known = self._makings.get(folder)
        return "" if known is None else known.error

    def go_on(self) -> None:
        """Starts all that are wanted and were cut off. Raises `StorageError`."""
        for folder, info in runs.all_runs():
            if info.running:
                self.start(folder)

    def close(self, timeout: float = 10.0) -> None:
        """Ends all; they go on when the next process asks for it."""
        with self._lock:
            self._closing = True
            makings = list(self._makings.values())
        for making in makings:
            making.stop.set()
        for making in makings:
            if making.thread is not None:
                making.thread.join(timeout)

    def _make(self, folder: Path, making: _Making, most: int | None) -> None:
        making.error = SURPRISE  # unless it ends in a way that is known
        try:
            run = Run.open(folder)
            run.mark(running=most is None)
            for now in fill(run, self._door, stop=making.stop, most=most):
                making.progress = now
                if now.latest is not None:
                    making.latest.appendleft(now.latest)
            making.error = ""
            run.mark(running=False)
        except Cancelled:
            making.error = ""
            if not self._closing:
                run.mark(running=False)
        except StudioError as error:
            log.warning("catalogue %s: %s", folder.name, error)
            making.error = str(error)
