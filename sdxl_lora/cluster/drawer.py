"""What a machine of a cluster does: draws, scores and finishes pictures, and keeps none of them.

The same code draws as in a studio that stands alone, so that the same request makes the same pixels. Its data folder
(`SDXL_LORA_HOME` of that machine) holds copies of files that requests name. Knows nothing of Ray, queues or databases.
"""

import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from sdxl_lora import config, files, inputs
from sdxl_lora.cluster.order import SETTINGS, Drawn, Order, Refused, Shipped
from sdxl_lora.errors import NotFoundError, StorageError, StudioError
from sdxl_lora.feedback.reviews import Learned
from sdxl_lora.finishing.chain import Piece, Stage, Step
from sdxl_lora.finishing.embedding import Embed
from sdxl_lora.finishing.watermarking import Watermark
from sdxl_lora.generation import PictureDone, StepDone
from sdxl_lora.jobs.attempts import BestOfNRunner
from sdxl_lora.jobs.events import Recorded
from sdxl_lora.jobs.studio import Drawing
from sdxl_lora.jobs.task import Task
from sdxl_lora.models import identity, lora_place
from sdxl_lora.records import Record
from sdxl_lora.scoring.card import ScoreCard
from sdxl_lora.search import Attempt, Finished
from sdxl_lora.search import calibration as calibrations

TELLS_EVERY = 0.25  # seconds, how far a batch is; people are told every step
_STOPPED = 64  # tickets of runs that were stopped before they began


class Hold:
    """Stands where a studio keeps the picture: the record it gives is in no store, and the piece goes elsewhere."""

    stage = Stage.STORE

    def __init__(self) -> None:
        self._held: list[Piece] = []

    def wanted(self, piece: Piece) -> bool:
        """Always."""
        return True

    def __call__(self, piece: Piece) -> Piece:
        """The piece with a record that nobody can find."""
        assert piece.created_at is not None  # embedded before
        self._held.append(piece)
        record = Record(
            id="",
            path=Path(),
            created_at=piece.created_at,
            request=piece.request,
            card=piece.card or ScoreCard(),
            seconds=piece.seconds,
            session="",
            favourite=False,
            width=piece.image.width,
            height=piece.image.height,
        )
        return replace(piece, record=record)

    def take(self) -> Piece:
        """The latest piece, as it travels: its file, without pixels and what belongs to this process."""
        piece = self._held.pop()
        return replace(piece, image=Image.new("L", (1, 1)), untouched=None, cancel=None, notice=None)


class Drawer:
    """Draws one order at a time; `stop` may be called from another thread meanwhile."""

    def __init__(self, read: Callable[[Any], bytes], *, threads: int | None = None) -> None:
        """Args:
        read: gives the bytes of `Shipped.contents`.
        threads: of the processor; None = PyTorch's choice.
        """
        self._read = read
        self._tickets: dict[str, threading.Event] = {}
        self._lock = threading.Lock()
        if threads is not None:
            torch.set_num_threads(threads)

    def hello(self) -> int:
        """Says that it is there: its process's number."""
        return os.getpid()

    def draw(self, order: Order) -> Iterator[list[Any]]:
        """The events of `jobs.attempts.BestOfNRunner` without large pictures; `Drawn` for each picture, and `Refused`
        at the end where something went wrong that can be said in one line.

        They come some at a time where nobody sits and waits, for each time costs who records more than an event.
        """
        cancel = self._event(order.ticket)
        every = TELLS_EVERY if order.spec.priority == "batch" else 0.0
        held: list[Any] = []
        told = float("-inf")
        try:
            for event in self._drawn(order, cancel):
                held.append(event)
                if isinstance(event, Drawn) or time.monotonic() - told >= every:
                    yield held
                    held, told = [], time.monotonic()
        except StudioError as error:
            held.append(Refused(kind=type(error).__name__, message=str(error)))
        finally:
            with self._lock:
                self._tickets.pop(order.ticket, None)
        if held:
            yield held

    def stop(self, ticket: str) -> None:
        """Ends that run within one denoising step, also one that is still to begin."""
        self._event(ticket).set()

    def _event(self, ticket: str) -> threading.Event:
        with self._lock:
            while len(self._tickets) > _STOPPED:
                self._tickets.pop(next(iter(self._tickets)))
            return self._tickets.setdefault(ticket, threading.Event())

    def _drawn(self, order: Order, cancel: threading.Event) -> Iterator[Any]:
        _adopt(order)
        for file in order.files:
            _have(file, self._read)
        known = {record.id: record for record in order.made_from}

        def find(identifier: str) -> Record:
            if identifier in known:
                return known[identifier]
            raise NotFoundError(f"there is no picture {identifier[:80]!r}; it may have been deleted")

        holding, told = Hold(), float("-inf")
        look: Image.Image | None = None  # the latest that nobody was told of
        batch = order.spec.priority == "batch"
        with tempfile.TemporaryDirectory(prefix="sdxl-lora-") as folder:
            if order.calibrations:
                files.write_atomically(Path(folder) / calibrations.NAME, order.calibrations)
            last: list[Step] = [Watermark(find), Embed(find), holding]
            drawing = Drawing(Path(folder), last, explain=order.explain)
            taste = None if order.preference is None else Learned(order.preference)
            runner = BestOfNRunner(drawing, taste)
            for event in runner.run(order.spec, cancel=cancel, task=Task(done=order.done)):
                match event:
                    case Recorded():
                        yield Drawn(
                            index=event.index,
                            piece=holding.take(),
                            unscored=event.unscored,
                            notice=event.notice,
                        )
                    case PictureDone():
                        pass
                    case StepDone() if batch:
                        look = event.preview or look
                        if event.step in (1, event.steps) or time.monotonic() - told > TELLS_EVERY:
                            told = time.monotonic()
                            yield replace(event, preview=look)  # programs may follow a batch, too
                            look = None
                    case Attempt():
                        yield replace(event, image=None)
                    case Finished():
                        yield replace(event, best=replace(event.best, image=None))
                    case _:
                        yield event


def _adopt(order: Order) -> None:
    """What holds in the studio holds here."""
    for name in SETTINGS:
        if name in order.settings:
            os.environ[name] = order.settings[name]
        else:
            os.environ.pop(name, None)


def _have(file: Shipped, read: Callable[[Any], bytes]) -> None:
    """Sees to it that a file is on this machine. Raises `StorageError`."""
    folder = inputs.folder() if file.kind == "input" else config.home() / "cache" / "loras"
    path = folder / f"{file.sha256}{file.suffix}"
    if not _is_whole(path, file.sha256):
        data = read(file.contents)
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise StorageError(f"{file.name} changed while it was sent; ask again")
        files.write_atomically(path, data)
    if file.kind == "lora":
        lora_place.use_copy(file.name, path)


def _is_whole(path: Path, sha256: str) -> bool:
    with suppress(OSError):
        return identity.of_file(path) == sha256
    return False
