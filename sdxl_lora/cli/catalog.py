"""`catalog FILE`: a table of products becomes named pictures with a manifest; goes on after it was stopped or killed.

Knows nothing of models: rows become jobs in `catalog.filling`.
"""

import argparse
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdxl_lora import config, prompts
from sdxl_lora.cli import machines, terminal
from sdxl_lora.errors import DataError, InputError
from sdxl_lora.request import flags

if TYPE_CHECKING:
    from sdxl_lora.catalog.estimating import Estimate
    from sdxl_lora.catalog.filling import Progress
    from sdxl_lora.catalog.photos import Photos
    from sdxl_lora.catalog.planning import Plan, Settings
    from sdxl_lora.catalog.runs import Run
    from sdxl_lora.cluster.ray import Pool
    from sdxl_lora.jobs.front_door import FrontDoor

_SHOWN = 3  # rows of a plan
_PROBLEMS = 20  # that are told on stderr; all are in failed.csv


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The table, what its columns mean, what holds for all rows, and where the pictures go."""
    add, setting = parser.add_argument, terminal.setting
    add(
        "table",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="CSV, XLSX or JSON lines; the first row names the columns",
    )
    add(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder of the pictures; default: a new one under SDXL_LORA_HOME",
    )
    add(
        "--resume",
        action="store_true",
        help="go on in --output: what is done is not made again, failed rows are tried",
    )
    add(
        "--dry-run",
        action="store_true",
        help="say what would be made and how long it takes, and make nothing",
    )
    add("--try-first-row", action="store_true", help="make the first picture only, to look at it")
    add("--template", metavar="NAME", help=f"fill a template: {', '.join(prompts.templates())}")
    add("--prompt", default="", metavar="TEXT", help="words for all rows, after those of the template")
    add(
        "--map",
        action="append",
        default=[],
        metavar="COLUMN=SLOT",
        help="what a column means, where its name does not say it; `ignore` for nothing; repeatable",
    )
    add(
        "--preset",
        action="append",
        default=[],
        metavar="NAME",
        help="also write each picture as a shop asks, into a folder of that name; see export --list; repeatable",
    )
    add(
        "--photos",
        type=Path,
        metavar="DIR",
        help="where the photos lie that a column names; default: the table's folder",
    )
    machines.add_arguments(parser)
    add("--zip", type=Path, metavar="FILE", help="pack everything when it is done")
    flags.add(parser)
    add("--level", choices=("draft", "standard", "strict"), default=setting("level"), help="how hard to try")
    add(
        "--min-score", type=float, default=setting("min_score"), metavar="S", help="score that is good enough"
    )
    add(
        "--max-attempts",
        type=int,
        default=setting("max_attempts"),
        metavar="N",
        help="attempts per picture at most",
    )
    add("--encoding", default="", metavar="NAME", help="of a CSV, where it is not found out, such as cp1252")
    add("--delimiter", default="", metavar="CHAR", help="of a CSV, where it is not found out, such as ;")
    add("--sheet", default="", metavar="NAME", help="of an XLSX; default: the first with rows")
    add("--json", action="store_true", help="print one JSON object instead of lines")


def run(arguments: argparse.Namespace) -> int:
    """Plans, says how many and how long, and makes. Returns 2 where rows failed, after all others are done.

    Raises `InputError`, `StorageError`, `ModelUnavailableError`.
    """
    pool = machines.pool(arguments)
    catalogue = _opened(arguments)
    with _door(None if arguments.dry_run else pool) as door:
        for notice in door.store.notices:
            terminal.note(notice)
        _tell(catalogue, door, arguments)
        if not arguments.dry_run:
            _make(catalogue, door, arguments)
    if arguments.dry_run:
        return 0
    if arguments.zip is not None:
        _pack(catalogue, arguments.zip)
    if arguments.json:
        terminal.print_json(_summary(catalogue))
    problems = catalogue.problems
    if problems and not arguments.try_first_row:
        many = f"{len(problems)} of {len(catalogue.table.rows)} rows failed"
        terminal.tell(
            f"error: {many}; {catalogue.folder / 'failed.csv'} has them with the reasons, to be run again"
        )
        return 2
    return 0


def _door(pool: "Pool | None") -> "AbstractContextManager[FrontDoor]":
    """Where pictures are asked for. Raises `StudioError`, `StorageError`."""
    if pool is not None:
        from sdxl_lora.cluster import door

        return door.opened(config.home(), pool)
    from sdxl_lora.jobs.front_door import open_front_door

    return open_front_door(config.home())


def _opened(arguments: argparse.Namespace) -> "Run":
    """The catalogue that is asked for; of a dry run one that is kept nowhere."""
    from sdxl_lora.catalog import planning, runs, tables

    if arguments.resume:
        return _resumed(arguments)
    if arguments.table is None:
        raise InputError("name the table of products, for example products.csv, or --resume with an --output")
    settings = _settings(arguments, planning.Settings())
    folder = arguments.output or runs.new_folder(arguments.table.name)
    if arguments.dry_run:
        table = runs.parsed(tables.content(arguments.table), arguments.table.name, settings)
        known = runs.Info(id="dry run", table=table.name, created_at="", settings=settings.to_dict())
        photos = _photos(arguments, keep=False)
        return runs.Run(folder, known, planning.plan(table, settings, photos=photos))
    if (folder / runs.INSIDE).exists():
        raise DataError(
            f"{folder} has a catalogue already; --resume goes on with it, or choose another --output"
        )
    data = tables.content(arguments.table)
    return runs.create(folder, data, arguments.table.name, settings, _photos(arguments))


def _resumed(arguments: argparse.Namespace) -> "Run":
    from sdxl_lora.catalog import planning, runs, tables

    if arguments.output is None:
        raise InputError("--resume needs the --output folder of the catalogue that it goes on with")
    known = runs.info(arguments.output)
    settings = _settings(arguments, planning.Settings.from_dict(known.settings))
    before = runs.table_bytes(arguments.output, known)
    data, name = before, known.table
    if arguments.table is not None:
        data, name = tables.content(arguments.table), arguments.table.name
    if data == before and settings.to_dict() == dict(known.settings):
        return runs.Run.open(arguments.output)
    return runs.change(arguments.output, data, name, settings, _photos(arguments))


def _photos(arguments: argparse.Namespace, *, keep: bool = True) -> "Photos":
    from sdxl_lora.catalog.photos import Photos

    beside = arguments.table.parent if arguments.table is not None else None
    return Photos(arguments.photos or beside, keep=keep)


def _settings(arguments: argparse.Namespace, before: "Settings") -> "Settings":
    """What the flags say, over what was said before."""
    values = flags.values(arguments)
    slots = dict(values.pop("slots", ()))
    mapped = dict(_pair(text) for text in arguments.map)
    given: dict[str, Any] = {
        "template": arguments.template,
        "prompt": arguments.prompt,
        "level": arguments.level,
        "min_score": arguments.min_score,
        "max_attempts": arguments.max_attempts,
        "presets": tuple(dict.fromkeys(arguments.preset)),
        "encoding": arguments.encoding,
        "delimiter": arguments.delimiter,
        "sheet": arguments.sheet,
    }
    said = {name: value for name, value in given.items() if value}
    request = {name: value for name, value in values.items() if value not in (None, ())}
    return replace(
        before,
        columns={**before.columns, **mapped},
        values={**before.values, **slots},
        request={**before.request, **request},
        **said,
    )


def _pair(text: str) -> tuple[str, str]:
    column, sign, target = text.rpartition("=")
    if not sign or not column.strip() or not target.strip():
        raise InputError(f"--map {text!r} is not COLUMN=SLOT, for example --map Farbe=colour")
    return column.strip(), target.strip()


def _tell(catalogue: "Run", door: "FrontDoor", arguments: argparse.Namespace) -> None:
    """How many, how long, what was understood, and which rows cannot be made; on stdout for a dry run."""
    from sdxl_lora.catalog.estimating import estimate

    plan = catalogue.plan
    for line in plan.notes:
        terminal.note(line)
    problems = sorted(plan.problems.items())
    for row, problem in problems[:_PROBLEMS]:
        terminal.note(f"row {row}: {problem}")
    if len(problems) > _PROBLEMS:
        terminal.note(f"and {len(problems) - _PROBLEMS} rows more")
    if not plan.items:
        raise DataError("no row can be made; the notes above say why")
    missing = catalogue.open_items[: 1 if arguments.try_first_row else None]
    time = estimate(door.store, missing)
    if not arguments.dry_run:
        terminal.note(f"{time.words()}, into {catalogue.folder}")
    elif arguments.json:
        terminal.print_json(_dry(plan, time))
    else:
        print(time.words())
        for item in plan.items[:_SHOWN]:
            seed = "of its own" if item.request.seed is None else item.request.seed
            print(f"  row {item.row}  {item.name}.png  seed {seed}  {item.request.prompt}")


def _make(catalogue: "Run", door: "FrontDoor", arguments: argparse.Namespace) -> None:
    from sdxl_lora.catalog.filling import fill

    catalogue.mark(running=True)
    with terminal.progress_bar(total=len(catalogue.plan.items), unit="picture") as bar:
        now: Progress | None = None
        for now in fill(catalogue, door, most=1 if arguments.try_first_row else None):
            bar.update(now.done + now.failed - bar.n)
            if now.latest is not None and not arguments.json:
                print(
                    f"{catalogue.folder / now.latest.file}  seed {now.latest.seed}  {now.latest.checks}",
                    flush=True,
                )
    catalogue.mark(running=False)


def _pack(catalogue: "Run", path: Path) -> None:
    from sdxl_lora.catalog import packing

    packing.write(path, catalogue.folder, packing.members(catalogue.folder, catalogue.made))
    terminal.note(f"packed as {path}")


def _dry(plan: "Plan", time: "Estimate") -> dict[str, Any]:
    return {
        "pictures": len(plan.items),
        "to_make": time.pictures,
        "seconds": None if time.seconds is None else round(time.seconds, 1),
        "columns": dict(plan.meaning.targets),
        "unused": list(plan.meaning.unused),
        "notes": list(plan.notes),
        "problems": [{"row": row, "problem": problem} for row, problem in sorted(plan.problems.items())],
        "items": [
            {
                "row": item.row,
                "sku": item.sku,
                "file": f"{item.name}.png",
                "seed": item.request.seed,
                "prompt": item.request.prompt,
                "alt": item.alt,
            }
            for item in plan.items
        ],
    }


def _summary(catalogue: "Run") -> dict[str, Any]:
    problems = catalogue.problems
    return {
        "output": str(catalogue.folder),
        "manifest": str(catalogue.folder / "manifest.json"),
        "pictures": len(catalogue.made),
        "planned": len(catalogue.plan.items),
        "problems": [{"row": row, "problem": problem} for row, problem in sorted(problems.items())],
    }
