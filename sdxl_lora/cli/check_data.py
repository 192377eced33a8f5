"""`check-data SOURCE`: what would go wrong in training with a data set, before any model is loaded."""

import argparse

from sdxl_lora.cli import terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`check-data SOURCE [--model NAME] [--resolution PX] [--image-column C] [--caption-column C]
    [--json]`.
    """
    parser.add_argument("source", metavar="SOURCE", help="hub id, folder, JSON list or parquet file")
    parser.add_argument(
        "--model", default="mini", help="whose tokenizers and sizes count; default: %(default)s"
    )
    parser.add_argument(
        "--resolution", type=int, help="side of the training pictures, px; default: the model's own"
    )
    parser.add_argument("--image-column", default="image", help="default: %(default)s")
    parser.add_argument("--caption-column", default="text", help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")


def run(arguments: argparse.Namespace) -> int:
    """Raises `DataError`, `UnknownNameError` or `RequestError`; findings are no errors."""
    from sdxl_lora.data import checks, sources
    from sdxl_lora.training import checking

    source = sources.open_source(
        arguments.source,
        image_column=arguments.image_column,
        caption_column=arguments.caption_column,
        captions_required=False,
    )
    with terminal.counted("picture", total=len(source)) as show:
        report = checking.check_for(
            source, arguments.model, resolution=arguments.resolution, progress=show, note=terminal.note
        )
    if arguments.json:
        terminal.print_json(checks.to_json(report))
    else:
        print("\n".join(checks.lines(report)))
    return 0
