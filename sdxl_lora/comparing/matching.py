"""Which picture of a folder belongs to which row, by name or by number, and in words what was paired.

A guess by order alone is not made: it would be right until one picture is missing. Knows nothing of pixels.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sdxl_lora.comparing.prompts import Row
from sdxl_lora.errors import DataError
from sdxl_lora.evaluation.pairing import picture_name


@dataclass(frozen=True)
class Matched:
    """Place of a row -> file name, and what to tell: the rule, what is missing, what was not used."""

    files: Mapping[int, str]
    notes: tuple[str, ...]


def match_files(files: Sequence[str], rows: Sequence[Row], what: str) -> Matched:
    """Pairs by the rows' keys if any file is named after one, else by the last number in the file names.

    Numbers count from 1, or from 0 if there is a 0. `what` names the pictures in messages. Raises `DataError`
    if nothing fits or two files claim one row.
    """
    keys = {row.key.casefold(): place for place, row in enumerate(rows)}
    named = [(keys[_stem(name)], name) for name in files if _stem(name) in keys]
    if named:
        found, rule = _unique(named, rows, what), "by name"
    else:
        found, rule = _unique(_by_number(files, rows, what), rows, what), "by number"
    paired = ", ".join(f"{found[place]} → {rows[place].key}" for place in sorted(found))
    notes = [f"{what}: paired {rule}: {paired}"]
    missing = [row.key for place, row in enumerate(rows) if place not in found]
    if missing:
        notes.append(f"{what}: no picture for {', '.join(missing)}")
    unused = sorted(set(files) - set(found.values()))
    if unused:
        rest = f" and {len(unused) - 5} more" if len(unused) > 5 else ""
        notes.append(f"{what}: not used, no such row: {', '.join(unused[:5])}{rest}")
    return Matched(found, tuple(notes))


def _by_number(files: Sequence[str], rows: Sequence[Row], what: str) -> list[tuple[int, str]]:
    numbers = {name: int(found[-1]) for name in files if (found := re.findall(r"\d{1,9}", _stem(name)))}
    if not numbers:
        raise DataError(
            f"{what}: no file is named after a row; name them {rows[0].key}.png, ... or 1.png, 2.png, ..."
        )
    first = 0 if 0 in numbers.values() else 1
    return [(number - first, name) for name, number in numbers.items() if 0 <= number - first < len(rows)]


def _unique(pairs: Sequence[tuple[int, str]], rows: Sequence[Row], what: str) -> dict[int, str]:
    found: dict[int, str] = {}
    for place, name in pairs:
        if place in found:
            raise DataError(
                f"{what}: {found[place]} and {name} both fit the row {rows[place].key!r}; keep one"
            )
        found[place] = name
    if not found:
        raise DataError(
            f"{what}: no number in the file names is that of a row; there are {len(rows)}, counted from 1"
        )
    return found


def _stem(name: str) -> str:
    return picture_name(name).casefold()
