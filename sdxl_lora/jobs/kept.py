"""A job as it stands in the database, and how a row becomes one. Asks no database itself."""

import hashlib
import json
import logging
from dataclasses import asdict, dataclass, replace
from typing import Any

import sqlalchemy as sa

from sdxl_lora.errors import InputError
from sdxl_lora.jobs.job import Job
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.records import metadata
from sdxl_lora.records.tables import JobRow
from sdxl_lora.request import ResolvedRequest

log = logging.getLogger(__name__)

_PROGRESS = ("pictures", "notes", "eta", "drawing")


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A job as it stands in the database."""

    job: Job
    number: int
    work: str
    priority: int
    round: int
    owner: str
    tries: int
    begun: bool  # by this or an earlier run
    decided: ResolvedRequest | None
    version: int

    @property
    def to_run(self) -> JobSpec:
        """What is to be made: as it was decided by an earlier run, if there was one."""
        spec = self.job.spec
        return spec if self.decided is None else replace(spec, request=self.decided)


def work_of(spec: JobSpec) -> str:
    """Jobs of equal work take about the same time per picture."""
    r = spec.request
    loras = [(lora.path, lora.weight) for lora in r.loras]
    said = [r.model, r.width, r.height, r.precision, r.steps, loras, asdict(spec.effort)]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def progress_of(job: Job, *, eta: float | None = None) -> dict[str, Any]:
    """What of a job is in the database beside the spec and the columns: strict JSON."""
    values = {**job.to_dict(), "eta": eta}
    return metadata.finite({name: values[name] for name in _PROGRESS})


def kept_of(row: JobRow | sa.Row[Any]) -> Kept | None:
    """Of a row, or of all its columns; None: a newer version has written it, whose workers understand it."""
    try:
        job = Job.from_dict(
            {
                **{name: row.progress[name] for name in _PROGRESS},
                "id": row.id,
                "spec": row.spec,
                "submitted": row.submitted_at,
                "state": row.state,
                "error": row.error,
                "error_kind": row.error_kind,
            }
        )
        decided = None if row.decided is None else ResolvedRequest.from_dict(row.decided)
    except (InputError, KeyError, TypeError) as error:
        log.info("job %s is left to a newer version: %s", row.id, error)
        return None
    return Kept(
        job=job,
        number=row.number,
        work=row.work,
        priority=row.priority,
        round=row.round,
        owner=row.owner,
        tries=row.tries,
        begun=row.started,
        decided=decided,
        version=row.version,
    )
