"""The runner of a machine elsewhere: sends it what a job needs, and signs and records what it sends back.

Jobs, records, signatures and everything that people said stay with the studio; the machine gets what it needs of it.
Knows nothing of Ray.
"""

import io
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from sdxl_lora import files
from sdxl_lora.cluster import order
from sdxl_lora.cluster.order import Drawn, Order, Refused
from sdxl_lora.errors import StudioError
from sdxl_lora.feedback.preference import Preference
from sdxl_lora.feedback.reviews import Reviews
from sdxl_lora.jobs.events import Recorded, ServingEvent
from sdxl_lora.jobs.job import error_class
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.jobs.studio import Studio
from sdxl_lora.jobs.task import Task
from sdxl_lora.lru_cache import LruCache
from sdxl_lora.records import Record
from sdxl_lora.request import GenerationRequest
from sdxl_lora.search import calibration

_FARTHEST = 100  # pictures that one goes back to
_SENT = 64  # files that are kept ready to be read by machines

_ALONE = Task()


class Machine(Protocol):
    """One that draws, as `drawer.Drawer` does."""

    def ready(self) -> bool:
        """Whether it can draw now; returns at once."""

    def put(self, data: bytes) -> Any:
        """From what machines read these bytes."""

    def draw(self, order: Order, cancel: threading.Event) -> Iterator[Any]:
        """The events of `drawer.Drawer.draw`, one by one. Raises `MachineLostError`."""


class Shelf:
    """Files that were made ready for machines, so that each is read once; shared by all runners of a studio."""

    def __init__(self) -> None:
        self._ready: LruCache[str, Any] = LruCache(_SENT)
        self._lock = threading.Lock()

    def put(self, machine: Machine, digest: str, read: Callable[[], bytes]) -> Any:
        """From what machines read the file of that hash."""
        with self._lock:
            if (known := self._ready.find(digest)) is None:
                known = machine.put(read())
                self._ready.keep(digest, known)
            return known


class RemoteRunner:
    """Makes what a job's spec asks for, as `jobs.attempts.BestOfNRunner` does, on another machine."""

    def __init__(self, machine: Machine, studio: Studio, reviews: Reviews, shelf: Shelf) -> None:
        self._machine = machine
        self._studio = studio
        self._reviews = reviews
        self._shelf = shelf

    def ready(self) -> bool:
        """Whether the machine is there."""
        return self._machine.ready()

    def run(
        self, spec: JobSpec, *, cancel: threading.Event | None = None, task: Task = _ALONE
    ) -> Iterator[ServingEvent]:
        """As `BestOfNRunner.run`; raises `MachineLostError`, too."""
        if spec.training is not None:
            raise StudioError("trainings are not run on a cluster; start the studio without --ray for that")
        self._studio.check()
        for event in self._machine.draw(self._order(spec, task), cancel or threading.Event()):
            if isinstance(event, Refused):
                raise error_class(event.kind)(event.message)
            yield self._recorded(event, spec, task) if isinstance(event, Drawn) else event

    def _recorded(self, drawn: Drawn, spec: JobSpec, task: Task) -> Recorded:
        """Signs and keeps a picture in its place of the job. Raises `StorageError`, `LeaseLostError`."""
        assert drawn.piece.data is not None  # embedded on the machine
        with Image.open(io.BytesIO(drawn.piece.data)) as image:  # its size; the pixels stay packed
            piece = replace(drawn.piece, image=image, session=spec.user, place=task.place(drawn.index))
            done = self._studio.record(piece)
        notice = "; ".join(filter(None, [drawn.notice, done.notice])) or None
        return replace(done, index=drawn.index, unscored=drawn.unscored, notice=notice)

    def _order(self, spec: JobSpec, task: Task) -> Order:
        """Raises `InputError`, `StorageError`."""

        def put(digest: str, read: Callable[[], bytes]) -> Any:
            return self._shelf.put(self._machine, digest, read)

        return Order(
            ticket=secrets.token_hex(8),
            spec=spec,
            done=task.done,
            files=tuple(order.named(spec.request, put)),
            made_from=tuple(self._made_from(spec.request)),
            calibrations=_calibrations(self._studio.home),
            preference=self._preference(spec),
            explain=self._studio.explains,
            settings={name: os.environ[name] for name in order.SETTINGS if name in os.environ},
        )

    def _made_from(self, request: GenerationRequest) -> Iterator[Record]:
        """The records that a picture goes back to; those that were deleted are none."""
        for _ in range(_FARTHEST):
            if not request.made_from:
                return
            try:
                record = self._studio.store.get(request.made_from)
            except StudioError:
                return
            yield record
            request = record.request

    def _preference(self, spec: JobSpec) -> Preference | None:
        if not spec.effort.searches:
            return None
        found = self._reviews.preference(dict(spec.request.slots).get("brand", "").strip())
        return found if found.report.on else None


def _calibrations(home: Path) -> bytes:
    """The user's own file."""
    path = home / calibration.NAME
    if not path.is_file():
        return b""
    with files.storage_errors(path, "read"):
        return path.read_bytes()
