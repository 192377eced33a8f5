"""A cluster without Ray for most tests: its machines draw in this process, and all that travels is pickled."""

import itertools
import pickle
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sdxl_lora.cluster.drawer import Drawer
from sdxl_lora.cluster.order import Drawn, Order
from sdxl_lora.cluster.remote import RemoteRunner, Shelf
from sdxl_lora.errors import MachineLostError
from sdxl_lora.feedback.reviews import Reviews
from sdxl_lora.jobs.front_door import FrontDoor, open_front_door
from sdxl_lora.jobs.studio import Studio
from sdxl_lora.models import lora_place
from tests.stand_in import bundled, tiny_mini

__all__ = ["Beside", "bundled", "clean", "door_of", "tiny_mini"]


class Beside:
    """A machine of another folder; it can be switched off in the middle of a picture."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.on = True
        self.dies_at: int | None = None  # after so many events
        self.read: list[bytes] = []  # contents that it did not have
        self.seen: list[Any] = []
        self.drew = 0
        self.messages = 0  # in which the events came
        self._drawer = Drawer(self._contents)

    def _contents(self, data: bytes) -> bytes:
        self.read.append(data)
        return data

    def ready(self) -> bool:
        return self.on

    def put(self, data: bytes) -> bytes:
        return data

    def _counted(self, messages: Iterator[list[Any]]) -> Iterator[list[Any]]:
        for message in messages:
            self.messages += 1
            yield message

    def draw(self, order: Order, cancel: threading.Event) -> Iterator[Any]:
        order = pickle.loads(pickle.dumps(order))
        for event in itertools.chain.from_iterable(self._counted(self._drawer.draw(order))):
            if cancel.is_set():
                self._drawer.stop(order.ticket)
            self.seen.append(event)
            self.drew += isinstance(event, Drawn)
            if self.dies_at is not None and len(self.seen) >= self.dies_at:
                self.on = False
                raise MachineLostError("the machine that drew this is gone; another goes on")
            yield pickle.loads(pickle.dumps(event))


def door_of(home: Path, machines: Sequence[Beside], *, explain: bool = False) -> FrontDoor:
    """A studio that draws on these."""

    def elsewhere(studio: Studio, reviews: Reviews) -> list[RemoteRunner]:
        shelf = Shelf()
        return [RemoteRunner(machine, studio, reviews, shelf) for machine in machines]

    return open_front_door(home, explain=explain, elsewhere=elsewhere)


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a machine adopts ends with the test."""
    monkeypatch.setattr(lora_place, "_copies", {})
