"""Recorded pictures and previews as files and as base64."""

import base64
import io
import logging
from pathlib import Path
from typing import Final

from PIL import Image

from sdxl_lora.errors import NotFoundError, ProvenanceError, StorageError
from sdxl_lora.provenance import settings, signing, stamping
from sdxl_lora.records import Record, Store, carriers, metadata
from sdxl_lora.records.iptc import SourceType

log = logging.getLogger(__name__)

MEDIA_TYPES: Final = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
_QUALITY = 92  # percent, where none is wanted


def data(store: Store, record: Record, kind: str, quality: int | None = None) -> bytes:
    """The picture's file: the PNG as it was kept, or made into another kind that says the same and is signed, too.

    Raises `NotFoundError` where it was deleted, `StorageError`, `ProvenanceError`.
    """
    try:
        kept = record.path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"the picture {record.id} was deleted") from error
    except OSError as error:
        raise StorageError(f"cannot read {record.path.name}: {error.strerror}") from error
    if kind == "png":
        return kept
    with Image.open(io.BytesIO(kept)) as image:
        image.load()
        texts = carriers.texts_of(image)
        if not carriers.fits(texts):
            texts[carriers.FACTS] = metadata.without_scores(texts[carriers.FACTS])
        percent = max(1, _QUALITY if quality is None else quality)
        copy = carriers.encode(image, texts, format=kind.upper(), quality=percent)
    return _signed(copy, MEDIA_TYPES[kind], kept, texts.get(carriers.XMP, ""), store.home)


def _signed(copy: bytes, mime: str, kept: bytes, xmp: str, home: Path) -> bytes:
    """A copy in another form with credentials of its own, made from the PNG that was kept; unsigned where that fails
    and is not required. Raises `ProvenanceError`."""
    decided = settings.signing()
    if decided.mode == "off":
        return copy
    edited = SourceType.COMPOSITE.value in xmp
    try:
        data, _ = stamping.signed(
            copy,
            mime,
            decided,
            home,
            source_type=SourceType.COMPOSITE if edited else SourceType.GENERATED,
            original=signing.Original(data=kept, mime=MEDIA_TYPES["png"]),
        )
    except (ProvenanceError, StorageError) as error:
        if decided.mode == "required":
            raise ProvenanceError(f"not delivered, because it must be signed: {error}") from error
        log.warning("not signed: %s", error)
        return copy
    return data


def encoded(image: Image.Image, kind: str, quality: int = 70) -> bytes:
    """A look at an unfinished picture as a file; it says nothing about itself."""
    buffer = io.BytesIO()
    if kind == "png":
        image.save(buffer, "PNG", compress_level=1)
    else:
        image.convert("RGB").save(buffer, kind.upper(), quality=quality)
    return buffer.getvalue()


def look(preview: Image.Image, size: tuple[int, int], kind: str) -> str:
    """A preview, base64, as large as the picture will be."""
    return text(encoded(preview.convert("RGB").resize(size, Image.Resampling.BICUBIC), kind))


def text(file: bytes) -> str:
    """Base64."""
    return base64.b64encode(file).decode("ascii")


def own(store: Store, identifier: str, user: str) -> Record:
    """The picture, if `user` asked for it. Raises `NotFoundError`, which tells nothing about others' pictures."""
    record = store.get(identifier)
    if record.session != user:
        raise NotFoundError(f"there is no picture {identifier[:80]!r} of this token")
    return record
