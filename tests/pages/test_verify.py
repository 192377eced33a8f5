"""The page Verify: what it says of a dropped file."""

from collections.abc import Callable
from pathlib import Path

from streamlit.testing.v1 import AppTest

from sdxl_lora.provenance import certificate, signing
from sdxl_lora.records.iptc import SourceType
from tests.provenance import shared


def test_a_dropped_picture_is_judged_in_plain_words(home: Path, open_app: Callable[..., AppTest]) -> None:
    at = open_app("pages/verify.py")
    data = shared.file_of(shared.photo(), "PNG")
    signed = signing.sign(data, "image/png", certificate.own(home), source_type=SourceType.GENERATED)
    at.file_uploader[0].upload("a.png", signed, "image/png").run()
    assert [one.value for one in at.info] == ["Signed by this studio and unchanged since: a model drew it."]
    at.file_uploader[0].upload("b.png", signed + b"more", "image/png").run()
    assert "changed after it was signed" in at.error[0].value
    at.file_uploader[0].upload("c.png", b"no picture", "image/png").run()
    assert len(at.error) == 1
    assert not at.exception
