"""Signs an exported file again: what was mended is another file, and the signature of its original does not fit it.

The original's manifest comes with it as an ingredient, so that the whole way of the picture can be read.
"""

import logging
from dataclasses import replace
from pathlib import Path

from sdxl_lora.errors import ProvenanceError, StorageError
from sdxl_lora.export.mending import Mended
from sdxl_lora.export.picture import Picture
from sdxl_lora.provenance import settings, signing, stamping
from sdxl_lora.provenance.signing import Original
from sdxl_lora.records.iptc import SourceType

log = logging.getLogger(__name__)

_KINDS = {"model": SourceType.GENERATED, "edited": SourceType.COMPOSITE, "finished": SourceType.ENHANCED}


def sealed(mended: Mended, original: Picture, home: Path) -> Mended:
    """The mended file with its own manifest, as the operator decided (`provenance.settings`).

    One that nothing was done to keeps its bytes, and with them the manifest it has. Photos of which nothing says that
    this studio had a hand in them are not ours to sign, and C2PA knows no AVIF here.
    Raises `ProvenanceError` where a signature is required and cannot be made.
    """
    picture = mended.picture
    kind, mime = _KINDS.get(original.origin), signing.MIME.get(picture.format)
    decided = settings.signing()
    if picture.data == original.data or kind is None or decided.mode == "off":
        return mended
    try:
        if mime is None:
            raise ProvenanceError(f"{picture.format} files are not signed")
        source = signing.MIME.get(original.format)
        data, missing = stamping.signed(
            picture.data,
            mime,
            decided,
            home,
            source_type=kind,
            original=Original(data=original.data, mime=source, title=original.name) if source else None,
        )
    except (ProvenanceError, StorageError) as error:
        if decided.mode == "required":
            raise ProvenanceError(f"not exported, because it must be signed: {error}") from error
        log.warning("%s is not signed: %s", picture.name, error)
        return replace(mended, done=(*mended.done, f"not signed: {error}"))
    done = (*mended.done, missing) if missing else mended.done
    return replace(mended, picture=replace(picture, data=data), done=done)
