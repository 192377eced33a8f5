"""The statements about the line that every picture needs, each made once: making one costs more than the database takes
to answer it. They read columns and no mapped rows, which would cost as much again.
"""

from functools import cache
from typing import Any

import sqlalchemy as sa

from sdxl_lora.records.tables import JobRow, WorkerRow

_OWNER: sa.BindParameter[str] = sa.bindparam("owner")
_PRIORITY: sa.BindParameter[int] = sa.bindparam("priority")
_QUEUED, _RUNNING = JobRow.state == "queued", JobRow.state == "running"

WHOLE = sa.select(*JobRow.__table__.c)
THOSE = WHOLE.where(JobRow.id.in_(sa.bindparam("ids", expanding=True)))
INSERT = sa.insert(JobRow.__table__)  # type: ignore[arg-type]  # a table
HELD = sa.update(JobRow.__table__).where(  # type: ignore[arg-type]
    JobRow.id == sa.bindparam("job"), JobRow.owner == sa.bindparam("holder"), _RUNNING
)
TAKE = (
    sa.update(JobRow.__table__)  # type: ignore[arg-type]
    .where(JobRow.id == sa.bindparam("job"), JobRow.version == sa.bindparam("seen"), _QUEUED)
    .values(state="running", owner=sa.bindparam("who"), started=True, version=JobRow.version + 1)
)
BEFORE_CLAIM = sa.select(JobRow.id, JobRow.tries, JobRow.delay, JobRow.state, JobRow.owner).where(
    sa.or_(sa.and_(_QUEUED, JobRow.delay > 0), sa.and_(_RUNNING, JobRow.priority == _PRIORITY))
)
BEGUN = (
    sa.select(JobRow.round)
    .where(JobRow.priority == _PRIORITY, JobRow.started.is_(sa.true()))
    .order_by(JobRow.round.desc())
    .limit(1)
)
LATEST = (
    sa.select(JobRow.round)
    .where(JobRow.priority == _PRIORITY, JobRow.user == sa.bindparam("user"))
    .where(sa.or_(JobRow.started.is_(sa.true()), _QUEUED))
    .order_by(JobRow.round.desc())
    .limit(1)
)
BEAT = (
    sa.update(WorkerRow.__table__)  # type: ignore[arg-type]
    .where(WorkerRow.owner == sa.bindparam("who"))
    .values(beat=WorkerRow.beat + 1)
)


@cache
def first(*, anybodys: bool) -> sa.Select[Any]:
    """The jobs that a process may take, in their order. Parameters: `owner`, `least` (the last priority), `ready` (ids
    of delayed ones whose time has come), `only` (ids that are pinned to nobody) unless it works at anybody's."""
    query = WHOLE.where(_QUEUED, JobRow.priority <= sa.bindparam("least"), _may_run(anybodys))
    query = query.where(sa.or_(JobRow.delay == 0, JobRow.id.in_(sa.bindparam("ready", expanding=True))))
    return query.order_by(JobRow.priority, JobRow.round, JobRow.number).limit(sa.bindparam("at_once"))


@cache
def news(*, anybodys: bool, look: bool) -> sa.CompoundSelect[str, str]:
    """("stopped", id) of running jobs of `owner` that somebody wants to stop; `look`: also ("owner", process) for each
    that runs a job of `priority`, and ("waits", id) of one of that priority that `first` would give."""
    stopped = _named("stopped", JobRow.id).where(_RUNNING, JobRow.owner == _OWNER)
    stopped = stopped.where(JobRow.cancel.is_(sa.true()))
    if not look:
        return sa.union_all(stopped)
    owners = _named("owner", JobRow.owner).where(_RUNNING, JobRow.priority == _PRIORITY)
    waiting = _named("waits", JobRow.id).where(_QUEUED, JobRow.priority == _PRIORITY, JobRow.delay == 0)
    return sa.union_all(
        stopped, owners, sa.select(waiting.where(_may_run(anybodys)).limit(1).subquery("waiting"))
    )


def _may_run(anybodys: bool) -> sa.ColumnElement[bool]:
    free = JobRow.pinned == ""
    if not anybodys:
        free = sa.and_(free, JobRow.id.in_(sa.bindparam("only", expanding=True)))
    return sa.or_(JobRow.pinned == _OWNER, free)


def _named(kind: str, column: sa.orm.InstrumentedAttribute[str]) -> sa.Select[str, str]:
    return sa.select(sa.literal_column(f"'{kind}'", sa.String).label("kind"), column.label("value"))
