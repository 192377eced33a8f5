"""A front door whose jobs are drawn by the machines of a cluster."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from sdxl_lora.cluster import ray as rays
from sdxl_lora.cluster.ray import Pool, RayMachine
from sdxl_lora.cluster.remote import Machine, RemoteRunner, Shelf
from sdxl_lora.errors import StudioError
from sdxl_lora.feedback.reviews import Reviews
from sdxl_lora.jobs.front_door import Elsewhere, FrontDoor, open_front_door
from sdxl_lora.jobs.studio import Studio

# orders that a machine has at a time: one is drawn while the one before is recorded, so that it never stands idle
_ON_THE_WAY = 2
_LOOKS_EVERY = 0.2  # seconds, whether the first machine is there


@contextlib.contextmanager
def opened(home: Path, pool: Pool, *, explain: bool = False, serves: bool = False) -> Iterator[FrontDoor]:
    """As `jobs.front_door.open_front_door`; two runners for each machine, the first of which is there.

    Raises `InputError` without Ray or without a machine, `StudioError` without a cluster or where no machine of it can
    draw, `StorageError`.
    """
    with rays.connected(pool.address) as ray, contextlib.ExitStack() as closing:
        found = rays.room(ray, pool)
        machines = [RayMachine(ray, found) for _ in range(found.workers)]
        for machine in machines:
            machine.start()
            closing.callback(machine.close)
        _await_one(machines)
        each = [machine for machine in machines for _ in range(_ON_THE_WAY)]
        with open_front_door(home, explain=explain, serves=serves, elsewhere=runners_of(each)) as door:
            yield door


def runners_of(machines: Sequence[Machine]) -> Elsewhere:
    """What makes a runner of each, for `jobs.front_door.open_front_door`."""

    def elsewhere(studio: Studio, reviews: Reviews) -> Sequence[RemoteRunner]:
        shelf = Shelf()
        return [RemoteRunner(machine, studio, reviews, shelf) for machine in machines]

    return elsewhere


def _await_one(machines: Sequence[RayMachine]) -> None:
    """Waits for the first machine, however long a cluster needs to grow. Raises `StudioError` where all fail."""
    while not any(machine.ready() for machine in machines):
        if all(machine.failure for machine in machines):
            raise StudioError(f"no machine of the cluster can draw: {machines[0].failure}")
        time.sleep(_LOOKS_EVERY)
