"""The machines of a Ray cluster, each an actor that draws; the only file that knows Ray.

An actor has one GPU where the cluster has any, else some processor threads. Ray starts one that is gone anew, on
another machine if need be; until then its runner takes no job. Nothing is kept in Ray: what was not recorded is drawn
again.
"""

import contextlib
import importlib
import logging
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sdxl_lora.cluster.drawer import Drawer
from sdxl_lora.cluster.order import Order
from sdxl_lora.errors import InputError, MachineLostError, StudioError

log = logging.getLogger(__name__)

LOCAL: Final = "local"  # a cluster of this machine alone, for as long as this process runs
_LOOKS_EVERY = 0.2  # seconds, whether somebody cancelled
_MOST_WORKERS = 4096


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Which machines are wanted."""

    address: str  # of the cluster: "auto", HOST:PORT, or `LOCAL`
    workers: int | None = None  # None = as many as there is room for
    threads: int | None = None  # of each, where there is no GPU; None = all of the smallest machine

    def __post_init__(self) -> None:
        for name, value in (("--workers", self.workers), ("--threads", self.threads)):
            if value is not None and not 1 <= value <= _MOST_WORKERS:
                raise InputError(f"{name} {value}: a number from 1 to {_MOST_WORKERS} is needed")
        if self.address.startswith("ray://"):
            raise InputError(
                "run this on a machine of the cluster, with its HOST:PORT or `auto`; ray:// cannot stream pictures"
            )


def library(name: str = "ray") -> Any:
    """The package. Raises `InputError` where it is not installed."""
    # said before it is imported: no statistics are sent, and GPUs are only those that an actor asks for
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            "a cluster needs Ray, which is not installed; pip install -r requirements-extra.txt"
        ) from error


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """Inside, this process is part of the cluster; gives Ray. Raises `InputError`, `StudioError`."""
    ray = library()
    if ray.is_initialized():
        yield ray
        return
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.WARNING,
            **({"include_dashboard": False} if address == LOCAL else {}),
        )
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise StudioError(f"there is no Ray cluster at {address}: {reason}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


@dataclass(frozen=True, kw_only=True)
class Room:
    """What one worker takes of a machine, and how many there are to be."""

    workers: int
    cpus: int
    gpus: int

    @property
    def threads(self) -> int | None:
        """Of the processor; None = PyTorch's choice, beside a GPU."""
        return None if self.gpus else self.cpus

    @property
    def options(self) -> dict[str, int]:
        """As Ray calls them."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus}


def room(ray: Any, pool: Pool) -> Room:
    """What the cluster offers. Raises `InputError` where there is nothing, and nothing was said."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    if gpus:
        return Room(workers=pool.workers or gpus, cpus=1, gpus=1)
    cpus = [int(node.get("CPU", 0)) for node in nodes if node.get("CPU", 0) >= 1]
    threads = pool.threads or min(cpus, default=1)
    workers = pool.workers or sum(number // threads for number in cpus)
    if not workers:
        raise InputError(
            f"the cluster at {pool.address} has no machine with a GPU or {threads} processors; add one,"
            " or say --workers for those that are still to come"
        )
    return Room(workers=workers, cpus=threads, gpus=0)


class RayMachine:
    """One actor, wherever it runs; it is not there before it is started."""

    def __init__(self, ray: Any, where: Room) -> None:
        self._ray = ray
        self._where = where
        self._actor: Any = None
        self._greeting: Any = None  # that was not answered yet
        self._answers = False
        self._drawing = 0  # orders
        self._drew = time.monotonic()  # when it last did
        self._asking = threading.Lock()  # several runners may share one
        self.failure = ""  # why it could not be started, one line

    @property
    def started(self) -> bool:
        """Whether it was started, and not ended since."""
        return self._actor is not None

    def start(self) -> None:
        """Asks Ray for the actor, which takes as long as it takes."""
        options = {"max_restarts": -1, "concurrency_groups": {"control": 1}, **self._where.options}
        self._actor = self._ray.remote(**options)(Drawer).remote(self._ray.get, threads=self._where.threads)
        self._drew = time.monotonic()

    def idle(self) -> float | None:
        """Seconds since it last drew; 0 while it is not there yet, None while it draws."""
        if self._drawing:
            return None
        return time.monotonic() - self._drew if self._answers else 0.0

    def ready(self) -> bool:
        """Whether the actor lives."""
        with self._asking:
            return self.started and (self._answers or self._greeted())

    def _greeted(self) -> bool:
        """Whether it has answered; one that cannot be started is started anew."""
        if self._greeting is None:
            self._greeting = self._actor.hello.remote()
        found, _ = self._ray.wait([self._greeting], timeout=0)
        if not found:
            return False
        greeting, self._greeting = self._greeting, None
        try:
            self._ray.get(greeting)
        except self._ray.exceptions.ActorUnavailableError:  # it is being started anew
            return False
        except self._ray.exceptions.RayActorError as error:  # Ray has given it up
            self.failure = line(error)
            log.warning("a machine of the cluster cannot draw: %s", self.failure)
            self.start()
            return False
        self._answers, self.failure = True, ""
        return True

    def put(self, data: bytes) -> Any:
        """Into Ray's object store."""
        return self._ray.put(data)

    def draw(self, order: Order, cancel: threading.Event) -> Iterator[Any]:
        """The events of `Drawer.draw`, one by one. Raises `MachineLostError`."""
        self._drawing += 1
        try:
            yield from self._drawn(order, cancel)
        except (self._ray.exceptions.RayActorError, self._ray.exceptions.ObjectLostError) as error:
            self._answers = False
            raise MachineLostError(
                f"the machine that drew this is gone ({line(error)}); another goes on"
            ) from error
        finally:
            self._drawing, self._drew = self._drawing - 1, time.monotonic()

    def _drawn(self, order: Order, cancel: threading.Event) -> Iterator[Any]:
        if (actor := self._actor) is None:  # it was ended just now
            raise MachineLostError("the machine that was to draw this is gone; another goes on")
        events = actor.draw.options(num_returns="streaming").remote(order)
        told = over = False
        try:
            while True:
                if cancel.is_set() and not told:
                    actor.stop.options(concurrency_group="control").remote(order.ticket)
                    told = True
                found, _ = self._ray.wait([events], timeout=_LOOKS_EVERY)
                if not found:
                    continue
                try:
                    some = next(events)
                except StopIteration:
                    over = True
                    return
                yield from self._ray.get(some)
        finally:
            if not over and not told:  # nobody listens any more
                actor.stop.options(concurrency_group="control").remote(order.ticket)

    def close(self) -> None:
        """Ends the actor."""
        with self._asking:
            actor, self._actor, self._greeting, self._answers = self._actor, None, None, False
        if actor is not None:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.kill(actor)


def line(error: BaseException) -> str:
    """The first line of what Ray says."""
    return (str(error).strip().partition("\n")[0] or type(error).__name__)[:200]
