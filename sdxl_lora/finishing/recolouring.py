"""Gives the garment the colour that the request asks for: an edit, which the picture's request says."""

import logging
from dataclasses import replace

from PIL import Image

from sdxl_lora.editing import colour
from sdxl_lora.editing.cutout import cut_out
from sdxl_lora.editing.recolour import recolour
from sdxl_lora.errors import StudioError
from sdxl_lora.finishing.chain import Piece, Stage, noted

log = logging.getLogger(__name__)


class Recolour:
    """Folds, prints and the background stay; before a logo is put on, which has its own colours."""

    stage = Stage.RECOLOUR

    def wanted(self, piece: Piece) -> bool:
        """Where the request names a colour for what was drawn, and not for a product that comes in front of it."""
        return bool(piece.request.recolour and not piece.request.product)

    def __call__(self, piece: Piece) -> Piece:
        """The picture with its garment in that colour; as it was where that cannot be done, with the reason."""
        try:
            found = cut_out(piece.image)
            dyed = recolour(found.image, colour.parse(piece.request.recolour))
        except StudioError as error:
            log.info("not recoloured: %s", error)
            as_it_was = replace(piece, request=replace(piece.request, recolour=""))
            return noted(as_it_was, f"not recoloured: {error}")
        if piece.image.mode == "RGBA":
            return noted(replace(piece, image=dyed), found.doubt)
        whole = Image.alpha_composite(piece.image.convert("RGBA"), dyed).convert("RGB")
        return noted(replace(piece, image=whole), found.doubt)
