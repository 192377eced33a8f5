"""`restore FILE`: fills an empty data folder from a backup, once all of it has been checked."""

import argparse
from pathlib import Path

from sdxl_lora import config
from sdxl_lora.cli import backup as shown
from sdxl_lora.cli import terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`SDXL_LORA_HOME` says where to."""
    parser.add_argument("file", type=Path, metavar="FILE", help="what `backup` wrote")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Raises `DataError`, `StorageError`."""
    from sdxl_lora.records import backup

    with terminal.counted("file") as show:
        summary = backup.restore(arguments.file, config.home(), show)
    shown.show(summary, arguments.file, json=arguments.json)
    return 0
