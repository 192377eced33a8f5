"""`models`: what is available, where and how large; `models fetch NAME` downloads one."""

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sdxl_lora.cli import terminal

if TYPE_CHECKING:
    from sdxl_lora.models.registry import ModelInfo


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`models [--json]` and `models fetch NAME [--json]`."""
    as_json = "print one JSON object instead of lines"
    parser.add_argument("--json", action="store_true", help=as_json)
    parser.set_defaults(fetch=None)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    fetch = actions.add_parser(
        "fetch", help="download a model", description="Download the weights of a model."
    )
    fetch.add_argument("fetch", metavar="NAME", help="mini, sdxl, sd14 or a hub id")
    # SUPPRESS: `models --json fetch NAME` must not be reset by this parser's default
    fetch.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=as_json)


def run(arguments: argparse.Namespace) -> int:
    """Raises `InputError` for an unknown name, `ModelUnavailableError` where the hub cannot be reached."""
    from sdxl_lora.models import registry  # imports torch

    if arguments.fetch is not None:
        info = _fetch(arguments.fetch)
        if arguments.json:
            terminal.print_json(_as_json(info))
        else:
            print(f"{info.name} is on this machine: {info.folder} ({terminal.megabytes(info.bytes)})")
        return 0

    models, automatic = registry.available(), registry.resolve_auto()
    if arguments.json:
        terminal.print_json({"models": [_as_json(info) for info in models], "auto": automatic})
        return 0
    terminal.print_table(
        [("NAME", "KIND", "SIZE", "HERE", "SOURCE", "LICENCE"), *(_row(info) for info in models)]
    )
    print(f"\nWithout --model, {automatic} is used here. A folder or a hub id works as well.")
    return 0


def _fetch(name: str) -> "ModelInfo":
    from sdxl_lora.models import registry

    with terminal.progress_bar(total=0, unit="B") as bar:

        def show(file: str, done: int, total: int) -> None:
            bar.total = total
            bar.set_description(file, refresh=False)
            bar.update(done - bar.n)

        return registry.fetch(name, show)


def _as_json(info: "ModelInfo") -> dict[str, Any]:
    return {**asdict(info), "folder": None if info.folder is None else str(info.folder)}


def _row(info: "ModelInfo") -> tuple[str, ...]:
    here = "yes" if info.present else "no"
    return (
        info.name,
        info.architecture or "-",
        terminal.megabytes(info.bytes),
        here,
        info.source,
        info.licence,
    )
