"""What is said of a file: signed here, by a stranger, tampered with, marked only, or silent."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from sdxl_lora import cli
from sdxl_lora.errors import ImageError, ProvenanceError
from sdxl_lora.provenance import certificate, signing, watermark
from sdxl_lora.provenance.verifying import Verdict, verify
from sdxl_lora.records import metadata
from sdxl_lora.records.iptc import SourceType
from sdxl_lora.request import GenerationRequest
from tests.provenance import shared


def finished(home: Path, kind: SourceType = SourceType.GENERATED) -> bytes:
    """A picture as the studio at `home` delivers it."""
    image = watermark.embed(shared.photo(), kind)
    data = metadata.embed(image, GenerationRequest(prompt="a cap", seed=1), source_type=kind)
    return signing.sign(data, "image/png", certificate.own(home), source_type=kind, watermarked=True)


def saved_again(data: bytes, kind: str = "JPEG") -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return shared.file_of(image.convert("RGB"), kind)


def test_a_picture_of_this_studio_is_known_with_everything_it_says(home: Path) -> None:
    verdict = verify(finished(home), "a.png", home)
    assert (verdict.signature.state, verdict.label, verdict.mark, verdict.request) == (
        "own", "trainedAlgorithmicMedia", "trainedAlgorithmicMedia", True,
    )  # fmt: skip
    assert verdict.lines[0] == "Signed by this studio and unchanged since: a model drew it."
    assert "proves no name" in verdict.lines[1]


def test_one_of_another_studio_holds_but_nobody_vouches_for_its_signer(home: Path, tmp_path: Path) -> None:
    verdict = verify(finished(tmp_path / "other"), "a.png", home)
    assert verdict.signature.state == "unknown signer"
    assert "nobody vouches" in verdict.lines[0]
    assert certificate.OWN_ORGANISATION in verdict.signature.signer


def test_signers_that_the_operator_trusts_are_trusted(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = finished(tmp_path / "other")
    anchors = tmp_path / "anchors.pem"
    anchors.write_bytes(certificate.own(tmp_path / "other").root)
    monkeypatch.setenv("SDXL_LORA_TRUST", str(anchors))
    assert verify(data, "a.png", home).signature.state == "trusted"
    monkeypatch.setenv("SDXL_LORA_TRUST", str(tmp_path / "missing"))
    with pytest.raises(ProvenanceError, match="SDXL_LORA_TRUST"):
        verify(data, "a.png", home)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_changed_file_is_found_out(home: Path, kind: str) -> None:
    data = shared.file_of(shared.photo(), kind, quality=90)
    who = certificate.own(home)
    signed = signing.sign(data, signing.MIME[kind], who, source_type=SourceType.GENERATED)
    assert verify(signed, "a", home).signature.state == "own"
    said = signed.replace(b"trainedAlgorithmicMedia", b"digitalCaptureXXXXXXXXX")
    assert said != signed
    for changed in (said, signed + b"more", signed[:-3] + bytes(3)):
        if readable(changed):
            verdict = verify(changed, "a", home)
            assert verdict.signature.state == "broken"
            assert "changed after it was signed" in verdict.lines[0]


def readable(data: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except (OSError, SyntaxError):
        return False
    return True


def test_a_picture_that_was_saved_again_is_still_known_by_its_mark(home: Path) -> None:
    verdict = verify(saved_again(finished(home)), "a.jpg", home)
    assert (verdict.signature.state, verdict.mark) == ("none", "trainedAlgorithmicMedia")
    assert verdict.lines[0].startswith("Its signature is gone, but its pixels carry the mark")
    edited = verify(saved_again(finished(home, SourceType.COMPOSITE)), "a.jpg", home)
    assert "a photo that a model changed" in edited.lines[0]


def test_a_label_alone_is_said_to_be_worth_little(home: Path) -> None:
    data = metadata.embed(shared.photo(), GenerationRequest(prompt="a cap"))
    verdict = verify(data, "a.png", home)
    assert verdict.lines[0].startswith("Not signed. Its label says: a model drew it; anybody could")


def test_a_silent_file_is_not_called_a_photo(home: Path) -> None:
    verdict = verify(shared.file_of(shared.photo(), "JPEG"), "a.jpg", home)
    assert (verdict.label, verdict.mark, verdict.request) == ("", "", False)
    assert verdict.lines[0] == (
        "Nothing in this file tells where it comes from. That does not mean that it is a photo."
    )
    assert not home.exists()  # looking makes nothing


def test_other_formats_are_looked_at_too(home: Path) -> None:
    for kind in ("GIF", "BMP", "TIFF", "AVIF"):
        assert verify(shared.file_of(shared.photo(), kind), "a", home).signature.state == "none"


def test_what_is_no_picture_is_refused_by_its_name(home: Path) -> None:
    with pytest.raises(ImageError, match=r"notes\.png"):
        verify(b"no picture", "notes.png", home)


def test_the_verb_prints_lines_and_one_json_object(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(finished(home))
    assert cli.main(["verify", str(path)]) == 0
    assert capsys.readouterr().out.startswith(f"{path}  Signed by this studio and unchanged since")
    assert cli.main(["verify", str(path), "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out)["images"]
    assert found["signature"]["state"] == "own"
    assert set(found) == {"path", *Verdict.__dataclass_fields__}
    assert cli.main(["verify", str(tmp_path / "missing.png")]) == 2
    assert "missing.png cannot be opened" in capsys.readouterr().err
