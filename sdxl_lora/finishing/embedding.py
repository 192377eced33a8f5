"""Writes the file: a PNG that carries its request, its score and the mark that a model made it."""

from dataclasses import replace
from datetime import UTC, datetime

from sdxl_lora.finishing.chain import Piece, Stage
from sdxl_lora.records import metadata


class Embed:
    """The picture becomes a file that says everything about itself."""

    stage = Stage.EMBED

    def wanted(self, piece: Piece) -> bool:
        """Always: a picture that does not say how it was made cannot be made again."""
        return True

    def __call__(self, piece: Piece) -> Piece:
        """The picture with its file's bytes."""
        now = datetime.now(UTC)
        data = metadata.embed(
            piece.image, piece.request, card=piece.card, seconds=piece.seconds, created_at=now
        )
        return replace(piece, data=data, created_at=now)
