"""Pictures that requests begin from, masks, and vectors such as logos: kept by their contents, named by their hash.

    SDXL_LORA_HOME/inputs/<sha256>.png     a picture, upright, 8 bits per channel, RGB (RGBA where alpha is kept)
    SDXL_LORA_HOME/inputs/<sha256>.svg     a vector, byte for byte as it was given
    SDXL_LORA_HOME/inputs/<sha256>.signed  the file that the picture of that hash was read from, where it is signed

The hash is that of the PNG or SVG. The same contents are kept once, however often they are given, and a file that
does not fit its name any more is never handed out. What comes from outside is read by `data.images.decode`, which says
what it did to it; nothing of the original file but its pixels is kept (no place and name of the photographer), unless
it has content credentials (C2PA), which only hold for the file as it was. Knows nothing of requests and models.
"""

import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from sdxl_lora import config
from sdxl_lora.data import images
from sdxl_lora.errors import ImageError, NotFoundError, StorageError
from sdxl_lora.files import storage_errors, write_atomically

SMALLEST_SIDE = 64  # px
MAX_PIXELS = 50_000_000
MAX_VECTOR_BYTES = 4 * 2**20
HASH = re.compile(r"[0-9a-f]{64}")
_SUFFIXES = ("png", "svg")
_SIGNED = "signed"
# how the files that may carry credentials begin, and what they are
_BEGINNINGS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n": "image/png", b"RIFF": "image/webp"}
_CREDENTIALS = (b"jumb", b"c2pa")  # the box that they stand in, and its name (C2PA 2.2, section 11.1)
_MODES = ("RGB", "RGBA", "L")  # kept as they are; anything else becomes RGB
_COMPRESSION = 1  # of 9: three times as fast as the usual for a tenth more bytes
# what may stand before an SVG's own element: declaration, comments, document type with its entities
_SVG = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*|<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>\s*)*<svg[\s>]",
    re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class Input:
    """One kept file."""

    hash: str  # SHA-256 of the file, 64 hexadecimal digits
    kind: Literal["png", "svg"]
    width: int = 0  # px; 0 = a vector, which has no pixels
    height: int = 0  # px
    notes: tuple[str, ...] = ()  # what was done to it when it was read, for people


def folder() -> Path:
    """Where they lie."""
    return config.home() / "inputs"


def keep(
    picture: bytes | Image.Image,
    *,
    name: str = "the picture",
    alpha: bool = False,
    smallest: int = SMALLEST_SIDE,
) -> Input:
    """Keeps a picture, and says how it is named from now on.

    Args:
        picture: an encoded file of any kind that `data.images` reads, or pixels.
        name: what an error calls it, usually the file's name.
        alpha: keep transparency; without, it is laid on white.
        smallest: px that its shorter side must have.

    Raises `ImageError` for what is damaged, no picture, too small or larger than `MAX_PIXELS`; `StorageError`.
    """
    notes: tuple[str, ...] = ()
    if isinstance(picture, bytes):
        images.check_bytes(picture, name)
        image, facts = images.decode(picture, name, most=MAX_PIXELS, alpha=alpha)
        notes = facts.notes
    else:
        image = picture if picture.mode in _MODES else picture.convert("RGB")
    _check_size(image.size, name, smallest)
    digest = _store(_encode(image), "png")
    if isinstance(picture, bytes) and all(mark in picture for mark in _CREDENTIALS) and _mime(picture):
        write_atomically(folder() / f"{digest}.{_SIGNED}", picture)
    return Input(hash=digest, kind="png", width=image.width, height=image.height, notes=notes)


def keep_file(path: Path, *, alpha: bool = False, smallest: int = SMALLEST_SIDE) -> Input:
    """`keep` of a file on this machine. Raises `ImageError` also where it cannot be opened."""
    return keep(images.content(path), name=path.name, alpha=alpha, smallest=smallest)


def keep_vector(data: bytes, *, name: str = "the drawing") -> Input:
    """Keeps an SVG as it is; it is not drawn here, and nothing in it is followed.

    Raises `ImageError` for what is no SVG or larger than `MAX_VECTOR_BYTES`; `StorageError`.
    """
    if len(data) > MAX_VECTOR_BYTES:
        raise ImageError(f"{name} is larger than {MAX_VECTOR_BYTES // 2**20} MB; simplify the drawing")
    if not _SVG.match(data):
        raise ImageError(f"{name} is no SVG drawing; export it as SVG, or give a PNG with transparency")
    return Input(hash=_store(data, "svg"), kind="svg")


def find(digest: str) -> Path:
    """The file of a hash. Raises `NotFoundError`."""
    if HASH.fullmatch(digest):
        for suffix in _SUFFIXES:
            path = folder() / f"{digest}.{suffix}"
            if path.is_file():
                return path
    raise NotFoundError(
        f"the input picture {digest[:12]!r} is not in {folder()}; choose the picture or file again"
    )


def read(digest: str) -> bytes:
    """The bytes of a kept file. Raises `NotFoundError`; `StorageError` where they are not what the name says."""
    path = find(digest)
    with storage_errors(path, "read"):
        data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise StorageError(f"the input picture {path} is damaged; delete it, and choose the picture again")
    return data


def signed_original(digest: str) -> tuple[bytes, str] | None:
    """(bytes, media type) of the signed file that a kept picture was read from; None: it had no credentials.

    Raises `StorageError`.
    """
    path = folder() / f"{digest}.{_SIGNED}"
    if not HASH.fullmatch(digest) or not path.is_file():
        return None
    with storage_errors(path, "read"):
        data = path.read_bytes()
    return data, _mime(data)


def inherit(digest: str, source: str) -> None:
    """What was cut out of a kept picture has its credentials, if it had any. Raises `StorageError`."""
    signed = signed_original(source)
    if signed is not None and digest != source:
        write_atomically(folder() / f"{digest}.{_SIGNED}", signed[0])


def _mime(data: bytes) -> str:
    """The media type of a file that may carry credentials; "" for any other."""
    return next((mime for beginning, mime in _BEGINNINGS.items() if data.startswith(beginning)), "")


def open(digest: str) -> Image.Image:
    """The pixels of a kept picture, loaded: RGB, RGBA or L. Raises `NotFoundError`, `ImageError`, `StorageError`."""
    path = find(digest)
    if path.suffix == ".svg":
        raise ImageError(
            f"the input {digest[:12]} is a drawing (SVG) where a picture is needed; choose another"
        )
    image = Image.open(io.BytesIO(read(digest)))
    image.load()
    return image


def size(digest: str) -> tuple[int, int]:
    """Width and height of a kept picture in px, without reading its pixels. Raises as `open` does."""
    path = find(digest)
    try:
        with Image.open(path) as image:
            return image.size
    except OSError:  # an SVG, or damaged: `open` says which
        return open(digest).size


def _check_size(sides: tuple[int, int], name: str, smallest: int) -> None:
    width, height = sides
    if min(sides) < smallest:
        raise ImageError(f"{name} is {width}x{height} px; its sides need {smallest} px, so use a larger one")
    if width * height > MAX_PIXELS:
        most = MAX_PIXELS // 10**6
        raise ImageError(
            f"{name} is {width}x{height} px; at most {most} megapixels are read, so make it smaller"
        )


def _encode(image: Image.Image) -> bytes:
    """A PNG with nothing in it but pixels, the same for the same pixels."""
    bare = Image.frombytes(image.mode, image.size, image.tobytes())
    buffer = io.BytesIO()
    bare.save(buffer, format="PNG", compress_level=_COMPRESSION)
    return buffer.getvalue()


def _store(data: bytes, suffix: str) -> str:
    digest = hashlib.sha256(data).hexdigest()
    path = folder() / f"{digest}.{suffix}"
    with storage_errors(path, "read"):
        whole = path.is_file() and path.read_bytes() == data  # what was damaged since is mended
    if not whole:
        write_atomically(path, data)
    return digest
