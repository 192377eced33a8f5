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
from sdxl_lora.jobs import statements
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
        rounds: _Rounds = {}
        with self.database.writing() as session:
            return [self._submit(session, spec, pinned, rounds) for spec in specs]

    def _submit(self, session: Session, spec: JobSpec, pinned: str, rounds: "_Rounds") -> str:
        if (known := _of_key(session, spec)) is not None:
            return known
        priority = PRIORITIES.index(spec.priority)
        line = (priority, spec.user)
        rounds[line] = rounds[line] + 1 if line in rounds else _round(session, priority, spec.user)
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
            "round": rounds[line],
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
        if not spec.idempotency_key:
            session.execute(statements.INSERT, values)
            return str(values["id"])
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
        for some in upserts.parts(ids):
            with self.database.reading() as session:
                known: dict[tuple[str, int], Kept | None] = {}
                missing = some
                if len(some) > 1:  # one is read sooner than it is asked about
                    versions = sa.select(JobRow.id, JobRow.version).where(JobRow.id.in_(some))
                    known = {(i, v): self._jobs.find((i, v)) for i, v in session.execute(versions)}
                    missing = [identifier for (identifier, _), kept in known.items() if kept is None]
                rows = session.execute(statements.THOSE, {"ids": missing}) if missing else ()
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

    def before_claim(self, *, priority: int) -> tuple[list[tuple[str, int, float]], list[str]]:
        """(id, tries, seconds) of waiting jobs that are not to be tried again at once, and the processes that run jobs
        of that priority."""
        with self.database.reading() as session:
            rows = session.execute(statements.BEFORE_CLAIM, {"priority": priority}).all()
        delayed = [(row.id, row.tries, row.delay) for row in rows if row.state == "queued"]
        return delayed, [row.owner for row in rows if row.state == "running"]

    def claim(
        self,
        owner: str,
        *,
        only: Collection[str] | None,
        ready: Collection[str],
        least: int,
        beat: bool = True,
    ) -> Kept | None:
        """Takes the first job of the line that this process may run; None where there is none.

        Args:
            only: besides what is pinned to `owner`, these; None = whatever is pinned to nobody.
            ready: delayed jobs whose time has come.
            least: the last priority that may be taken.
            beat: count on, too; False where this process did so just now.
        """
        query = statements.first(anybodys=only is None)
        values = {"owner": owner, "least": least, "ready": list(ready), **_only(only)}
        for at_once in (1, _AT_ONCE):  # mostly the first one is had
            with self.database.reading() as session:
                rows = session.execute(query, {**values, "at_once": at_once}).all()
                waiting = [kept for row in rows if (kept := kept_of(row)) is not None]
            for kept in waiting:
                if self._take(kept, owner, beat):
                    return replace(kept, owner=owner, job=replace(kept.job, state="running"))
            if len(rows) < at_once:
                break
        return None

    def _take(self, kept: Kept, owner: str, beat: bool) -> bool:
        """Whether this process has the job now: only one can change the row that both have seen."""
        with self.database.writing() as session:
            if kept.tries >= MOST_TRIES:
                seen = (JobRow.version == kept.version, JobRow.state == "queued")
                mine = sa.update(JobRow).where(JobRow.id == kept.job.id, *seen)
                words = f"the process that drew it has ended {kept.tries} times; see its log, then try again"
                session.execute(
                    mine.values(state="failed", error=words, error_kind="StudioError", **_CHANGED)
                )
                return False
            seen_as = {"job": kept.job.id, "seen": kept.version, "who": owner}
            taken = session.execute(statements.TAKE, seen_as)
            if taken.rowcount != 1:  # type: ignore[attr-defined]  # of an UPDATE
                return False
            if beat:
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
        change = statements.HELD.values(**_CHANGED, **values)
        with self.database.writing() as session:
            done = session.execute(change, {"job": job_id, "holder": holder})
            if done.rowcount != 1:  # type: ignore[attr-defined]  # of an UPDATE
                raise LeaseLostError("another process goes on with this job")

    def news(
        self, owner: str, *, only: Collection[str] | None, priority: int, look: bool
    ) -> tuple[list[str], bool, list[str]]:
        """What a process that works asks again and again, in one statement: its running jobs that somebody, perhaps in
        another process, wants to stop; whether a job of that priority waits that `claim` would give it; the processes
        that run jobs of that priority. `look`: or else only the first, the others are empty."""
        asked = statements.news(anybodys=only is None, look=look)
        values = {"owner": owner, **({"priority": priority, **_only(only)} if look else {})}
        said: dict[str, list[str]] = {"stopped": [], "owner": [], "waits": []}
        with self.database.reading() as session:
            for kind, value in session.execute(asked, values):
                said[kind].append(value)
        return said["stopped"], bool(said["waits"]), said["owner"]

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
_Rounds = dict[tuple[int, str], int]  # (priority, user) -> the round of the latest job in this transaction


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
    """The round in progress, or the one after the user's latest; read from the ends of two indexes."""
    begun = session.scalar(statements.BEGUN, {"priority": priority}) or 0
    latest = session.scalar(statements.LATEST, {"priority": priority, "user": user}) or 0
    return max(begun, latest + 1)


def _only(ids: Collection[str] | None) -> dict[str, list[str]]:
    """As the statements call it, see `JobStore.claim`."""
    return {} if ids is None else {"only": list(ids)}


def _beat(session: Session, owner: str) -> None:
    if session.execute(statements.BEAT, {"who": owner}).rowcount == 0:  # type: ignore[attr-defined]  # of an UPDATE
        session.add(WorkerRow(owner=owner, beat=0))
