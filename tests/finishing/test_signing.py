"""Signing as a step: on by default, last before the store, and closed where it is required."""

from dataclasses import replace
from pathlib import Path

import pytest

from sdxl_lora.errors import InputError, ProvenanceError
from sdxl_lora.finishing.chain import Chain, Piece
from sdxl_lora.finishing.embedding import Embed
from sdxl_lora.finishing.signing import Sign
from sdxl_lora.finishing.storing import Keep
from sdxl_lora.jobs.studio import Studio
from sdxl_lora.provenance import certificate
from sdxl_lora.records import Store, metadata
from sdxl_lora.request import GenerationRequest
from sdxl_lora.scoring.card import ScoreCard
from tests.provenance import shared

PIECE = Piece(
    image=shared.picture(), request=GenerationRequest(prompt="a cap", seed=3, width=64, height=64),
    card=ScoreCard(),
)  # fmt: skip


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home)


def finish(store: Store, piece: Piece = PIECE) -> Piece:
    return Chain([Keep(store), Sign(store), Embed(store.get)])(piece)


def test_a_kept_picture_is_signed_by_this_studio_and_still_tells_its_request(store: Store) -> None:
    done = finish(store)
    assert done.record is not None
    who = certificate.own_if_there(store.home)
    assert who is not None
    state, _ = shared.manifest_of(done.record.path.read_bytes(), anchor=who.root)
    assert (state, done.notice) == ("Trusted", None)
    assert metadata.read_request(done.record.path) == PIECE.request


def test_a_picture_that_cannot_be_signed_is_kept_and_says_so_in_one_line(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDXL_LORA_SIGN_CERTIFICATE", "/nowhere/chain.pem")
    monkeypatch.setenv("SDXL_LORA_SIGN_KEY", "/nowhere/key.pem")
    done = finish(store, replace(PIECE, notice="brand not read"))
    assert done.record is not None
    assert b"caBX" not in done.record.path.read_bytes()
    assert done.notice is not None
    assert done.notice.startswith(
        "brand not read; the picture is not signed: /nowhere/chain.pem cannot be read"
    )


def test_where_a_signature_is_required_nothing_unsigned_is_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDXL_LORA_SIGN", "required")
    assert finish(store).record is not None
    monkeypatch.setenv("SDXL_LORA_SIGN_CERTIFICATE", "/nowhere/chain.pem")
    monkeypatch.setenv("SDXL_LORA_SIGN_KEY", "/nowhere/key.pem")
    with pytest.raises(ProvenanceError, match="must be signed"):
        finish(store)
    assert store.count() == 1
    assert len(list(store.home.glob("pictures/*/*.png"))) == 1


@pytest.mark.parametrize("setting", [("SIGN", "of"), ("SIGN_TIMESTAMP", "tsa"), ("SIGN_KEY", "/nowhere")])
def test_settings_that_cannot_be_used_are_said_before_anything_is_drawn(
    setting: tuple[str, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"SDXL_LORA_{setting[0]}", setting[1])
    with pytest.raises(InputError):
        next(Studio(home).run(PIECE.request))


def test_where_there_is_nothing_to_sign_with_and_it_is_required_nothing_is_drawn(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDXL_LORA_SIGN", "required")
    studio = Studio(home)
    (home / "provenance").write_text("a file where a folder should be")
    with pytest.raises(ProvenanceError, match="provenance"):
        next(studio.run(PIECE.request))


def test_it_can_be_switched_off(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDXL_LORA_SIGN", "off")
    done = finish(store)
    assert done.record is not None
    assert b"caBX" not in done.record.path.read_bytes()
    assert not certificate.own_path(store.home).exists()
