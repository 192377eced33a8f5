"""Signs the finished file, after everything else was written into it."""

import logging
from dataclasses import replace

from sdxl_lora.errors import ProvenanceError, StorageError
from sdxl_lora.finishing import origin
from sdxl_lora.finishing.chain import Piece, Stage, noted
from sdxl_lora.provenance import certificate, settings, signing, stamping
from sdxl_lora.records import Store

log = logging.getLogger(__name__)


class Sign:
    """Puts a C2PA manifest into the file, as the operator of the studio decided (`provenance.settings`)."""

    stage = Stage.SIGN

    def __init__(self, store: Store) -> None:
        self._store = store

    def check(self) -> None:
        """Before anything is drawn: raises `InputError` for settings that cannot be meant, `ProvenanceError` where a
        signature is required and there is nothing to sign with."""
        settings.watermarked()
        decided = settings.signing()
        if decided.mode == "required":
            try:
                certificate.identity(decided, self._store.home)
            except StorageError as error:
                raise ProvenanceError(f"nothing is drawn, because it could not be signed: {error}") from error

    def wanted(self, piece: Piece) -> bool:
        """Unless it is switched off."""
        return settings.signing().mode != "off"

    def __call__(self, piece: Piece) -> Piece:
        """The picture with its file signed; unsigned, and said to be, where that fails and is not required.

        Raises `ProvenanceError` where a signature is required.
        """
        assert piece.data is not None  # embedded before
        decided = settings.signing()
        try:
            signed, missing = stamping.signed(
                piece.data,
                signing.MIME["PNG"],
                decided,
                self._store.home,
                source_type=piece.source_type,
                watermarked=piece.watermarked,
                original=origin.original(piece.request, self._store.get),
                placed=origin.placed(piece.request, self._store.get),
            )
        except (ProvenanceError, StorageError) as error:
            if decided.mode == "required":
                raise ProvenanceError(f"not delivered, because it must be signed: {error}") from error
            log.warning("not signed: %s", error)
            return noted(piece, f"the picture is not signed: {error}")
        return noted(replace(piece, data=signed), missing)
