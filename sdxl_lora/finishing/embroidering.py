"""Lets the loaded model draw over logos that are embroidered, a little, so that thread and cloth become one."""

import logging
from collections.abc import Callable
from dataclasses import replace

from PIL import Image

from sdxl_lora.errors import Cancelled, StudioError
from sdxl_lora.finishing.chain import Piece, Stage, noted

log = logging.getLogger(__name__)


class Embroider:
    """After logos were put on; `draw` gives the picture of a piece with its embroidered ones drawn over."""

    stage = Stage.COMPOSITE

    def __init__(self, draw: Callable[[Piece], Image.Image]) -> None:
        self._draw = draw

    def wanted(self, piece: Piece) -> bool:
        """Where a logo was put on as embroidery."""
        return piece.sewn is not None

    def __call__(self, piece: Piece) -> Piece:
        """The picture with them drawn over; with the threads alone where that cannot be done, and the reason."""
        try:
            return replace(piece, image=self._draw(piece))
        except Cancelled:
            raise
        except StudioError as error:
            log.info("embroidery not drawn over: %s", error)
            return noted(piece, f"the embroidery was not drawn over by the model: {error}")
