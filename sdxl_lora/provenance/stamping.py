"""Signs as the operator decided, with the time stamp of an authority where one is set.

An authority that does not answer costs pictures their stamp and not their signature, unless a signature is required:
then nothing leaves without both. One that was silent is left alone for a while, since each picture would wait for it.
"""

import logging
import time
from pathlib import Path
from typing import Any, Final

from sdxl_lora.errors import ProvenanceError
from sdxl_lora.provenance import certificate, signing
from sdxl_lora.provenance.settings import SigningSettings

log = logging.getLogger(__name__)

LEFT_ALONE: Final = 60.0  # seconds; until c2pa gives up waiting takes 30
_silent_until: dict[str, float] = {}  # address of an authority -> by the monotonic clock


def signed(data: bytes, mime: str, decided: SigningSettings, home: Path, **facts: Any) -> tuple[bytes, str]:
    """The file with its manifest, and one line on what is missing of it; "" = nothing is.

    Args:
        home: the data folder, which has the studio's own certificate.
        facts: as `signing.sign` takes them.

    Raises `ProvenanceError`, also without the time stamp where a signature is required; `StorageError`.
    """
    who, authority = certificate.identity(decided, home), decided.timestamp
    if authority is None or decided.mode == "required":
        return signing.sign(data, mime, who, timestamp=authority, **facts), ""
    if time.monotonic() < _silent_until.get(authority, 0.0):
        return signing.sign(data, mime, who, **facts), _without(authority)
    try:
        stamped = signing.sign(data, mime, who, timestamp=authority, **facts)
    except ProvenanceError as error:
        bare = signing.sign(data, mime, who, **facts)  # or it was something else, and is raised
        _silent_until[authority] = time.monotonic() + LEFT_ALONE
        log.warning("%s gave no time stamp and is left alone for %g s: %s", authority, LEFT_ALONE, error)
        return bare, _without(authority)
    return stamped, ""


def _without(authority: str) -> str:
    return f"signed without a time stamp: {authority} gave none"
