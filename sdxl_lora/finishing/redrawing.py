"""A step that has the loaded model draw: where it cannot, the picture goes on without, and says so."""

import logging
from collections.abc import Callable
from dataclasses import replace

from PIL import Image

from sdxl_lora.errors import Cancelled, StudioError
from sdxl_lora.finishing.chain import Piece, noted

log = logging.getLogger(__name__)

Draw = Callable[[Piece], Image.Image]


def redrawn(piece: Piece, draw: Draw, *, without: Piece, missing: str) -> Piece:
    """The piece with what `draw` makes of it, or `without` and the reason. Raises `Cancelled`.

    Args:
        missing: what to say that was not done, one line.
    """
    try:
        return replace(piece, image=draw(piece))
    except Cancelled:
        raise
    except StudioError as error:
        log.info("%s: %s", missing, error)
        return noted(without, f"{missing}: {error}")
