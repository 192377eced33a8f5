"""Everything that is needed to ask for pictures under one data folder: opened once per process, closed at its end."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sdxl_lora import later
from sdxl_lora.feedback.reviews import Reviews
from sdxl_lora.jobs.at_first_job import AtFirstJob
from sdxl_lora.jobs.queue import JobQueue
from sdxl_lora.jobs.store import JobStore
from sdxl_lora.jobs.training import Runners, TrainingRunner
from sdxl_lora.jobs.worker import Runner
from sdxl_lora.looks.indexing import Indexer
from sdxl_lora.looks.looking import Looks
from sdxl_lora.models.device import choose_device
from sdxl_lora.records import Database, Record, Store
from sdxl_lora.records.boards import Boards
from sdxl_lora.search import Attempt

if TYPE_CHECKING:
    from sdxl_lora.jobs.studio import Studio

# makes the runners that draw on other machines
Elsewhere = Callable[["Studio", Reviews], Sequence[Runner]]


@dataclass(frozen=True)
class FrontDoor:
    """The queue, and what stands behind it; as a context it is closed at the end, see `JobQueue.close`."""

    database: Database
    store: Store
    reviews: Reviews
    queue: JobQueue
    boards: Boards
    looks: Looks
    # None where this process does not serve: the next one that does looks at its pictures
    indexer: Indexer | None
    owns_database: bool
    make_studio: Callable[[], Studio]

    @property
    def studio(self) -> Studio:
        """What draws, imported when it is first asked for; `store` is there at once."""
        return self.make_studio()

    def keep(self, attempt: Attempt, attempts: Sequence[Attempt], *, reason: str, session: str) -> Record:
        """Records an attempt that a person prefers, as `jobs.attempts.keep`."""
        with later.importing():
            from sdxl_lora.jobs import attempts as making
        return making.keep(self.studio, attempt, attempts, reason=reason, session=session)

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
    elsewhere: Elsewhere | None = None,
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
    store, reviews = Store(database), Reviews(database)
    make_studio = functools.cache(functools.partial(_studio, store, explain))
    runners: Sequence[Runner]
    if elsewhere is not None:
        runners, device = elsewhere(make_studio(), reviews), "elsewhere"
    else:
        runners = [Runners(AtFirstJob(make_studio, reviews), TrainingRunner())]
        device = choose_device()
    queue = JobQueue(runners, JobStore(database), serves=serves, device=device)
    looks = Looks(database)
    indexer = Indexer(store, looks) if serves else None
    if indexer is not None:
        store.noted = indexer.note
    return FrontDoor(
        database=database,
        store=store,
        reviews=reviews,
        queue=queue,
        boards=Boards(database),
        looks=looks,
        indexer=indexer,
        owns_database=isinstance(where, Path),
        make_studio=make_studio,
    )


def import_what_draws() -> None:
    """Imports everything that a job of pictures needs, which takes seconds; nothing where that is done."""
    with later.importing():
        from sdxl_lora.jobs import attempts  # noqa: F401


def _studio(store: Store, explain: bool) -> Studio:
    with later.importing():
        from sdxl_lora.jobs.studio import Studio
    return Studio(store, explain=explain)
