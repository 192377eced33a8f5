"""`set make PHOTO`: one product in several colours and scenes that belong together; `set check`: what falls out."""

import argparse
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdxl_lora import config
from sdxl_lora.cli import terminal
from sdxl_lora.errors import InputError, StorageError

if TYPE_CHECKING:
    from sdxl_lora.editing.consistency import Verdict
    from sdxl_lora.jobs.product_sets import Member


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`set make PHOTO ...` and `set check PICTURE PICTURE ...`."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    make = actions.add_parser(
        "make",
        help="one product in several colours and scenes",
        description="Cut the product out of a photo, and show it in every colour before every background.",
    )
    add = make.add_argument
    add("photo", type=Path, metavar="PHOTO", help="the product, as it was photographed")
    add(
        "--colour",
        action="append",
        default=[],
        metavar="#RRGGBB",
        help="give the product this colour; repeatable",
    )
    add(
        "--background",
        action="append",
        default=[],
        metavar="WHAT",
        help="white (unless given), transparent, #RRGGBB, or the words of a scene that a model draws; repeatable",
    )
    add("--fill", type=int, default=85, metavar="PERCENT", help="of the frame that the product takes; 85")
    add("--shadow", action="store_true", help="a soft shadow below the product")
    add("--size", type=int, default=1_024, metavar="PX", help="of the square frame; 1024")
    add("--seed", type=int, default=0, metavar="N", help="of the scenes; the same for all")
    add("--model", default="auto", metavar="NAME", help="draws the scenes")
    add("--output", type=Path, metavar="DIR", help="put copies of the pictures here")
    check = actions.add_parser(
        "check",
        help="which picture falls out of a set",
        description="Say which pictures of a set differ in colour, crop, background or sharpness.",
    )
    check.add_argument("pictures", type=Path, nargs="+", metavar="PICTURE", help="at least two")
    check.add_argument(
        "--colour",
        action="append",
        default=[],
        metavar="#RRGGBB",
        help="the colour that each was to have, in their order; left out: all one colour",
    )
    for one in (make, check):
        one.add_argument("--json", action="store_true", help="print one JSON object instead of lines")


def run(arguments: argparse.Namespace) -> int:
    """Raises `InputError`, `ModelUnavailableError`, `StorageError`."""
    if arguments.action == "check":
        _check(arguments)
    else:
        _make(arguments)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    from sdxl_lora.editing import colour, consistency
    from sdxl_lora.jobs import product_sets

    if arguments.colour and len(arguments.colour) != len(arguments.pictures):
        raise InputError(
            f"there are {len(arguments.colour)} --colour for {len(arguments.pictures)} pictures; give one for each"
        )
    swatches = [colour.parse(text) for text in arguments.colour]
    if len(arguments.pictures) < consistency.LEAST:
        raise InputError("a set has at least 2 pictures; name the others, too")
    looks = [product_sets.look_at(path) for path in arguments.pictures]
    names = [str(path) for path in arguments.pictures]
    _tell(consistency.check(looks, names, swatches or None), arguments.json)


def _make(arguments: argparse.Namespace) -> None:
    from sdxl_lora.jobs import product_sets

    wish = product_sets.Wish(
        colours=tuple(arguments.colour),
        scenes=tuple(arguments.background) or ("white",),
        fill=arguments.fill,
        shadow=arguments.shadow,
        side=arguments.size,
        seed=arguments.seed,
        model=arguments.model,
    )
    product, found = product_sets.product_of(arguments.photo)
    if found.doubt:
        terminal.note(found.doubt)
    members = product_sets.members(product, arguments.photo.stem, wish)
    made = [(member, _copied(path, member, arguments.output)) for member, path in _drawn(members)]
    if not arguments.json:
        for _, path in made:
            print(path, flush=True)
    paths = [str(path) for _, path in made]
    _tell(product_sets.check(made) if len(made) > 1 else [], arguments.json, {"pictures": paths})


def _drawn(members: "list[Member]") -> "list[tuple[Member, Path]]":
    """Every member with its recorded picture. Raises what a job failed with."""
    from sdxl_lora.jobs.front_door import open_front_door
    from sdxl_lora.jobs.spec import JobSpec

    made = []
    with open_front_door(config.home()) as door, terminal.progress_bar(len(members), "picture") as bar:
        for member in members:
            job = door.queue.submit(JobSpec(request=member.request, group="set"))
            for now in door.queue.events(job.id):
                job = now
            job.raise_error()
            for note in job.notes:
                terminal.note(f"{member.name}: {note}")
            made.append((member, door.store.get(job.record_ids[0]).path))
            bar.update(1)
    return made


def _copied(path: Path, member: "Member", output: Path | None) -> Path:
    if output is None:
        return path
    target = output / f"{member.name}.png"
    try:
        output.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    except OSError as error:
        raise StorageError(
            f"cannot write {target}: {error.strerror}; the picture itself is {path}"
        ) from error
    return target


def _tell(verdicts: "list[Verdict]", as_json: bool, more: dict[str, Any] | None = None) -> None:
    if as_json:
        checked = [
            {"name": one.name, "fits": one.fits, "reasons": list(one.reasons), "look": _facts(one)}
            for one in verdicts
        ]
        terminal.print_json({**(more or {}), "check": checked, "fits": all(one.fits for one in verdicts)})
        return
    for one in verdicts:
        print(f"{one.name}: " + ("belongs to the set" if one.fits else "; ".join(one.reasons)))


def _facts(verdict: "Verdict") -> dict[str, Any]:
    look = verdict.look
    return {**asdict(look), "garment": {"colour": look.garment.hex, "share": look.garment.share}}
