"""Requests of the command line -> recorded pictures: what `generate` and `edit` share.

Knows nothing of models: it asks for one `JobSpec` per prompt and follows what the queue tells about it.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdxl_lora import config
from sdxl_lora.cli import terminal
from sdxl_lora.errors import StorageError
from sdxl_lora.request import MAX_COUNT, GenerationRequest, expansion

if TYPE_CHECKING:
    from sdxl_lora.jobs.front_door import FrontDoor
    from sdxl_lora.jobs.job import Job
    from sdxl_lora.records import Record
    from sdxl_lora.scoring.card import ScoreCard


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How hard to try, and what becomes of the pictures."""
    add, setting = parser.add_argument, terminal.setting
    add(
        "--min-score",
        type=float,
        default=setting("min_score"),
        metavar="S",
        help="make a picture again until it scores this much, and keep the best",
    )
    add(
        "--max-attempts",
        type=int,
        default=setting("max_attempts"),
        metavar="N",
        help="at most so many attempts per picture (4 with --min-score)",
    )
    add(
        "--level",
        choices=("draft", "standard", "strict"),
        default=setting("level"),
        help="how hard to try: attempts, and the threshold of `score --calibrate`",
    )
    add(
        "--output",
        type=Path,
        default=setting("output"),
        metavar="DIR",
        help="put copies of the pictures here",
    )
    add("--json", action="store_true", help="print one JSON object instead of lines")


def make(arguments: argparse.Namespace, request: GenerationRequest, **said: Any) -> None:
    """Makes, records and names the pictures; `said` goes into the JSON.

    Raises `InputError`, `ModelUnavailableError`, `StorageError`.
    """
    if arguments.output is not None:
        _check_writable(arguments.output)
    started = time.perf_counter()
    made: list[tuple[Record, Path]] = []
    for record in _make_all(arguments, request):
        path = record.path if arguments.output is None else _copy(record.path, arguments.output)
        made.append((record, path))
        if not arguments.json:
            print(_line(record, path), flush=True)
    if arguments.json:
        terminal.print_json({**_summary(made, seconds=time.perf_counter() - started), **said})


def _make_all(arguments: argparse.Namespace, request: GenerationRequest) -> Iterator["Record"]:
    """The records of every prompt that the prompt stands for (`{a|b}`, `__list__`), their number said first."""
    from sdxl_lora.jobs.front_door import open_front_door
    from sdxl_lora.jobs.spec import Effort, JobSpec

    requests = expansion.each(request, MAX_COUNT)
    if len(requests) > 1:
        pictures = len(requests) * request.count
        terminal.note(f"{pictures} pictures: {len(requests)} prompts, {request.count} each")
    effort = Effort(
        level=arguments.level or "", min_score=arguments.min_score, max_attempts=arguments.max_attempts
    )
    with open_front_door(config.home()) as door:
        for notice in door.store.notices:
            terminal.note(notice)
        for one in requests:
            job = door.queue.submit(JobSpec(request=one, effort=effort))
            yield from _follow(door, job)


def _follow(door: "FrontDoor", job: "Job") -> Iterator["Record"]:
    """The records of a job as its pictures are done, with a bar over all denoising steps meanwhile; what was tried
    is told on stderr. Raises what the job failed with."""
    said: set[tuple[int, str]] = set()
    recorded: set[str] = set()
    with terminal.progress_bar(total=0, unit="step") as bar:
        bar.set_description("loading the model")
        for now in door.queue.events(job.id):
            if now.progress:
                bar.set_description("drawing")
            bar.total = sum(picture.budget or picture.steps for picture in now.pictures)
            bar.update(sum(picture.spent + picture.step for picture in now.pictures) - bar.n)
            for line in _told(now):
                if line not in said:
                    terminal.note(line[1])
                said.add(line)
            for identifier in now.record_ids:
                if identifier not in recorded:
                    yield door.store.get(identifier)
                recorded.add(identifier)
            job = now
    job.raise_error()


def _told(job: "Job") -> Iterator[tuple[int, str]]:
    """(picture, line) of every attempt of a search so far and what came of them; -1: of the whole job."""
    for picture in job.pictures:
        for attempt in picture.attempts:
            kind = f", sketch {attempt.finishes} finished" if attempt.finishes else ""
            place = f"attempt {attempt.number}{kind}, seed {attempt.seed}"
            yield picture.index, ": ".join(filter(None, [place, attempt.change, attempt.verdict]))
        if picture.summary:
            yield picture.index, picture.summary
    yield from ((-1, note) for note in job.notes)


def _check_writable(folder: Path) -> None:
    """Makes the folder, and finds out before the pictures are made whether they can be put there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StorageError(f"cannot write to {folder}: {error.strerror}; choose another --output") from error


def _copy(source: Path, folder: Path) -> Path:
    target = folder / source.name
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise StorageError(
            f"cannot write {target}: {error.strerror}; the picture itself is {source}"
        ) from error
    return target


def _line(record: "Record", path: Path) -> str:
    return "  ".join([str(path), f"seed {record.request.seed}", *_found(record.card)])


def _found(card: "ScoreCard") -> Iterator[str]:
    """What was found out about a picture: every number with its judge, counts as counts."""
    if card.scored:
        yield f"{card.scorer} {card.score:.3f}"
    if card.findings:
        yield f"{sum(found.right for found in card.findings)} of {len(card.findings)} attributes shown"
    yield from (f"{gate.name}: {gate.reason}" for gate in card.failed)
    yield from (f"{judge} {value:.3f}" for judge, value in card.others.values())
    if card.search:
        yield f"attempt {card.search.kept} of {card.search.count}"


def _attempts(record: "Record") -> list[dict[str, Any]]:
    """Every attempt at the picture, the one that was kept among them."""
    from sdxl_lora.scoring.card import attempt_dict

    if record.card.search:
        return [attempt_dict(attempt) for attempt in record.card.search.attempts]
    scores = record.card.to_dict()
    return [{"prompt": record.request.prompt, "seed": record.request.seed, "scores": scores}]


def _summary(made: "list[tuple[Record, Path]]", *, seconds: float) -> dict[str, Any]:
    first = made[0][0].request  # a request makes at least one picture
    return {
        "images": [
            {
                "path": str(path),
                "seed": record.request.seed,
                "width": record.width,
                "height": record.height,
                "prompt": record.request.prompt,
                "scores": record.card.to_dict(),
                "attempts": _attempts(record),
            }
            for record, path in made
        ],
        "model": first.model,
        "precision": first.precision,
        "engine": first.engine,
        "seconds": round(seconds, 3),
    }
