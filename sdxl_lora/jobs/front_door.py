"""Everything that is needed to ask for pictures under one data folder: opened once per process, closed at its end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sdxl_lora.feedback.reviews import Reviews
from sdxl_lora.jobs.attempts import BestOfNRunner
from sdxl_lora.jobs.queue import JobQueue
from sdxl_lora.jobs.store import JobStore
from sdxl_lora.jobs.studio import Studio
from sdxl_lora.jobs.training import Runners, TrainingRunner
from sdxl_lora.jobs.worker import Runner
from sdxl_lora.looks.indexing import Indexer
from sdxl_lora.looks.looking import Looks
from sdxl_lora.models import precision
from sdxl_lora.records import Database
from sdxl_lora.records.boards import Boards


@dataclass(frozen=True)
class FrontDoor:
    """The queue, and what stands behind it; as a context it is closed at the end, see `JobQueue.close`."""

    database: Database
    studio: Studio
    reviews: Reviews
    queue: JobQueue
    boards: Boards
    looks: Looks
    # None where this process does not serve: the next one that does looks at its pictures
    indexer: Indexer | None
    owns_database: bool

    def close(self) -> None:
        """Stops the queue, and closes the database unless others share it."""
        self.queue.close()
        if self.indexer is not None:
            self.indexer.close()
        if self.owns_database:
            self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_front_door(
    where: Path | Database,
    *,
    explain: bool = False,
    serves: bool = False,
    elsewhere: Callable[[Studio, Reviews], Sequence[Runner]] | None = None,
) -> FrontDoor:
    """Opens what pictures are asked for through.

    Args:
        where: the data folder, or its database where others share it.
        explain: say of single shots, too, what of the words shows.
        serves: work at everybody's jobs, also those that a process which was killed has left, and leave one's own to
            others at the end; False: one's own only, which end with this process. For what runs on and on.
        elsewhere: makes the runners that draw on other machines; None: this process draws.

    Raises `StorageError`.
    """
    database = Database(where) if isinstance(where, Path) else where
    studio, reviews = Studio(database, explain=explain), Reviews(database)
    if elsewhere is not None:
        runners, device = elsewhere(studio, reviews), "elsewhere"
    else:
        runners = [Runners(BestOfNRunner(studio, reviews), TrainingRunner())]
        device = precision.choose_device()
    queue = JobQueue(runners, JobStore(database), serves=serves, device=device)
    looks = Looks(database)
    indexer = Indexer(studio.store, looks) if serves else None
    if indexer is not None:
        studio.store.noted = indexer.note
    return FrontDoor(
        database=database,
        studio=studio,
        reviews=reviews,
        queue=queue,
        boards=Boards(database),
        looks=looks,
        indexer=indexer,
        owns_database=isinstance(where, Path),
    )
