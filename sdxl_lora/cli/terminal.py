"""What the verbs share of the terminal: results on stdout, progress on stderr, defaults from environment."""

import errno
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TextIO

from tqdm import tqdm

from sdxl_lora.errors import StorageError

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")  # a file's name may hold them


def setting(name: str) -> str | None:
    """Default of a flag: the environment variable `SDXL_LORA_NAME`, None when unset or empty.

    argparse converts it by the flag's own type, as if it had been typed.
    """
    return os.environ.get(f"SDXL_LORA_{name.upper()}") or None


def print_json(values: dict[str, Any]) -> None:
    """One object, one line; scripts read it. ASCII with escapes where stdout cannot write what is in it."""
    line = json.dumps(values, ensure_ascii=False, allow_nan=False)
    try:
        line.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # another encoding, or a file name that is no text
        line = json.dumps(values, allow_nan=False)
    print(line)


@contextmanager
def streams() -> Iterator[None]:
    """Makes stdout and stderr safe to write to, whatever they are, and reports that a result could not be written.

    What stdout's encoding lacks is written as an escape. A stderr that is closed or full loses what it is told, and
    nothing else. Raises `StorageError` where stdout is full or closed, for a result would be lost.
    """
    saved = sys.stdout, sys.stderr
    with ExitStack() as stack:
        if sys.stdout is None or sys.stderr is None:  # closed by the caller's shell
            sink = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            sys.stdout, sys.stderr = sys.stdout or sink, sys.stderr or sink
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        try:
            try:
                yield
            finally:
                sys.stdout.flush()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EIO, errno.EBADF) or error.filename is not None:
                raise
            _drop(sys.stdout)
            raise StorageError(f"the result cannot be written to stdout: {error.strerror}") from error
        finally:
            sys.stdout, sys.stderr = saved


def tell(line: str) -> None:
    """A line on stderr, and one only, whatever names are in it; lost where stderr takes none: it is never a result."""
    if sys.stderr is None:  # `print` would take stdout instead
        return
    try:
        print(_CONTROL.sub(" ", line), file=sys.stderr, flush=True)
    except OSError:
        _drop(sys.stderr)


def _drop(stream: TextIO) -> None:
    """Sends what the stream still holds nowhere: Python would try again at its end, and say so."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Left-aligned columns; the last one is not padded."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())


def note(text: str) -> None:
    """Something worth knowing that is neither a result nor an error."""
    tell(f"note: {text}")


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


@contextmanager
def counted(unit: str, what: str = "", total: int = 0) -> Iterator[Callable[[int, int], None]]:
    """A bar that is told (done, in all)."""
    with counted_parts(unit, total) as show:
        yield lambda done, total: show(what, done, total)


@contextmanager
def counted_parts(unit: str, total: int = 0) -> Iterator[Callable[[str, int, int], None]]:
    """A bar that is told (what, done, in all); one may come after the other."""
    with progress_bar(total, unit) as bar:

        def show(what: str, done: int, total: int) -> None:
            bar.total = total
            bar.set_description(what, refresh=False)
            bar.update(done - bar.n)

        yield show


def megabytes(size: int | None) -> str:
    """`44.1 MB`, `6.9 GB`; `-` when unknown. Decimal units, as shops and disks use them."""
    if size is None:
        return "-"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
