"""Lets the loaded model draw detail into an enlarged picture, before anything exact is put on it."""

from dataclasses import replace

from sdxl_lora.finishing.chain import Piece, Stage
from sdxl_lora.finishing.redrawing import Draw, redrawn


class Detail:
    """After the picture was enlarged; `draw` gives the picture of a piece with detail."""

    stage = Stage.DETAIL

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def wanted(self, piece: Piece) -> bool:
        """Where the request says so, of a picture that was enlarged."""
        return piece.request.detail > 0 and piece.request.upscale > 1

    def __call__(self, piece: Piece) -> Piece:
        """The picture with detail; as it was where that cannot be done, with the reason."""
        plain = replace(piece, request=replace(piece.request, detail=0.0))
        return redrawn(piece, self._draw, without=plain, missing="no detail was drawn")
