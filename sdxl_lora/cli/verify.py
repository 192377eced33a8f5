"""`verify FILE...`: what a picture says about itself, whether its signature holds, and whether it carries the mark."""

import argparse
from pathlib import Path

from sdxl_lora import config
from sdxl_lora.cli import terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Files of any program."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="pictures, of any program")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")


def run(arguments: argparse.Namespace) -> int:
    """Looks at every file. Raises `ImageError`, `ProvenanceError`."""
    from sdxl_lora.data import images
    from sdxl_lora.provenance.verifying import verify

    found = []
    for path in arguments.files:
        verdict = verify(images.content(path), path.name, config.home())
        found.append({"path": str(path), **verdict.to_dict()})
        if not arguments.json:
            first, *more = verdict.lines
            print(f"{path}  {first}")
            for line in more:
                print(f"  {line}")
    if arguments.json:
        terminal.print_json({"images": found})
    return 0
