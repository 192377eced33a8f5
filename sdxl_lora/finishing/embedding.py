"""Writes the file: a PNG that carries its request, its score and the mark of what it is."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from sdxl_lora.finishing import origin
from sdxl_lora.finishing.chain import Piece, Stage
from sdxl_lora.records import Record, metadata


class Embed:
    """The picture becomes a file that says everything about itself."""

    stage = Stage.EMBED

    def __init__(self, find: Callable[[str], Record]) -> None:
        self._find = find  # the pictures that others were made from, by their ids

    def wanted(self, piece: Piece) -> bool:
        """Always: a picture that does not say how it was made cannot be made again."""
        return True

    def __call__(self, piece: Piece) -> Piece:
        """The picture with its file's bytes."""
        now = datetime.now(UTC)
        kind = origin.source_type(piece.request, self._find)
        data = metadata.embed(
            piece.image,
            piece.request,
            card=piece.card,
            seconds=piece.seconds,
            created_at=now,
            source_type=kind,
        )
        return replace(piece, data=data, created_at=now, source_type=kind)
