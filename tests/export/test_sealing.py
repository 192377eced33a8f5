"""A mended file is signed again, with the credentials of the one it was made from; an untouched one keeps its own."""

import io
import json
from pathlib import Path
from typing import Any

import c2pa
import pytest

from sdxl_lora import export
from sdxl_lora.errors import ProvenanceError
from sdxl_lora.provenance import certificate, signing
from sdxl_lora.provenance.settings import SigningSettings
from sdxl_lora.records.iptc import SourceType
from tests.export.drawing import encoded, garment, made_by_a_model


def manifests(picture: export.Picture) -> dict[str, Any]:
    mime = signing.MIME[picture.format]
    with c2pa.Reader(mime, io.BytesIO(picture.data)) as reader:
        read: dict[str, Any] = json.loads(reader.json())
    return read


def signed(home: Path) -> export.Picture:
    """A picture as the studio keeps it."""
    identity = certificate.identity(SigningSettings(), home)
    data = signing.sign(made_by_a_model(), "image/png", identity, source_type=SourceType.GENERATED)
    return export.read(data, "a.png")


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "PNG"])
def test_a_mended_copy_says_what_it_was_made_from_and_nothing_has_changed_it_since(
    home: Path, format: str
) -> None:
    picture = signed(home)
    mended = export.mend(picture, export.preset("plain"), format=format, quality=80)
    found = manifests(export.sealed(mended, picture, home).picture)
    states = [one["code"] for one in found.get("validation_status", [])]
    assert states == ["signingCredential.untrusted"]  # self-made, and nothing else is wrong
    active = found["manifests"][found["active_manifest"]]
    [ingredient] = active["ingredients"]
    assert (ingredient["relationship"], ingredient["active_manifest"] in found["manifests"]) == (
        "parentOf",
        True,
    )


def test_what_nothing_was_done_to_keeps_its_bytes_and_its_signature(home: Path) -> None:
    picture = signed(home)
    mended = export.sealed(export.mend(picture, export.preset("plain")), picture, home)
    assert mended.picture.data == picture.data


def test_a_photo_of_somebody_is_not_signed_by_us(home: Path) -> None:
    picture = export.read(encoded(garment((400, 400)), "PNG"), "photo.png")
    mended = export.mend(picture, export.preset("plain"), format="JPEG")
    assert export.sealed(mended, picture, home) is mended
    assert not (home / "provenance").exists()


def test_where_a_signature_is_required_nothing_leaves_without(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = signed(home)
    avif = export.mend(picture, export.preset("plain"), format="AVIF")
    assert "not signed" in export.sealed(avif, picture, home).done[-1]
    monkeypatch.setenv("SDXL_LORA_SIGN", "required")
    with pytest.raises(ProvenanceError, match="not exported"):
        export.sealed(avif, picture, home)
    monkeypatch.setenv("SDXL_LORA_SIGN", "off")
    assert export.sealed(avif, picture, home) is avif
