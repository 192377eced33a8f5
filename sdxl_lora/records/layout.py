"""Where things lie under the data folder, and the identifiers that decide it. Pure names: touches no file.

    home/records.sqlite                    index of everything
    home/votes.jsonl, favourites.jsonl     what people said of pictures, see `records.journal`
    home/pictures/YYYY-MM-DD/<id>.png      the picture with its full request inside
    home/trash/YYYY-MM-DD/<id>.png         a deleted picture that can be brought back, see `records.trash`
    home/boards.jsonl                      boards and what is on them, see `records.boards`
    home/thumbnails/YYYY-MM-DD/<id>.webp   made when first asked for

Days are UTC, as in the identifier.
"""

import re
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sdxl_lora.errors import NotFoundError

_ID = re.compile(r"(\d{4})(\d{2})(\d{2})-\d{6}-\d{6}-[0-9a-f]{6}", re.ASCII)
_TIME = "%Y%m%d-%H%M%S-%f-"


def new_id(now: datetime, after: str = "") -> str:
    """An identifier that sorts by time (UTC, microseconds), unique across processes (24 random bits).

    `after`: the newest one so far, behind which it sorts even where the clock was set back.
    """
    if is_id(after):
        now = max(now, moment(after) + timedelta(microseconds=1))
    return now.strftime(_TIME) + secrets.token_hex(3)


def moment(identifier: str) -> datetime:
    """When an identifier was made, UTC. Raises `NotFoundError` if it is none."""
    _day(identifier)
    return datetime.strptime(identifier[: -len("000000")], _TIME).replace(tzinfo=UTC)


def is_id(text: str) -> bool:
    """Whether `text` could have come from `new_id`; nothing else is ever made into a path."""
    if _ID.fullmatch(text) is None:
        return False
    try:
        datetime.strptime(text[: -len("000000")], _TIME)
    except ValueError:  # the 31st of February
        return False
    return True


def database_path(home: Path) -> Path:
    """The SQLite file."""
    return home / "records.sqlite"


def pictures_folder(home: Path) -> Path:
    """The folder of all days."""
    return home / "pictures"


def picture_path(home: Path, identifier: str) -> Path:
    """Where the picture of that id lies. Raises `NotFoundError` if it is no id."""
    return pictures_folder(home) / _day(identifier) / f"{identifier}.png"


def trash_folder(home: Path) -> Path:
    """The folder of all days of deleted pictures."""
    return home / "trash"


def trash_path(home: Path, identifier: str) -> Path:
    """Where the picture of that id lies once it is deleted. Raises `NotFoundError` if it is no id."""
    return trash_folder(home) / _day(identifier) / f"{identifier}.png"


def thumbnail_path(home: Path, identifier: str) -> Path:
    """Where its thumbnail lies. Raises `NotFoundError` if it is no id."""
    return home / "thumbnails" / _day(identifier) / f"{identifier}.webp"


def _day(identifier: str) -> str:
    match = _ID.fullmatch(identifier)
    if match is None or not is_id(identifier):
        raise NotFoundError(f"there is no picture {identifier[:80]!r}; open it from the gallery")
    return "-".join(match.groups())
