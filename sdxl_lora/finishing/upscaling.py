"""Makes the picture as many times as large as its request asks for."""

import logging
from dataclasses import replace

from sdxl_lora.editing.upscale import upscale
from sdxl_lora.errors import StudioError
from sdxl_lora.finishing.chain import Piece, Stage, noted
from sdxl_lora.models.device import choose_device

log = logging.getLogger(__name__)


class Upscale:
    """Twice or four times as large, before it is judged: the picture people will look at."""

    stage = Stage.UPSCALE

    def wanted(self, piece: Piece) -> bool:
        """Where the request says so."""
        return piece.request.upscale > 1

    def __call__(self, piece: Piece) -> Piece:
        """The larger picture; where that cannot be made, the picture as it was drawn, with the reason."""
        try:
            larger = upscale(piece.image, piece.request.upscale, device=choose_device())
        except StudioError as error:
            log.info("not enlarged: %s", error)
            as_drawn = replace(piece.request, upscale=1)
            return noted(replace(piece, request=as_drawn), f"not enlarged: {error}")
        return replace(piece, image=larger)
