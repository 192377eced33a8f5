"""Lets the loaded model draw over logos that are embroidered, a little, so that thread and cloth become one."""

from sdxl_lora.finishing.chain import Piece, Stage
from sdxl_lora.finishing.redrawing import Draw, redrawn


class Embroider:
    """After logos were put on; `draw` gives the picture of a piece with its embroidered ones drawn over."""

    stage = Stage.COMPOSITE

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def wanted(self, piece: Piece) -> bool:
        """Where a logo was put on as embroidery."""
        return piece.sewn is not None

    def __call__(self, piece: Piece) -> Piece:
        """The picture with them drawn over; with the threads alone where that cannot be done, and the reason."""
        return redrawn(
            piece, self._draw, without=piece, missing="the embroidery was not drawn over by the model"
        )
