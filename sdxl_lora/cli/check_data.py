"""`check-data SOURCE`: what would go wrong in training with a data set, before any model is loaded."""

import argparse
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from sdxl_lora.cli import terminal

if TYPE_CHECKING:
    from sdxl_lora.data.checks import Report

_RESOLUTION = 1024  # px, SDXL's, where no model's files are here to say


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

    source = sources.open_source(
        arguments.source,
        image_column=arguments.image_column,
        caption_column=arguments.caption_column,
        captions_required=False,
    )
    resolution, multiple, limit, counters = _model_facts(arguments.model)
    with terminal.progress_bar(total=len(source), unit="picture") as bar:

        def show(done: int, total: int) -> None:
            bar.update(done - bar.n)

        report: Report = checks.check(
            source,
            resolution=arguments.resolution or resolution,
            multiple=multiple,
            counters=counters,
            token_limit=limit,
            progress=show,
        )
    if arguments.json:
        terminal.print_json(checks.to_json(report))
    else:
        print("\n".join(checks.lines(report)))
    return 0


def _model_facts(name: str) -> tuple[int, int, int, dict[str, Callable[[str], int]]]:
    """(resolution, multiple, token limit, tokenizers) of a model that is here, without its weights."""
    from sdxl_lora.models import registry
    from sdxl_lora.training import base_model
    from sdxl_lora.training.text import token_count

    info = registry.describe(name)
    if info.folder is None:
        terminal.note(f"the model {name} is not on this machine: tokens are not counted, sizes are SDXL's")
        return _RESOLUTION, 64, 77, {}
    base = base_model.describe(name, info.folder)
    tokenizers = dict(zip(("tokenizer", "tokenizer_2"), base.tokenizers(), strict=False))
    limit = min(int(tokenizer.model_max_length) for tokenizer in tokenizers.values())
    counters: dict[str, Callable[[str], int]] = {
        part: partial(token_count, tokenizer) for part, tokenizer in tokenizers.items()
    }
    return base.side, base.multiple, limit, counters
