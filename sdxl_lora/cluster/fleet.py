"""Machines whose number follows what is asked for: more while jobs wait, fewer when they stand idle.

For a server that runs on and on. A machine more than the cluster has room for lets an autoscaler of Ray add a node. Ray
Serve, which does the like, is not used: its latest version (2.55.1) cannot run beside the protobuf that Streamlit's
other requirements bring, and would take a job out of the line before there is a machine for it.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from sdxl_lora.cluster import ray as rays
from sdxl_lora.cluster.door import runners_of
from sdxl_lora.cluster.ray import Pool, RayMachine
from sdxl_lora.errors import StorageError
from sdxl_lora.feedback.reviews import Reviews
from sdxl_lora.jobs.front_door import Elsewhere
from sdxl_lora.jobs.store import JobStore
from sdxl_lora.jobs.studio import Studio
from sdxl_lora.jobs.worker import Runner

log = logging.getLogger(__name__)

UP_AFTER: Final = 5.0  # seconds of jobs that wait until another machine is started
DOWN_AFTER: Final = 300.0  # seconds without work until one is ended: a model takes long to load
LOOKS_EVERY: Final = 1.0  # seconds


class Startable(Protocol):
    """A machine that can be started and ended again and again."""

    @property
    def started(self) -> bool:
        """Whether it was started, and not ended since."""

    def start(self) -> None:
        """Begins to start it."""

    def idle(self) -> float | None:
        """Seconds since it last drew; 0 while it is not there yet, None while it draws."""

    def close(self) -> None:
        """Ends it."""


class Scaler:
    """Decides how many machines there are; `look` is called now and then."""

    def __init__(
        self,
        machines: Sequence[Startable],
        waiting: Callable[[], int],
        *,
        least: int = 1,
        up_after: float = UP_AFTER,
        down_after: float = DOWN_AFTER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        machines: as many as there may be; the first `least` are always there.
        waiting: how many jobs wait now.
        """
        self._machines = machines
        self._waiting = waiting
        self._least = least
        self._up_after = up_after
        self._down_after = down_after
        self._clock = clock
        self._since: float | None = None  # jobs have waited, without a machine that was started for them
        for machine in machines[:least]:
            machine.start()

    def look(self) -> None:
        """Starts at most one machine, or ends those that stand idle. Raises `StorageError`."""
        now = self._clock()
        if not self._waiting():
            self._since = None
            self._end_idle()
            return
        self._since = now if self._since is None else self._since
        coming = any(machine.started and machine.idle() is not None for machine in self._machines)
        if now - self._since >= self._up_after and not coming:
            self._since = now
            off = next((machine for machine in self._machines if not machine.started), None)
            if off is not None:
                log.info("jobs wait; another machine is started")
                off.start()

    def _end_idle(self) -> None:
        there = [machine for machine in self._machines if machine.started]
        for machine in reversed(there[self._least :]):
            idle = machine.idle()
            if idle is not None and idle >= self._down_after:
                log.info("a machine had nothing to do for %.0f s; it is ended", idle)
                machine.close()


@contextlib.contextmanager
def elastic(pool: Pool, *, least: int = 1) -> Iterator[Elsewhere]:
    """Inside, between `least` and all the pool's machines are there; gives what makes their runners.

    Raises `InputError` without Ray or without a machine, `StudioError` without a cluster.
    """
    with rays.connected(pool.address) as ray, contextlib.ExitStack() as closing:
        found, over = rays.room(ray, pool), threading.Event()
        machines = [RayMachine(ray, found) for _ in range(found.workers)]
        for machine in machines:
            closing.callback(machine.close)

        def elsewhere(studio: Studio, reviews: Reviews) -> Sequence[Runner]:
            store = JobStore(studio.store.database)
            scaler = Scaler(machines, lambda: store.counts().get("queued", 0), least=least)
            thread = threading.Thread(target=_keep, args=(scaler, over), name="studio-fleet", daemon=True)
            thread.start()
            closing.callback(thread.join)
            closing.callback(over.set)
            return runners_of(machines)(studio, reviews)

        yield elsewhere


def _keep(scaler: Scaler, over: threading.Event) -> None:
    while not over.wait(LOOKS_EVERY):
        try:
            scaler.look()
        except StorageError as error:
            log.warning("how many machines are needed cannot be seen: %s", error)
