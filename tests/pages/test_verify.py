"""The page Verify: what it says of a dropped file, and of a logo on it."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image
from streamlit.testing.v1 import AppTest

from sdxl_lora.brands import kits
from sdxl_lora.brands.kit import BrandKit, KitLogo
from sdxl_lora.logos import compositing, geometry, matching
from sdxl_lora.logos.raster import Logo
from sdxl_lora.provenance import certificate, signing
from sdxl_lora.records import Record
from sdxl_lora.records.iptc import SourceType
from sdxl_lora.ui import logo_checking
from tests.logos.marks import PEAK
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


def test_a_picture_is_checked_against_a_logo_of_a_brand_or_of_a_file(
    open_app: Callable[..., AppTest],
) -> None:
    kits.save(BrandKit(name="Peak", logos=(KitLogo(file="peak.svg"),)), {"peak.svg": PEAK})
    cloth = np.full((256, 256, 3), (60, 110, 190), np.uint8)
    logo = Logo.read(PEAK, "peak.svg")
    printed = compositing.composite(cloth, logo, geometry.rectangle((128, 120), 110, 110 / logo.aspect))
    at = open_app("pages/verify.py")
    at.file_uploader[0].upload("a.png", shared.file_of(Image.fromarray(printed), "PNG"), "image/png").run()
    at.selectbox("verify.logo").set_value("Peak: peak.svg").run()
    assert at.success[0].value.startswith("**Match**")
    at.file_uploader[0].upload("b.png", shared.file_of(Image.fromarray(cloth), "PNG"), "image/png").run()
    assert at.warning[0].value.startswith("**Not found**")
    at.selectbox("verify.logo").set_value("A file of mine").run()
    at.file_uploader[1].upload("c.svg", b"<svg><script/></svg>", "image/svg+xml").run()
    assert len(at.error) == 1
    assert not at.exception


def test_every_verdict_on_a_logo_has_its_words() -> None:
    assert set(logo_checking._SHOWN) == set(get_args(matching.Verdict))


def test_a_picture_of_the_studio_is_verified_without_being_saved_first(
    open_app: Callable[..., AppTest], make: Callable[..., list[Record]]
) -> None:
    [record] = make("a red cap")
    at = open_app("pages/verify.py")
    at.session_state["verify.record"] = record.id
    at.run()
    assert "Signed by this studio" in at.info[0].value
