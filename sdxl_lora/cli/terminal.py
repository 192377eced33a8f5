"""What the verbs share of the terminal: results on stdout, progress on stderr, defaults from environment."""

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm


def setting(name: str) -> str | None:
    """Default of a flag: the environment variable `SDXL_LORA_NAME`, None when unset or empty.

    argparse converts it by the flag's own type, as if it had been typed.
    """
    return os.environ.get(f"SDXL_LORA_{name.upper()}") or None


def print_json(values: dict[str, Any]) -> None:
    """One object, one line; scripts read it."""
    print(json.dumps(values, ensure_ascii=False, allow_nan=False))


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Left-aligned columns; the last one is not padded."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())


def note(text: str) -> None:
    """Something worth knowing that is neither a result nor an error."""
    print(f"note: {text}", file=sys.stderr)


def progress_bar(total: int, unit: str) -> "tqdm[Any]":
    """A bar on stderr that stays silent where nobody watches."""
    return tqdm(
        total=total,
        unit=unit,
        unit_scale=unit == "B",
        file=sys.stderr,
        disable=not sys.stderr.isatty(),
        leave=False,
    )


def megabytes(size: int | None) -> str:
    """`44.1 MB`, `6.9 GB`; `-` when unknown. Decimal units, as shops and disks use them."""
    if size is None:
        return "-"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
