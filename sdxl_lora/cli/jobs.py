"""`jobs`: what waits, runs and is over; `jobs cancel ID`, `jobs retry ID`. Draws nothing itself."""

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sdxl_lora import config
from sdxl_lora.cli import terminal
from sdxl_lora.errors import NotFoundError, RequestError

if TYPE_CHECKING:
    from sdxl_lora.jobs.job import Job
    from sdxl_lora.jobs.store import JobStore

_SHORTEST = 4  # characters of an id that are enough, where no other begins with them
_LATEST = 20  # of those that are over


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`jobs [--json]`, `jobs cancel ID... | --all`, `jobs retry ID...`."""
    as_json = "print one JSON object instead of lines"
    parser.add_argument("--json", action="store_true", help=as_json)
    parser.add_argument("--user", help="only those of this user (a browser's session, or a token's name)")
    parser.set_defaults(action="list", ids=[], all=False)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    cancel = actions.add_parser("cancel", help="stop jobs, wherever they run; finished pictures stay")
    cancel.add_argument("--all", action="store_true", help="every job that waits or runs")
    retry = actions.add_parser("retry", help="put failed or cancelled jobs back in line")
    for name, action in (("cancel", cancel), ("retry", retry)):
        action.add_argument("ids", nargs="*", metavar="ID", help="an id, or its beginning")
        action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=as_json)
        action.set_defaults(action=name)


def run(arguments: argparse.Namespace) -> int:
    """Raises `NotFoundError` for an id that is none, `RequestError`, `StorageError`."""
    with _store() as store:
        if arguments.action != "list" and not arguments.ids and not arguments.all:
            raise RequestError(f"which jobs are meant? `jobs {arguments.action} ID`; `jobs` lists them")
        known = [kept.job for kept in store.find(arguments.user, limit=_LATEST)]
        if arguments.action == "cancel":
            active = [job.id for job in known if job.active]
            ids = active if arguments.all else [_named(known, given) for given in arguments.ids]
            for job_id in ids:
                store.cancel(job_id)
        elif arguments.action == "retry":
            ids = [_named(known, given) for given in arguments.ids]
            for job_id in ids:
                store.retry(job_id, pinned="")
            terminal.note("the app draws them, or the verb `work`")
        else:
            ids = [job.id for job in known]
        _show(store, ids, as_json=arguments.json)
    return 0


@contextlib.contextmanager
def _store() -> Iterator["JobStore"]:
    from sdxl_lora.jobs.store import JobStore  # imports torch
    from sdxl_lora.records import Database

    with Database(config.home()) as database:
        yield JobStore(database)


def _named(known: "Sequence[Job]", given: str) -> str:
    """The id that `given` is or begins."""
    found = [job.id for job in known if job.id.startswith(given) and len(given) >= _SHORTEST]
    if len(found) == 1 or given in found:
        return given if given in found else found[0]
    if len(found) > 1:
        raise RequestError(f"{len(found)} jobs begin with {given!r}; write more of the id")
    if len(given) == 32:  # long over
        return given
    raise NotFoundError(f"there is no job {given[:80]!r}; `jobs` lists them")


def _show(store: "JobStore", ids: Sequence[str], *, as_json: bool) -> None:
    from sdxl_lora.jobs.here import Here
    from sdxl_lora.jobs.line import Line

    line = Line(store, Here(owner="", serves=False))
    found = [store.get(job_id) for job_id in ids]
    if missing := [job_id for job_id, kept in zip(ids, found, strict=True) if kept is None]:
        raise NotFoundError(f"there is no job {missing[0]!r}; `jobs` lists them")
    jobs = [line.placed(kept.job) for kept in found if kept is not None]
    if as_json:
        terminal.print_json({"jobs": [job.to_dict() for job in jobs]})
    elif jobs:
        heads = ("ID", "STATE", "PICTURES", "LEFT", "USER", "WHAT")
        terminal.print_table([heads, *(_row(job) for job in jobs)])
    else:
        print("No jobs.")


def _row(job: "Job") -> tuple[str, ...]:
    state = f"{job.state}, {job.position} before it" if job.state == "queued" else job.state
    left = "-" if job.eta is None else f"{job.eta:.0f} s"
    what = job.error or job.title
    short = what if len(what) <= 60 else f"{what[:57]}..."
    return job.id[:8], state, f"{len(job.record_ids)} of {len(job.pictures)}", left, job.user or "-", short
