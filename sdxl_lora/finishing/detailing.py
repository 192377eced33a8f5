"""Lets the loaded model draw detail into an enlarged picture, before anything exact is put on it."""

import logging
from collections.abc import Callable
from dataclasses import replace

from PIL import Image

from sdxl_lora.errors import Cancelled, StudioError
from sdxl_lora.finishing.chain import Piece, Stage, noted

log = logging.getLogger(__name__)


class Detail:
    """After the picture was enlarged; `draw` gives the picture of a piece with detail."""

    stage = Stage.DETAIL

    def __init__(self, draw: Callable[[Piece], Image.Image]) -> None:
        self._draw = draw

    def wanted(self, piece: Piece) -> bool:
        """Where the request says so, of a picture that was enlarged."""
        return piece.request.detail > 0 and piece.request.upscale > 1

    def __call__(self, piece: Piece) -> Piece:
        """The picture with detail; as it was where that cannot be done, with the reason."""
        try:
            return replace(piece, image=self._draw(piece))
        except Cancelled:
            raise
        except StudioError as error:
            log.info("no detail: %s", error)
            plain = replace(piece, request=replace(piece.request, detail=0.0))
            return noted(plain, f"no detail was drawn: {error}")
