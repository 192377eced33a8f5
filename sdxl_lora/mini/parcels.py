"""Files of a build folder as parcels under 16 MB: one tar archive cut into numbered parts, and put together again."""

import hashlib
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from sdxl_lora.errors import DataError

LIMIT = 15_500_000  # bytes of a part
SUM = "parcel.sha256"


def pack(root: Path, names: Iterable[str], *, limit: int = LIMIT) -> list[Path]:
    """Write `root/parcel.NNN` of those of the files and folders `names` (relative to `root`) that exist."""
    for old in root.glob("parcel.*"):
        old.unlink()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in names:
            if (root / name).exists():
                archive.add(root / name, arcname=name)
    data = buffer.getvalue()
    parts = []
    for number, start in enumerate(range(0, len(data), limit)):
        parts.append(root / f"parcel.{number:03d}")
        parts[-1].write_bytes(data[start : start + limit])
    (root / SUM).write_text(hashlib.sha256(data).hexdigest())
    return parts


def unpack(root: Path) -> bool:
    """Put the parcels in `root` together and take their files out, over what is there; False without parcels.

    Raises `DataError` if a part is missing or damaged.
    """
    parts = sorted(path for path in root.glob("parcel.[0-9]*"))
    if not parts:
        return False
    data = b"".join(part.read_bytes() for part in parts)
    expected = (root / SUM).read_text().strip() if (root / SUM).exists() else ""
    if hashlib.sha256(data).hexdigest() != expected:
        raise DataError(f"the parcels in {root} are not complete; copy all of them again, {SUM} too")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            _take_out(archive, member, root)
    return True


def _take_out(archive: tarfile.TarFile, member: tarfile.TarInfo, root: Path) -> None:
    """One file or folder; `TarFile.extractall` has no filter for what points elsewhere before Python 3.11.4."""
    target = root / member.name
    if not target.resolve().is_relative_to(root.resolve()) or not (member.isfile() or member.isdir()):
        raise DataError(f"the parcels in {root} hold {member.name!r}, which is no file of a build")
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    content = archive.extractfile(member)
    assert content is not None  # it is a file
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content.read())
