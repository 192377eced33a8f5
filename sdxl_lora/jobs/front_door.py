"""Everything that is needed to ask for pictures under one data folder: opened once per process, closed at its end."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sdxl_lora.feedback.reviews import Reviews
from sdxl_lora.jobs.attempts import BestOfNRunner
from sdxl_lora.jobs.queue import JobQueue
from sdxl_lora.jobs.studio import Studio
from sdxl_lora.records import Database


@dataclass(frozen=True)
class FrontDoor:
    """The queue, and what stands behind it; as a context it is closed at the end, which cancels what is left."""

    database: Database
    studio: Studio
    reviews: Reviews
    queue: JobQueue
    owns_database: bool

    def close(self) -> None:
        """Stops the queue, and closes the database unless others share it."""
        self.queue.close()
        if self.owns_database:
            self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_front_door(where: Path | Database, *, explain: bool = False) -> FrontDoor:
    """Opens what pictures are asked for through.

    Args:
        where: the data folder, or its database where others share it.
        explain: say of single shots, too, what of the words shows.

    Raises `StorageError`.
    """
    database = Database(where) if isinstance(where, Path) else where
    studio, reviews = Studio(database, explain=explain), Reviews(database)
    queue = JobQueue(BestOfNRunner(studio, reviews))
    return FrontDoor(database, studio, reviews, queue, owns_database=isinstance(where, Path))
