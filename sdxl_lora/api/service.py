"""What answers requests: the front door and everything that stands around it, one per process."""

from collections.abc import Callable
from pathlib import Path

from sdxl_lora.api.access import Access
from sdxl_lora.api.following import Closing, Watch
from sdxl_lora.api.library import Library
from sdxl_lora.api.measures import Measures
from sdxl_lora.api.settings import Limits
from sdxl_lora.api.tokens import Tokens
from sdxl_lora.api.turnstile import Turnstile
from sdxl_lora.jobs.front_door import FrontDoor
from sdxl_lora.jobs.queue import JobQueue
from sdxl_lora.records import Store


class Service:
    """Shared by all requests.

    Args:
        home: the data folder.
        door: opens the front door, which is done at the first request that needs it, or gives the one that is open.
    """

    def __init__(self, home: Path, door: Callable[[], FrontDoor], *, limits: Limits | None = None) -> None:
        self.home = home
        self.limits = limits or Limits.from_environment()
        self.access = Access(Tokens(home))
        self.turnstile = Turnstile(self.limits)
        self.closing = Closing()
        self.watch = Watch(lambda: self.queue, self.closing)
        self.library = Library(home)
        self.measures = Measures()
        self.chosen_models: dict[str, str] = {}  # user -> what AUTOMATIC1111's options were set to
        self.sd_jobs: dict[str, set[str]] = {}  # user -> jobs that AUTOMATIC1111's clients wait for
        self._door = door

    @property
    def door(self) -> FrontDoor:
        """Raises `StorageError` if the data folder cannot be used."""
        return self._door()

    @property
    def queue(self) -> JobQueue:
        """As `door`."""
        return self.door.queue

    @property
    def store(self) -> Store:
        """As `door`."""
        return self.door.store
