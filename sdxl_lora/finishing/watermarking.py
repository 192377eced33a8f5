"""Lays the invisible mark into the pixels, after they were judged."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdxl_lora import inputs
from sdxl_lora.errors import InputError, StorageError
from sdxl_lora.finishing import origin
from sdxl_lora.finishing.chain import Piece, Stage
from sdxl_lora.provenance import settings, watermark
from sdxl_lora.records import Record
from sdxl_lora.records.iptc import SourceType

_FEWEST = watermark.SMALLEST**2  # px that a model drew; fewer do not hold a mark that would be found


class Watermark:
    """Every picture that a model drew on gets it once it is kept; sketches and previews never."""

    stage = Stage.WATERMARK

    def __init__(self, find: Callable[[str], Record]) -> None:
        self._find = find  # the pictures that others were made from, by their ids

    def wanted(self, piece: Piece) -> bool:
        """Unless it is switched off."""
        return settings.watermarked()

    def __call__(self, piece: Piece) -> Piece:
        """The picture with the mark; what was to stay of somebody's photo stays, bit for bit."""
        kind = origin.source_type(piece.request, self._find)
        if kind is SourceType.ENHANCED:  # nothing was drawn
            return piece
        changed = _changed(piece)
        if changed is not None and changed.sum() < _FEWEST:
            return piece
        return replace(piece, image=watermark.embed(piece.image, kind, changed=changed), watermarked=True)


def _changed(piece: Piece) -> NDArray[np.bool_] | None:
    """(height, width) of the pixels that may be changed; None = all."""
    anew = _masked(piece) if piece.request.mask else None
    if piece.untouched is None or piece.untouched.shape != (piece.image.height, piece.image.width):
        return anew
    return ~piece.untouched if anew is None else anew & ~piece.untouched


def _masked(piece: Piece) -> NDArray[np.bool_] | None:
    """Where the picture is another than its start picture; None where their sizes differ: it was enlarged since."""
    try:
        start = inputs.open(piece.request.start_picture)
    except (InputError, StorageError):
        return None  # it was there when the picture was drawn
    if start.size != piece.image.size:
        return None
    before, after = (np.asarray(image.convert("RGB")) for image in (_on_white(start), piece.image))
    different: NDArray[np.bool_] = (before != after).any(axis=-1)
    return different


def _on_white(image: Image.Image) -> Image.Image:
    """What is transparent in a start picture is drawn upon as white."""
    if image.mode != "RGBA":
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
