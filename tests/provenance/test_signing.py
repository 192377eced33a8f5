"""Signed files: what others read in them, and that nothing else in them changes."""

import io
import socket
from pathlib import Path

import pytest
from PIL import Image

from sdxl_lora.errors import InputError, ProvenanceError, UnknownNameError
from sdxl_lora.provenance import certificate, settings, signing
from sdxl_lora.provenance.certificate import Identity
from sdxl_lora.records import metadata
from sdxl_lora.records.iptc import SourceType
from sdxl_lora.request import GenerationRequest
from tests.logos.marks import PEAK
from tests.provenance import shared

KINDS = ("PNG", "JPEG", "WEBP")


@pytest.fixture(scope="module")
def who(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return certificate.own(tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_signature_holds_and_says_what_the_picture_is(who: Identity, kind: str) -> None:
    data = shared.file_of(shared.picture(), kind)
    signed = signing.sign(data, signing.MIME[kind], who, source_type=SourceType.GENERATED, watermarked=True)
    state, manifest = shared.manifest_of(signed, kind, who.root)
    assert state == "Trusted"
    assert shared.manifest_of(signed, kind)[0] == "Valid"  # for those who do not know this studio
    created, watermarked = shared.actions(manifest)
    assert created["action"] == "c2pa.created"
    assert created["digitalSourceType"] == SourceType.GENERATED
    assert created["softwareAgent"]["name"] == "sdxl_lora"
    assert watermarked["action"] == "c2pa.watermarked.unbound"
    assert manifest["signature_info"]["issuer"] == certificate.OWN_ORGANISATION
    assert len(signed) - len(data) < 5_000


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_stay_and_one_changed_byte_of_them_is_found_out(who: Identity, kind: str) -> None:
    data = shared.file_of(shared.picture(), kind)
    signed = signing.sign(data, signing.MIME[kind], who, source_type=SourceType.GENERATED)
    with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(signed)) as after:
        assert before.tobytes() == after.tobytes()
    assert data[-200:-100] in signed
    place = signed.index(data[-200:-100])
    changed = signed[:place] + bytes([signed[place] ^ 1]) + signed[place + 1 :]
    assert shared.manifest_of(changed, kind, who.root)[0] == "Invalid"


def test_a_signed_picture_still_tells_its_request_and_its_source(who: Identity) -> None:
    request = GenerationRequest(prompt="a navy cap, café 名", seed=3, width=64, height=64)
    data = metadata.embed(shared.picture(), request, seconds=1.5)
    signed = signing.sign(data, "image/png", who, source_type=SourceType.GENERATED)
    assert metadata.read(io.BytesIO(signed)) == metadata.read(io.BytesIO(data))
    with Image.open(io.BytesIO(signed)) as image:
        assert SourceType.GENERATED in image.info["XML:com.adobe.xmp"]


def test_the_prompt_is_not_in_the_manifest(who: Identity) -> None:
    data = shared.file_of(shared.picture(), "JPEG")
    request = GenerationRequest(prompt="secretproduct")
    assert b"secretproduct" in metadata.embed(shared.picture(), request)
    assert b"secretproduct" not in signing.sign(data, "image/jpeg", who, source_type=SourceType.GENERATED)


def test_an_edited_picture_names_its_original_whose_own_credentials_come_with_it(who: Identity) -> None:
    photo = signing.sign(
        shared.file_of(shared.picture(), "JPEG"), "image/jpeg", who, source_type=SourceType.GENERATED
    )
    edited = signing.sign(
        shared.file_of(shared.picture(seed=1), "PNG"),
        "image/png",
        who,
        source_type=SourceType.COMPOSITE,
        original=signing.Original(data=photo, mime="image/jpeg", title="photo"),
    )
    state, manifest = shared.manifest_of(edited, "PNG", who.root)
    assert state == "Trusted"
    assert [one["action"] for one in shared.actions(manifest)] == ["c2pa.opened", "c2pa.edited"]
    assert shared.actions(manifest)[1]["digitalSourceType"] == SourceType.COMPOSITE
    [ingredient] = manifest["ingredients"]
    assert (ingredient["relationship"], ingredient["title"]) == ("parentOf", "photo")
    assert ingredient["active_manifest"] == shared.manifest_of(photo, "JPEG")[1]["label"]


def test_what_is_no_picture_is_refused_in_one_line(who: Identity) -> None:
    for data in (b"", b"text", shared.file_of(shared.picture(), "PNG")[:40]):
        with pytest.raises(ProvenanceError, match="could not be signed") as caught:
            signing.sign(data, "image/png", who, source_type=SourceType.GENERATED)
        assert "\n" not in str(caught.value)


def test_a_time_stamp_authority_that_does_not_answer_is_an_error_of_one_line(who: Identity) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    data = shared.file_of(shared.picture(), "PNG")
    with pytest.raises(ProvenanceError, match="could not be signed"):
        signing.sign(
            data, "image/png", who, source_type=SourceType.GENERATED, timestamp=f"http://127.0.0.1:{port}/"
        )


@pytest.mark.parametrize(
    ("environment", "error"),
    [
        ({"SIGN": "requird"}, UnknownNameError),
        ({"SIGN_KEY": "key.pem"}, InputError),
        ({"SIGN_CERTIFICATE": "chain.pem"}, InputError),
        ({"SIGN_TIMESTAMP": "ftp://stamp"}, InputError),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(
    environment: dict[str, str], error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(f"SDXL_LORA_{name}", value)
    with pytest.raises(error):
        settings.signing()


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.signing() == settings.SigningSettings()
    for name, value in {
        "": " Required ",
        "_CERTIFICATE": "c",
        "_KEY": "k",
        "_TIMESTAMP": "https://t",
    }.items():
        monkeypatch.setenv(f"SDXL_LORA_SIGN{name}", value)
    assert settings.signing() == settings.SigningSettings(
        mode="required", certificate=Path("c"), key=Path("k"), timestamp="https://t"
    )


def test_what_was_put_onto_a_picture_is_named_with_its_credentials(who: Identity) -> None:
    product = signing.sign(
        shared.file_of(shared.picture(), "JPEG"), "image/jpeg", who, source_type=SourceType.ENHANCED
    )
    signed = signing.sign(
        shared.file_of(shared.picture(seed=1), "PNG"),
        "image/png",
        who,
        source_type=SourceType.COMPOSITE,
        placed=(
            signing.Original(data=product, mime="image/jpeg", title="the product"),
            signing.Original(data=PEAK, mime="image/svg+xml", title="the logo peak.svg"),
        ),
    )
    state, manifest = shared.manifest_of(signed, "PNG", who.root)
    assert state == "Trusted"
    assert [one["action"] for one in shared.actions(manifest)] == [
        "c2pa.created",
        "c2pa.placed",
        "c2pa.placed",
    ]
    first, second = manifest["ingredients"]
    assert [one["relationship"] for one in (first, second)] == ["componentOf", "componentOf"]
    assert [one["title"] for one in (first, second)] == ["the product", "the logo peak.svg"]
    assert first["active_manifest"] == shared.manifest_of(product, "JPEG")[1]["label"]
