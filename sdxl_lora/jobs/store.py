"""The queue in the database: what was asked for, in which order, and who is at it.

Every change is one transaction, and where two processes want the same job the condition of one UPDATE decides, on
SQLite and PostgreSQL alike. The order of jobs is by `(priority, round, number)`: start-time fair queueing, see `queue`.
Nothing is decided by a clock. Knows nothing of threads or of how pictures are made.
"""

import json
import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sdxl_lora.errors import LeaseLostError, NotFoundError, RequestError
from sdxl_lora.jobs.job import Job, Picture
from sdxl_lora.jobs.kept import Kept, kept_of, progress_of, work_of
from sdxl_lora.jobs.spec import PRIORITIES, JobSpec, Kind
from sdxl_lora.lru_cache import LruCache
from sdxl_lora.records import upserts
from sdxl_lora.records.database import Database, Repository
from sdxl_lora.records.tables import JobPictureRow, JobRow, WorkerRow
from sdxl_lora.request import ResolvedRequest

ACTIVE = ("queued", "running")
REMEMBERED = 10_000  # jobs that are over, of all users; their pictures are in the records anyway
MOST_TRIES = 4  # in a row without a picture, of a job whose process ended
_AT_ONCE = 50  # candidates looked at


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """What is needed of an active job to say how long others wait for it."""

    id: str
    state: str
    priority: int
    round: int
    number: int
    work: str
    pictures: int
    owner: str


class JobStore(Repository):
    """All jobs of one database. Every method raises `StorageError` where it cannot be used."""

    def __init__(self, where: Database) -> None:
        super().__init__(where)
        self._jobs: LruCache[tuple[str, int], Kept] = LruCache(4 * _AT_ONCE)

    # ------------------------------------------------------------------ asking

    def submit(self, specs: Sequence[JobSpec], *, pinned: str) -> list[str]:
        """Puts jobs in line, all or none; returns their ids, of a known idempotency key that of its job.

        Args:
            pinned: the process that alone may run them while it lives; "" = any.

        Raises `RequestError` where a key stands for another spec.
        """
        with self.database.writing() as session:
            return [self._submit(session, spec, pinned) for spec in specs]

    def _submit(self, session: Session, spec: JobSpec, pinned: str) -> str:
        if (known := _of_key(session, spec)) is not None:
            return known
        priority = PRIORITIES.index(spec.priority)
        pictures = tuple(Picture(index=index) for index in range(spec.request.count))
        values = {
            "id": uuid.uuid4().hex,
            "kind": spec.kind,
            "user": spec.user,
            "idempotency_key": spec.idempotency_key or None,
            "spec": spec.to_dict(),
            "work": work_of(spec),
            "pictures": spec.request.count,
            "priority": priority,
            "round": _round(session, priority, spec.user),
            "state": "queued",
            "pinned": pinned,
            "owner": "",
            "tries": 0,
            "delay": 0.0,
            "cancel": False,
            "progress": progress_of(Job(id="", spec=spec, submitted=0.0, pictures=pictures)),
            "error_kind": "",
            "submitted_at": time.time(),
            "started": False,
            "version": 0,
        }
        upserts.insert_missing(session, JobRow, [values])
        if session.scalar(sa.select(JobRow.id).where(JobRow.id == values["id"])) is None:
            known = _of_key(session, spec)  # another process was faster
            assert known is not None
            return known
        return str(values["id"])

    def cancel(self, job_id: str) -> None:
        """Takes a waiting job out of the line, and tells whoever runs it to stop."""
        with self.database.writing() as session:
            mine = sa.update(JobRow).where(JobRow.id == job_id)
            session.execute(mine.where(JobRow.state == "queued").values(state="cancelled", **_CHANGED))
            session.execute(mine.where(JobRow.state == "running").values(cancel=True))

    def retry(self, job_id: str, *, pinned: str) -> None:
        """Puts a failed or cancelled job back in line; what of it is finished stays.

        Raises `NotFoundError`, and `RequestError` for one that is neither.
        """
        with self.database.writing() as session:
            row = session.scalar(sa.select(JobRow).where(JobRow.id == job_id))
            if row is None:
                raise NotFoundError(f"there is no job {job_id[:80]!r}; see `jobs` for those there are")
            if row.state not in ("failed", "cancelled"):
                raise RequestError(
                    f"job {job_id} is {row.state}; only failed and cancelled ones are tried again"
                )
            row.state, row.pinned, row.cancel, row.tries, row.delay = "queued", pinned, False, 0, 0.0
            row.error, row.error_kind = None, ""
            row.round, row.version = _round(session, row.priority, row.user), row.version + 1

    # ------------------------------------------------------------------ looking

    def get(self, job_id: str) -> Kept | None:
        """One job; None where there is none, or it is a newer version's."""
        found = self.those([job_id])
        return found[0] if found else None

    def find(self, user: str | None = None, *, limit: int, kind: Kind | None = None) -> list[Kept]:
        """Jobs of `user` (None = everybody's), oldest first: all active ones, and the latest `limit` of the others.

        `kind`: only those; None = all.
        """
        query = sa.select(JobRow.id).order_by(JobRow.number.desc())
        if kind is not None:
            query = query.where(JobRow.kind == kind)
        if user is not None:
            query = query.where(JobRow.user == user)
        with self.database.reading() as session:
            active = list(session.scalars(query.where(JobRow.state.in_(ACTIVE))))
            over = list(session.scalars(query.where(JobRow.state.not_in(ACTIVE)).limit(limit)))
        return self.those([*active, *over])

    def asked(self, user: str, keys: Sequence[str]) -> dict[str, str]:
        """Idempotency key -> id of the job that `user` asked for by it, of those that there are."""
        query = sa.select(JobRow.idempotency_key, JobRow.id).where(JobRow.user == user)
        with self.database.reading() as session:
            rows = session.execute(query.where(JobRow.idempotency_key.in_(keys)))
            return {str(key): identifier for key, identifier in rows}

    def busy(self) -> bool:
        """Whether any job waits or runs."""
        with self.database.reading() as session:
            return session.scalar(sa.select(JobRow.id).where(JobRow.state.in_(ACTIVE)).limit(1)) is not None

    def line(self, priority: int) -> list[Waiting]:
        """Active jobs up to that priority, in their order; those that run come first."""
        columns = [getattr(JobRow, name) for name in Waiting.__dataclass_fields__]
        query = sa.select(*columns).where(JobRow.state.in_(ACTIVE), JobRow.priority <= priority)
        query = query.order_by(JobRow.state.desc(), JobRow.priority, JobRow.round, JobRow.number)
        with self.database.reading() as session:
            return [Waiting(**row._mapping) for row in session.execute(query)]

    def seconds_of(self, work: str) -> float | None:
        """Seconds per picture of the latest job of that kind that is done; None: there was none."""
        query = sa.select(JobRow.seconds).where(JobRow.work == work, JobRow.seconds.is_not(None))
        with self.database.reading() as session:
            return session.scalar(query.order_by(JobRow.number.desc()).limit(1))

    def those(self, ids: Sequence[str]) -> list[Kept]:
        """Jobs of these ids, oldest first. Those that have not changed are not read again."""
        found: list[Kept] = []
        for start in range(0, len(ids), 500):
            some = ids[start : start + 500]
            with self.database.reading() as session:
                versions = sa.select(JobRow.id, JobRow.version).where(JobRow.id.in_(some))
                known = {
                    (i, version): self._jobs.find((i, version)) for i, version in session.execute(versions)
                }
                missing = [identifier for (identifier, _), kept in known.items() if kept is None]
                rows = session.scalars(sa.select(JobRow).where(JobRow.id.in_(missing))) if missing else ()
                fresh = [kept for row in rows if (kept := kept_of(row)) is not None]
            for kept in fresh:
                self._jobs.keep((kept.job.id, kept.version), kept)
            found += [*(kept for kept in known.values() if kept is not None), *fresh]
        return sorted(found, key=lambda kept: kept.number)

    def counts(self) -> dict[str, int]:
        """State -> how many jobs of everybody are in it."""
        query = sa.select(JobRow.state, sa.func.count()).group_by(JobRow.state)
        with self.database.reading() as session:
            return {str(state): int(number) for state, number in session.execute(query)}

    # ------------------------------------------------------------------ working

    def delayed(self) -> list[tuple[str, int, float]]:
        """(id, tries, seconds) of waiting jobs that are not to be tried again at once."""
        query = sa.select(JobRow.id, JobRow.tries, JobRow.delay)
        with self.database.reading() as session:
            return list(session.execute(query.where(JobRow.state == "queued", JobRow.delay > 0)))

    def claim(
        self, owner: str, *, only: Collection[str] | None, ready: Collection[str], least: int
    ) -> Kept | None:
        """Takes the first job of the line that this process may run; None where there is none.

        Args:
            only: besides what is pinned to `owner`, these; None = whatever is pinned to nobody.
            ready: delayed jobs whose time has come.
            least: the last priority that may be taken.
        """
        query = (
            sa.select(JobRow)
            .where(JobRow.state == "queued", JobRow.priority <= least, _may_run(owner, only))
            .where(sa.or_(JobRow.delay == 0, JobRow.id.in_(ready)))
            .order_by(JobRow.priority, JobRow.round, JobRow.number)
        )
        for at_once in (1, _AT_ONCE):  # mostly the first one is had
            with self.database.reading() as session:
                rows = list(session.scalars(query.limit(at_once)))
                waiting = [kept for row in rows if (kept := kept_of(row)) is not None]
            for kept in waiting:
                if self._take(kept, owner):
                    return replace(kept, owner=owner, job=replace(kept.job, state="running"))
            if len(rows) < at_once:
                break
        return None

    def _take(self, kept: Kept, owner: str) -> bool:
        """Whether this process has the job now: only one can change the row that both have seen."""
        job, seen = kept.job, JobRow.version == kept.version
        mine = sa.update(JobRow).where(JobRow.id == job.id, JobRow.state == "queued", seen)
        with self.database.writing() as session:
            if kept.tries >= MOST_TRIES:
                words = f"the process that drew it has ended {kept.tries} times; see its log, then try again"
                session.execute(
                    mine.values(state="failed", error=words, error_kind="StudioError", **_CHANGED)
                )
                return False
            taken = session.execute(mine.values(state="running", owner=owner, started=True, **_CHANGED))
            if taken.rowcount != 1:  # type: ignore[attr-defined]  # of an UPDATE
                return False
            _beat(session, owner)
        return True

    def decide(self, job_id: str, owner: str, request: ResolvedRequest) -> None:
        """Keeps what was decided, for a later run. Raises `LeaseLostError`."""
        self._change(job_id, owner, decided=request.to_dict())

    def report(self, job_id: str, owner: str, progress: dict[str, Any], *, useful: bool) -> None:
        """Tells other processes how far a job is; `useful`: a picture was finished. Raises `LeaseLostError`."""
        self._change(job_id, owner, progress=progress, **({"tries": 0} if useful else {}))

    def settle(self, job_id: str, owner: str, **values: Any) -> None:
        """Ends this process's turn at a job: columns of the row, `state` among them. Raises `LeaseLostError`."""
        self._change(job_id, owner, owner="", **values)

    def _change(self, job_id: str, holder: str, **values: Any) -> None:
        mine = sa.update(JobRow).where(JobRow.id == job_id, JobRow.owner == holder, JobRow.state == "running")
        with self.database.writing() as session:
            done = session.execute(mine.values(version=JobRow.version + 1, **values))
            if done.rowcount != 1:  # type: ignore[attr-defined]  # of an UPDATE
                raise LeaseLostError("another process goes on with this job")

    def waits(self, owner: str, *, only: Collection[str] | None, priority: int) -> bool:
        """Whether a job of that priority waits that `claim` would give this process."""
        with self.database.reading() as session:
            return session.scalar(_waiting_for(owner, only, priority)) is not None

    def running_owners(self, *, priority: int) -> list[str]:
        """The processes that run jobs of that priority."""
        with self.database.reading() as session:
            return list(session.scalars(_owners(priority)))

    def news(
        self, owner: str, *, only: Collection[str] | None, priority: int, look: bool
    ) -> tuple[list[str], bool, list[str]]:
        """What a process that works asks again and again, in one go: its running jobs that somebody, perhaps in another
        process, wants to stop; as `waits`; as `running_owners`. `look`: or else only the first, others are empty."""
        stopped = sa.select(JobRow.id).where(JobRow.state == "running", JobRow.cancel.is_(True))
        with self.database.reading() as session:
            cancelled = list(session.scalars(stopped.where(JobRow.owner == owner)))
            if not look:
                return cancelled, False, []
            waiting = session.scalar(_waiting_for(owner, only, priority)) is not None
            return cancelled, waiting, list(session.scalars(_owners(priority)))

    # ------------------------------------------------------------------ leases

    def beat(self, owner: str) -> None:
        """Counts on, so that others see that this process lives."""
        with self.database.writing() as session:
            _beat(session, owner)

    def holders(self) -> dict[str, int]:
        """Every process that runs a job, or has one pinned to it, and its beat."""
        running = sa.select(JobRow.owner).where(JobRow.state == "running")
        pinned = sa.select(JobRow.pinned).where(JobRow.state.in_(ACTIVE), JobRow.pinned != "")
        with self.database.reading() as session:
            owners = {*session.scalars(running.distinct()), *session.scalars(pinned.distinct())}
            workers = session.execute(sa.select(WorkerRow.owner, WorkerRow.beat))
            beats = {owner: beat for owner, beat in workers}  # noqa: C416  # rows are no pairs to a checker
        return {owner: beats.get(owner, -1) for owner in owners}

    def free(self, owner: str, beat: int | None = None) -> None:
        """Gives all that a process held to others, unless it has counted on since `beat`; None: it has ended."""
        with self.database.writing() as session:
            now = session.scalar(sa.select(WorkerRow.beat).where(WorkerRow.owner == owner))
            if beat is not None and now is not None and now != beat:
                return
            held = sa.update(JobRow).where(JobRow.owner == owner, JobRow.state == "running")
            stopped = held.where(JobRow.cancel.is_(True))
            session.execute(stopped.values(state="cancelled", owner="", **_CHANGED))
            session.execute(held.values(state="queued", owner="", tries=JobRow.tries + 1, **_CHANGED))
            session.execute(sa.update(JobRow).where(JobRow.pinned == owner).values(pinned=""))
            session.execute(sa.delete(WorkerRow).where(WorkerRow.owner == owner))

    def leave(self, owner: str) -> None:
        """This process has ended its work; what is pinned to it is free."""
        with self.database.writing() as session:
            session.execute(sa.update(JobRow).where(JobRow.pinned == owner).values(pinned=""))
            session.execute(sa.delete(WorkerRow).where(WorkerRow.owner == owner))

    def forget_old(self) -> None:
        """Drops jobs that have long been over."""
        over = sa.select(JobRow.id).where(JobRow.state.not_in(ACTIVE))
        with self.database.reading() as session:
            old = list(session.scalars(over.order_by(JobRow.number.desc()).offset(REMEMBERED).limit(500)))
        if old:
            self.database.forget(
                sa.delete(JobPictureRow).where(JobPictureRow.job.in_(old)),
                sa.delete(JobRow).where(JobRow.id.in_(old)),
            )


_CHANGED: dict[str, Any] = {"version": JobRow.version + 1}


def _of_key(session: Session, spec: JobSpec) -> str | None:
    """The id of the job of the same idempotency key. Raises `RequestError` where it is another's."""
    if not spec.idempotency_key:
        return None
    mine = (JobRow.user == spec.user, JobRow.idempotency_key == spec.idempotency_key)
    row = session.execute(sa.select(JobRow.id, JobRow.spec).where(*mine)).one_or_none()
    if row is None:
        return None
    if row.spec != json.loads(json.dumps(spec.to_dict())):
        raise RequestError(
            f"the idempotency key {spec.idempotency_key[:40]!r} stands for another job; choose another"
        )
    return str(row.id)


def _round(session: Session, priority: int, user: str) -> int:
    """The round in progress, or the one after the user's latest."""
    there = sa.select(sa.func.max(JobRow.round)).where(JobRow.priority == priority)
    begun = session.scalar(there.where(JobRow.started.is_(True))) or 0
    counts = sa.or_(JobRow.started.is_(True), JobRow.state == "queued")
    latest = session.scalar(there.where(JobRow.user == user, counts)) or 0
    return max(begun, latest + 1)


def _may_run(owner: str, only: Collection[str] | None) -> sa.ColumnElement[bool]:
    """Rows that a process may take, see `JobStore.claim`."""
    free = JobRow.pinned == ""
    if only is not None:
        free = sa.and_(free, JobRow.id.in_(only))
    return sa.or_(JobRow.pinned == owner, free)


def _waiting_for(owner: str, only: Collection[str] | None, priority: int) -> sa.Select[str]:
    """A job of that priority that a process may take."""
    query = sa.select(JobRow.id).where(JobRow.state == "queued", JobRow.priority == priority)
    return query.where(_may_run(owner, only), JobRow.delay == 0).limit(1)


def _owners(priority: int) -> sa.Select[str]:
    """The processes that run jobs of that priority."""
    query = sa.select(JobRow.owner).where(JobRow.state == "running", JobRow.priority == priority)
    return query.distinct()


def _beat(session: Session, owner: str) -> None:
    counted = sa.update(WorkerRow).where(WorkerRow.owner == owner).values(beat=WorkerRow.beat + 1)
    if session.execute(counted).rowcount == 0:  # type: ignore[attr-defined]  # of an UPDATE
        session.add(WorkerRow(owner=owner, beat=0))
