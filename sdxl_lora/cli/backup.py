"""`backup FILE`: everything of the data folder that cannot be made again, in one file, while the studio runs."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from sdxl_lora import config
from sdxl_lora.cli import terminal

if TYPE_CHECKING:
    from sdxl_lora.records.backup import Summary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file is new and lies outside of the data folder."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the ZIP file to write")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Raises `DataError`, `StorageError`."""
    from sdxl_lora.records import backup

    with terminal.counted("file") as told:
        summary = backup.make(config.home(), arguments.file, told)
    if config.database_url():
        terminal.note("the database of DATABASE_URL is not in it: back it up with pg_dump")
    show(summary, arguments.file, json=arguments.json)
    return 0


def show(summary: "Summary", file: Path, *, json: bool) -> None:
    """What is in a backup, as a line or as JSON."""
    if json:
        terminal.print_json({"file": str(file), **asdict(summary)})
    else:
        print(f"{file}  {summary.files:,} files, {summary.bytes / 2**20:,.1f} MB, made {summary.created_at}")
