"""Keeps the file and its record; the last step."""

from dataclasses import replace

from sdxl_lora.finishing.chain import Piece, Stage
from sdxl_lora.records import Store


class Keep:
    """Puts the picture into the store, byte for byte as the steps before have written it."""

    stage = Stage.STORE

    def __init__(self, store: Store) -> None:
        self._store = store

    def wanted(self, piece: Piece) -> bool:
        """Always."""
        return True

    def __call__(self, piece: Piece) -> Piece:
        """The picture with its record. Raises `StorageError`, `LeaseLostError`."""
        assert piece.data is not None  # embedded before
        assert piece.created_at is not None
        record = self._store.add_file(
            piece.data,
            size=piece.image.size,
            request=piece.request,
            card=piece.card,
            seconds=piece.seconds,
            session=piece.session,
            created_at=piece.created_at,
            place=piece.place,
        )
        return replace(piece, record=record)
