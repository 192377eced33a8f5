"""`caption DIR`: writes captions for a folder of product photos, in the data set's own form."""

import argparse
from pathlib import Path

from sdxl_lora.cli import terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`caption DIR [--form metadata|txt|json] [--model ID] [--prefix TEXT] [--batch N] [--json]`."""
    parser.add_argument(
        "folder", metavar="DIR", type=Path, help="folder with pictures; those with a caption keep it"
    )
    parser.add_argument(
        "--form",
        choices=("metadata", "txt", "json"),
        help="metadata.jsonl, one .txt per picture, or captions.json; default: what is there, else metadata",
    )
    parser.add_argument(
        "--model",
        default="Salesforce/blip-image-captioning-large",
        help="a BLIP captioner: hub id or folder; default: %(default)s",
    )
    parser.add_argument(
        "--prefix", default="a photography of", help="what captions begin with; default: %(default)s"
    )
    parser.add_argument("--batch", type=int, default=4, help="pictures at once; default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")


def run(arguments: argparse.Namespace) -> int:
    """Raises `DataError`, `ImageError`, `ModelUnavailableError` or `StorageError`."""
    from sdxl_lora.data import captioning
    from sdxl_lora.errors import RequestError

    if arguments.batch < 1:
        raise RequestError(f"--batch {arguments.batch} is not 1 or more")
    pictures = captioning.find_pictures(arguments.folder)
    book = captioning.open_book(arguments.folder, arguments.form)
    missing = sum(not book.has(path) for path in pictures)
    written = []
    if missing:
        captioner = captioning.BlipCaptioner(arguments.model, prefix=arguments.prefix)
        with terminal.progress_bar(total=missing, unit="picture") as bar:
            for item in captioning.caption_folder(
                arguments.folder, captioner, form=arguments.form, batch_size=arguments.batch
            ):
                written.append({"picture": item.name, "caption": item.caption})
                bar.update(1)
                if not arguments.json:
                    bar.write(f"{item.name}: {item.caption}")
    if arguments.json:
        terminal.print_json({"pictures": len(pictures), "written": written, "kept": len(pictures) - missing})
    else:
        print(f"{missing} captions written, {len(pictures) - missing} kept")
    return 0
