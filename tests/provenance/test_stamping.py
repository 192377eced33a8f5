"""Time stamps of a real authority (RFC 3161): what a file with one says, and what happens while it does not answer."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sdxl_lora.errors import ProvenanceError
from sdxl_lora.finishing.chain import Chain, Piece
from sdxl_lora.finishing.embedding import Embed
from sdxl_lora.finishing.signing import Sign
from sdxl_lora.finishing.storing import Keep
from sdxl_lora.provenance import stamping
from sdxl_lora.provenance.settings import SigningSettings
from sdxl_lora.provenance.verifying import verify
from sdxl_lora.records import Store
from sdxl_lora.records.iptc import SourceType
from sdxl_lora.request import GenerationRequest
from sdxl_lora.scoring.card import ScoreCard
from tests.provenance import shared
from tests.provenance.authority import Authority, running


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with running(tmp_path_factory.mktemp("authority")) as authority:
        yield authority


@pytest.fixture
def authority(one: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """One that answers, was asked nothing yet, and is the one of the settings."""
    monkeypatch.setattr(stamping, "_silent_until", {})
    monkeypatch.setenv("SDXL_LORA_SIGN_TIMESTAMP", one.address)
    one.answers = True
    one.asked.clear()
    return one


def kept(home: Path) -> tuple[bytes, str | None]:
    """The file of a picture that went through the chain, and what was noted of it."""
    request = GenerationRequest(prompt="a cap", seed=3, width=64, height=64)
    piece = Piece(image=shared.picture(), request=request, card=ScoreCard())
    with Store(home) as store:
        done = Chain([Embed(store.get), Sign(store), Keep(store)])(piece)
        assert done.record is not None
        return done.record.path.read_bytes(), done.notice


def test_a_stamped_picture_says_when_it_was_signed_and_the_authority_saw_a_hash_only(
    authority: Authority, home: Path
) -> None:
    data, notice = kept(home)
    found = verify(data, "cap.png", home)
    assert notice is None
    assert found.signature.state == "own"
    assert abs(datetime.fromisoformat(found.signature.signed_at) - datetime.now(UTC)) < timedelta(minutes=1)
    assert f"time-stamped {found.signature.signed_at}" in found.lines[1]
    [question] = authority.asked
    assert len(question) < 100 + hashlib.sha512().digest_size


def test_while_the_authority_is_silent_pictures_are_signed_without_a_stamp_and_say_so(
    authority: Authority, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.answers = False
    for _ in range(2):
        data, notice = kept(home)
        found = verify(data, "cap.png", home)
        assert (found.signature.state, found.signature.signed_at) == ("own", "")
        assert "without a time stamp" in found.lines[1]
        assert notice == f"signed without a time stamp: {authority.address} gave none"
    authority.answers = True
    assert kept(home)[1] is not None  # it is left alone for a while
    assert not authority.asked
    monkeypatch.setattr(stamping, "_silent_until", {authority.address: 0.0})  # which is over now
    data, notice = kept(home)
    assert (notice, bool(verify(data, "cap.png", home).signature.signed_at)) == (None, True)


def test_where_a_signature_is_required_nothing_is_kept_without_its_stamp(
    authority: Authority, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDXL_LORA_SIGN", "required")
    data, _ = kept(home)
    assert verify(data, "cap.png", home).signature.signed_at
    authority.answers = False
    with pytest.raises(ProvenanceError, match="not delivered, because it must be signed"):
        kept(home)
    with Store(home) as store:
        assert store.count() == 1


def test_what_is_wrong_with_the_picture_itself_is_not_put_down_to_the_authority(
    authority: Authority, home: Path
) -> None:
    decided = SigningSettings(timestamp=authority.address)
    with pytest.raises(ProvenanceError, match="could not be signed"):
        stamping.signed(b"no picture", "image/png", decided, home, source_type=SourceType.GENERATED)
    assert kept(home)[1] is None


def test_a_stamp_that_was_changed_counts_no_more(authority: Authority, home: Path) -> None:
    decided = SigningSettings(timestamp=authority.address)
    photo = shared.file_of(shared.picture(), "JPEG")
    data, _ = stamping.signed(photo, "image/jpeg", decided, home, source_type=SourceType.GENERATED)
    when = verify(data, "cap.jpg", home).signature.signed_at
    moment = datetime.fromisoformat(when).strftime("%Y%m%d%H%M%SZ").encode()
    assert data.count(moment) == 1
    found = verify(data.replace(moment, b"2001" + moment[4:]), "cap.jpg", home).signature
    assert not found.signed_at or found.state == "broken"
