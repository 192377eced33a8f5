"""What a picture is to the press: drawn by a model, a photo that a model changed, or a photo that was only finished.

A picture of this studio may have been made from another, and that from a photo: the way back decides. The file that it
was made from goes into its signature, and so does what was put onto it: a product, a background, logos.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from sdxl_lora import inputs
from sdxl_lora.errors import InputError, StorageError, StudioError
from sdxl_lora.provenance.signing import Original
from sdxl_lora.records import Record
from sdxl_lora.records.iptc import SourceType
from sdxl_lora.request import GenerationRequest

log = logging.getLogger(__name__)

_MIMES = {".png": "image/png", ".svg": "image/svg+xml"}
_FARTHEST = 1_000  # steps back; records that name each other in a circle end here


def source_type(request: GenerationRequest, find: Callable[[str], Record]) -> SourceType:
    """The IPTC digital source type of a request's picture.

    `find` gives the record of an id, or raises `StudioError`; what was deleted counts as a photo that a model changed.
    """
    drawn = photo = False
    for _ in range(_FARTHEST):
        photo = photo or bool(request.product)
        drawn = drawn or request.is_drawn
        if not request.start_picture:
            break
        if not request.made_from:
            photo = True
            break
        try:
            request = find(request.made_from).request
        except StudioError:
            drawn = photo = True
            break
    if not photo:
        return SourceType.GENERATED
    return SourceType.COMPOSITE if drawn else SourceType.ENHANCED


def original(request: GenerationRequest, find: Callable[[str], Record]) -> Original | None:
    """The file that a picture was made from, with its own credentials; None: from nothing, or it is gone."""
    if not request.start_picture:
        return None
    return _made_from(request, find) or _input(request.start_picture, "the start picture")


def placed(request: GenerationRequest, find: Callable[[str], Record]) -> tuple[Original, ...]:
    """What was put onto a picture, in its order; what is gone is left out."""
    found: list[Original | None] = []
    if request.product:
        found.append(_product(request, find))
    if inputs.HASH.fullmatch(request.background):
        found.append(_input(request.background, "the background"))
    logos = {spec.hash: spec for spec in request.logos if spec.placed}
    found += [_input(digest, f"the logo {spec.name}".strip()) for digest, spec in logos.items()]
    return tuple(one for one in found if one is not None)


def _product(request: GenerationRequest, find: Callable[[str], Record]) -> Original | None:
    """The picture that the product was cut out of, where that is one of the studio; else the cut-out."""
    cut_out_of = None if request.start_picture else _made_from(request, find)
    return cut_out_of or _input(request.product, "the product")


def _made_from(request: GenerationRequest, find: Callable[[str], Record]) -> Original | None:
    """The picture of this studio that it was made from; None: of none, or of one that was deleted."""
    if not request.made_from:
        return None
    try:
        record = find(request.made_from)
        return Original(data=_read(record.path), mime="image/png", title=f"picture {record.id}")
    except StudioError as error:
        log.info("the pixels of a picture that was deleted stand for it: %s", error)
        return None


def _input(digest: str, title: str) -> Original | None:
    """A kept input: the signed file that it was read from where it had credentials; None where it is gone."""
    try:
        if (signed := inputs.signed_original(digest)) is not None:
            return Original(data=signed[0], mime=signed[1], title=title)
        mime = _MIMES[inputs.find(digest).suffix]
        return Original(data=inputs.read(digest), mime=mime, title=title)
    except (InputError, StorageError) as error:
        log.warning("%s of a picture is not in its credentials: %s", title, error)
        return None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror or error}") from error
