"""Puts the logos of a request onto its picture; one that cannot be placed is left out, and the piece says why."""

import logging
from dataclasses import replace

from sdxl_lora.errors import StudioError
from sdxl_lora.finishing.chain import Piece, Stage, noted
from sdxl_lora.logos import asked

log = logging.getLogger(__name__)


class Composite:
    """Exact logos, after everything that a network drew."""

    stage = Stage.COMPOSITE

    def wanted(self, piece: Piece) -> bool:
        """Where the request places a logo."""
        return any(logo.placed for logo in piece.request.logos)

    def __call__(self, piece: Piece) -> Piece:
        """The picture with its logos, all or none."""
        try:
            sewn = asked.embroidered_on(piece.image.convert("RGB"), piece.request.logos)
            finished = asked.put_on(piece.image, piece.request.logos)
            done = replace(piece, image=finished, bare=piece.image, sewn=sewn)
            return noted(
                done, "; ".join(asked.doubts_on(piece.image, piece.request.logos, piece.request.prompt))
            )
        except StudioError as error:
            log.warning("no logo: %s", error)
            return noted(piece, f"the picture is without its logo: {error}")
