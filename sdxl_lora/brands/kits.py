"""The brand kits of a data folder.

    home/brands/<slug>/kit.json       the kit
    home/brands/<slug>/<logo files>   SVG or PNG, checked when they are added

A kit travels as one ZIP of exactly these files, whose size and contents are checked before anything is written.
"""

import io
import json
import re
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sdxl_lora import config, files
from sdxl_lora.brands.kit import BrandError, BrandKit
from sdxl_lora.errors import InputError, NotFoundError
from sdxl_lora.files import storage_errors
from sdxl_lora.logos.raster import Logo

_KIT: Final = "kit.json"
MAX_ZIP: Final = 50_000_000  # bytes, unpacked


def folder() -> Path:
    """Where they lie."""
    return config.home() / "brands"


def slug(name: str) -> str:
    """The folder's name of a brand."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or f"brand-{name.encode().hex()[:16]}"


def names() -> list[str]:
    """Of all kits that can be read, sorted."""
    found = (files.read_json(path) for path in folder().glob(f"*/{_KIT}"))
    kits = (values.get("name") for values in found if isinstance(values, dict))
    return sorted((name for name in kits if isinstance(name, str)), key=str.lower)


def get(name: str) -> BrandKit:
    """The kit of that name. Raises `NotFoundError`, `InputError` where its file is damaged."""
    path = folder() / slug(name) / _KIT
    if not path.is_file():
        raise NotFoundError(f"there is no brand kit named {name!r}; see the page Brand")
    try:
        return BrandKit.from_dict(files.read_json(path))
    except InputError as error:
        raise BrandError(f"{path} cannot be read ({error}); restore it, or delete its folder") from error


def logo_data(kit: BrandKit, file: str) -> bytes:
    """The bytes of one of its logos. Raises `NotFoundError`."""
    path = folder() / slug(kit.name) / file
    if file not in [logo.file for logo in kit.logos] or not path.is_file():
        raise NotFoundError(f"{kit.name} has no logo {file!r} any more; add it again on the page Brand")
    with storage_errors(path, "read"):
        return path.read_bytes()


def save(kit: BrandKit, logos: Mapping[str, bytes] | None = None) -> None:
    """Writes a kit, and files of logos that are new; its logos that are not in it any more are deleted.

    Raises `InputError` where a logo is none or has no file, `StorageError`.
    """
    new = dict(logos or {})
    home = folder() / slug(kit.name)
    if (home / _KIT).is_file() and (known := files.read_json(home / _KIT)) and known.get("name") != kit.name:
        raise BrandError(f"{kit.name!r} is too like the brand {known.get('name')!r}; choose another name")
    wanted = {logo.file for logo in kit.logos}
    for file in wanted:
        if file in new:
            Logo.read(new[file], file)
        elif not (home / file).is_file():
            raise BrandError(f"the logo {file} has no file; add it again")
    for file in wanted & set(new):
        files.write_atomically(home / file, new[file])
    files.write_atomically(home / _KIT, json.dumps(kit.to_dict(), indent=1, ensure_ascii=False).encode())
    with storage_errors(home):
        for path in home.iterdir():
            if path.name not in wanted | {_KIT}:
                path.unlink()


def delete(name: str) -> None:
    """Deletes a kit with its logos; pictures that were made with it stay as they are. Raises `StorageError`."""
    home = folder() / slug(name)
    if home.is_dir():
        with storage_errors(home, "delete"):
            shutil.rmtree(home)


def export(kit: BrandKit) -> bytes:
    """The kit as one ZIP."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_KIT, json.dumps(kit.to_dict(), indent=1, ensure_ascii=False))
        for file in dict.fromkeys(logo.file for logo in kit.logos):
            archive.writestr(file, logo_data(kit, file))
    return buffer.getvalue()


def take(data: bytes, name: str) -> BrandKit:
    """Reads a ZIP that `export` made and keeps the kit; one of the same name is replaced. Raises `InputError`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > MAX_ZIP or len(entries) > 100:
                raise BrandError(f"{name} is larger than a brand kit may be")
            contents = {entry.filename: archive.read(entry) for entry in entries if not entry.is_dir()}
    except (zipfile.BadZipFile, RuntimeError, zlib.error, EOFError, OSError) as error:
        raise BrandError(f"{name} is no ZIP that can be read ({error}); export the kit again") from error
    if _KIT not in contents:
        raise BrandError(f"{name} is no brand kit: it has no {_KIT}")
    kit = BrandKit.from_dict(files.parse_json(contents[_KIT]))
    missing = [logo.file for logo in kit.logos if logo.file not in contents]
    if missing:
        raise BrandError(f"{name} lacks the logo {missing[0]}; export the kit again")
    save(kit, {logo.file: contents[logo.file] for logo in kit.logos})
    return kit
