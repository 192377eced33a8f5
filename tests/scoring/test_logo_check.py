"""Logos with letters are read, every logo is looked at, and a request's logos are a hard gate of the loop."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdxl_lora.logos import asked, compositing, geometry, keeping
from sdxl_lora.logos.raster import Logo
from sdxl_lora.request import GenerationRequest, LogoSpec
from sdxl_lora.scoring import lettering, logo_check
from sdxl_lora.scoring.card import Gate, ScoreCard
from tests.logos.marks import PEAK

MARKS = Path(__file__).parents[2] / "benchmarks" / "marks"
needs_ocr = pytest.mark.skipif(not lettering.available(), reason=f"OCR is not installed: {lettering.INSTALL}")
CLOTH = Image.new("RGB", (320, 320), (60, 110, 190))
PLACE = geometry.rectangle((160, 150), 200, 200 / 9.2)


class Easy:
    """A judge that likes everything; it sees what it is given."""

    notices: tuple[str, ...] = ("heard",)

    def __init__(self) -> None:
        self.seen: list[Image.Image] = []

    def judge(
        self, images: Sequence[Image.Image], request: GenerationRequest, *, sketch: bool = False
    ) -> list[ScoreCard]:
        self.seen += images
        return [
            ScoreCard(score=0.3, scorer="easy", gates=(Gate(name="colour", passed=True, reason="fine"),))
        ] * len(images)


def asked_for(at: str) -> GenerationRequest:
    spec = LogoSpec.parse(at, hash=keeping.keep(PEAK, "peak.svg").hash, name="peak.svg")
    return GenerationRequest(prompt="a cap", logos=(spec,))


@needs_ocr
def test_a_wordmark_says_what_it_says_and_a_mark_nothing() -> None:
    assert logo_check.spelled(Logo.open(MARKS / "hallmond.svg")) == "HALLMOND"
    assert logo_check.spelled(Logo.open(MARKS / "swoop.svg")) == ""


@needs_ocr
def test_a_wordmark_with_other_letters_is_altered_however_like_it_looks() -> None:
    logo = Logo.open(MARKS / "hallmond.svg")
    printed = compositing.composite(
        np.asarray(CLOTH), logo, geometry.rectangle((160, 150), 240, 240 / logo.aspect)
    )
    corners = geometry.rectangle((160, 150), 240, 240 / logo.aspect)
    assert logo_check.check(Image.fromarray(printed), logo, near=corners).verdict == "match"
    quarter = printed.copy()
    quarter[130:170, 100:160], quarter[130:170, 160:220] = (
        printed[130:170, 160:220],
        printed[130:170, 100:160],
    )
    seen = logo_check.check(Image.fromarray(quarter), logo, near=corners)
    assert seen.verdict != "match"


@needs_ocr
def test_a_wordmark_that_is_certain_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever would be read could not change the verdict, and reading takes longest."""
    logo = Logo.open(MARKS / "riverline.svg")
    assert logo_check.spelled(logo) == "RIVERLINE"
    corners = geometry.rectangle((160, 150), 200, 200 / logo.aspect)
    printed = Image.fromarray(compositing.composite(np.asarray(CLOTH), logo, corners))
    monkeypatch.setattr(lettering, "read_words", lambda *_, **__: pytest.fail("it was read"))
    assert logo_check.check(printed, logo, near=corners).verdict == "match"


def test_without_ocr_the_shape_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "available", lambda: False)
    logo = Logo.open(MARKS / "riverline.svg")
    corners = geometry.rectangle((160, 150), 160, 160 / logo.aspect)
    printed = Image.fromarray(compositing.composite(np.asarray(CLOTH), logo, corners))
    assert logo_check.check(printed, logo, near=corners).verdict == "match"


def test_a_logo_that_is_too_small_to_be_judged_passes_and_fails_no_gate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lettering, "available", lambda: False)
    [card] = logo_check.LogoJudge(Easy()).judge([CLOTH], asked_for("0.5,0.5,0.07"))
    assert card.gates[1].passed is None
    assert card.gates[1].reason.endswith("px small; it is judged from 24 px on")
    assert not card.failed


@needs_ocr
def test_what_a_logo_reads_that_is_too_small_to_be_judged_is_said() -> None:
    logo = Logo.open(MARKS / "hallmond.svg")
    corners = geometry.rectangle((160, 150), 190, 190 / logo.aspect)
    printed = Image.fromarray(compositing.composite(np.asarray(CLOTH), logo, corners))
    seen = logo_check.check(printed, logo, near=corners)
    assert seen.verdict == "too small"
    assert seen.reason.endswith("it reads HALLMOND")


@pytest.mark.parametrize(("high", "verdict"), [(12.0, "too small"), (40.0, "altered")])
@pytest.mark.parametrize("text", ["HALLMOND", "HALLMC"])
def test_a_name_without_its_drawing_is_altered_unless_it_is_too_small_to_tell(
    text: str, high: float, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = ((20.0, 20.0), (180.0, 20.0), (180.0, 20.0 + high), (20.0, 20.0 + high))
    monkeypatch.setattr(logo_check, "spelled", lambda _: "HALLMOND")
    monkeypatch.setattr(lettering, "read_words", lambda *_, **__: [lettering.OcrLine(text, 0.9, box)])
    seen = logo_check.check(CLOTH, Logo.open(MARKS / "hallmond.svg"))
    assert seen.verdict == verdict


def test_a_frame_is_drawn_around_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "available", lambda: False)
    logo = Logo.read(PEAK, "peak.svg")
    corners = geometry.rectangle((160, 150), 120, 120 / logo.aspect)
    printed = Image.fromarray(compositing.composite(np.asarray(CLOTH), logo, corners))
    shown = logo_check.boxed(printed, [logo_check.check(printed, logo, near=corners)])
    changed = (np.asarray(shown) != np.asarray(printed)).any(axis=-1)
    assert changed.any()
    assert not changed[140:160, 140:180].any()


def test_the_loop_judges_the_picture_with_its_logo_and_looks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "available", lambda: False)
    judge = Easy()
    wrapped = logo_check.LogoJudge(judge)
    [card] = wrapped.judge([CLOTH], asked_for("0.5,0.5,0.4"))
    assert [gate.name for gate in card.gates] == ["colour", "logo"]
    assert card.gates[1].passed is True
    assert judge.seen[0].getpixel((150, 170)) != CLOTH.getpixel((150, 170))
    assert wrapped.notices == ("heard",)


def test_a_logo_that_cannot_be_placed_fails_the_gate_with_the_reason() -> None:
    [card] = logo_check.LogoJudge(Easy()).judge([CLOTH], asked_for("0.99,0.5,0.4"))
    assert card.failed[0].reason == "the logo sticks out of the picture; make it smaller, or move it in"


def test_a_logo_that_is_expected_and_is_not_there_fails_the_gate() -> None:
    [card] = logo_check.LogoJudge(Easy()).judge([CLOTH], asked_for("expected"))
    assert card.failed[0].name == "logo"
    assert "nothing like the logo" in card.failed[0].reason


def test_sketches_and_requests_without_logos_are_judged_as_ever() -> None:
    judge = Easy()
    wrapped = logo_check.LogoJudge(judge)
    for request, sketch in ((asked_for("0.5,0.5,0.4"), True), (GenerationRequest(prompt="a cap"), False)):
        [card] = wrapped.judge([CLOTH], request, sketch=sketch)
        assert [gate.name for gate in card.gates] == ["colour"]
    assert all(image is CLOTH for image in judge.seen)


def test_embroidery_passes_the_gate_as_an_approximation_and_is_never_an_exact_match(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lettering, "available", lambda: False)
    request = asked_for("0.5,0.5,0.5,embroidered")
    [card] = logo_check.LogoJudge(Easy()).judge([CLOTH], request)
    assert card.gates[1].passed is True
    assert "approximation" in card.gates[1].reason
    sewn = asked.put_on(CLOTH, request.logos)
    seen = logo_check.check(sewn, Logo.read(PEAK, "peak.svg"), made_with=request)
    assert (seen.verdict, seen.reason) == ("altered", logo_check.APPROXIMATE)
