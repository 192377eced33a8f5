"""The verifier's gates say no for plain reasons, and what is missing is said without counting against anyone."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from sdxl_lora.models.capabilities import Capabilities
from sdxl_lora.request import GenerationRequest
from sdxl_lora.scoring import lettering
from sdxl_lora.scoring.blip import BlipModel, BlipScorer
from sdxl_lora.scoring.card import Finding, Gate, ScoreCard
from sdxl_lora.scoring.checks import WhiteBackground, backdrop, sharpness
from sdxl_lora.scoring.clip import ClipScorer
from sdxl_lora.scoring.probes import ProbeScorer
from sdxl_lora.scoring.verifier import Verifier, best_of

REQUEST = GenerationRequest(prompt="a (navy:1.3) cap, fashion photography, 8K")


def noise(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8))


def product(ground: tuple[int, int, int], side: int = 60) -> Image.Image:
    """A dark square of `side` px in the middle of 100 px."""
    image = Image.new("RGB", (100, 100), ground)
    edge = (100 - side) // 2
    image.paste((30, 30, 60), (edge, edge, edge + side, edge + side))
    return image


class Colour:
    """A CLIP whose pictures all show black as much as `black` says."""

    name = "fixed CLIP cosine"

    def __init__(self, black: float) -> None:
        self._black = black

    def probe(self, images: Sequence[Image.Image], text: str, slots: object) -> list[tuple[Finding, ...]]:
        found = Finding(
            attribute="colour",
            wanted="navy",
            probability=1 - self._black,
            rival="black",
            rival_probability=self._black,
        )
        return [(found,)] * len(images)


@pytest.fixture
def clip(tiny_clip: Path) -> ClipScorer:
    return ClipScorer(tiny_clip, name="tiny-CLIP cosine")


def test_a_sketch_is_asked_for_no_sharpness_no_lettering_and_nothing_that_is_only_reported(
    clip: ClipScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: dict[str, Any] = {
        "probes": ProbeScorer(clip),
        "others": [WhiteBackground()],
        "least_sharpness": 1.1,
    }
    [whole] = Verifier(clip, **parts).judge([noise(1)], REQUEST)
    monkeypatch.setattr(lettering, "BrandTextScorer", None)  # nobody may read
    branded = replace(REQUEST, slots=(("brand", "PUMA"),))
    [sketch] = Verifier(clip, read_brand=True, **parts).judge([noise(1)], branded, sketch=True)
    assert ([gate.name for gate in whole.gates], set(whole.others)) == (
        ["garment", "colour", "sharpness"],
        {"white_background"},
    )
    assert ([gate.name for gate in sketch.gates], set(sketch.others)) == (["garment", "colour"], set())
    assert (sketch.score, sketch.findings, sketch.lettering) == (whole.score, whole.findings, None)


def test_the_score_is_the_primarys_on_the_short_sentence_without_emphasis(clip: ClipScorer) -> None:
    [judged] = Verifier(clip, probes=ProbeScorer(clip)).judge([noise(1)], REQUEST)
    assert judged.text == "a navy cap"
    assert [judged.score] == clip.score([noise(1)], ["a navy cap"])
    assert [f.wanted for f in judged.findings] == ["navy", "cap"]
    assert judged.scorer == "tiny-CLIP cosine"


@pytest.mark.parametrize(("black", "passed"), [(0.4, True), (0.49, True), (0.51, False), (0.9, False)])
def test_another_colour_fails_only_where_it_is_more_likely_than_all_the_rest(
    clip: ClipScorer, black: float, passed: bool
) -> None:
    verifier = Verifier(clip, probes=Colour(black))  # type: ignore[arg-type]  # probes by what it does
    [judged] = verifier.judge([noise(1)], REQUEST)
    assert [(gate.name, gate.passed) for gate in judged.gates] == [("colour", passed)]
    assert (judged.weakest is None) == (black < 0.5)


class Garment(Colour):
    """As `Colour`, of the garment."""

    def probe(self, images: Sequence[Image.Image], text: str, slots: object) -> list[tuple[Finding, ...]]:
        return [
            tuple(replace(f, attribute="garment", wanted="cap", rival="coat") for f in found)
            for found in super().probe(images, text, slots)
        ]


def test_a_wrong_garment_weighs_more_than_all_other_faults(clip: ClipScorer) -> None:
    [judged] = Verifier(clip, probes=Garment(0.9)).judge([noise(1)], REQUEST)  # type: ignore[arg-type]  # as above
    assert [(gate.name, gate.passed) for gate in judged.gates] == [("garment", False)]
    wrong_in_all_else = replace(
        judged,
        score=-1.0,
        gates=tuple(Gate(name=f"other {i}", passed=False, reason="") for i in range(6)),
    )
    assert best_of([judged, wrong_in_all_else]) == 1


def test_what_the_model_cannot_draw_is_never_taken_for_shown(clip: ClipScorer) -> None:
    closed = Capabilities(products=(("cap", ()),), words=frozenset({"a", "navy", "cap"}))
    asked = GenerationRequest(prompt="a navy beanie", model="mini", slots=(("product", "beanie"),))
    verifier = Verifier(clip, probes=ProbeScorer(clip), capabilities=closed, gates=False)
    [judged] = verifier.judge([noise(1)], asked)
    assert [found.wanted for found in judged.findings] == ["navy"]
    assert [(gate.name, gate.passed) for gate in judged.gates] == [("garment", False)]
    assert judged.gates[0].reason == "mini does not draw what was asked for: beanie"
    [judged] = verifier.judge([noise(1)], replace(asked, prompt="a navy cap", slots=()))
    assert judged.gates == ()


@pytest.mark.parametrize(("ground", "passed"), [((255, 255, 255), True), ((200, 200, 200), False)])
def test_a_white_background_is_checked_only_where_it_was_asked_for(
    clip: ClipScorer, ground: tuple[int, int, int], passed: bool
) -> None:
    asked = GenerationRequest(prompt="a navy cap, plain white background")
    [judged] = Verifier(clip).judge([product(ground)], asked)
    assert [(gate.name, gate.passed) for gate in judged.gates] == [("white background", passed)]
    [judged] = Verifier(clip).judge([product(ground)], REQUEST)
    assert judged.gates == ()


def test_a_blank_picture_fails_whatever_the_level_and_is_never_best(clip: ClipScorer) -> None:
    judged = Verifier(clip, gates=False).judge([Image.new("RGB", (40, 40)), noise(1)], REQUEST)
    assert math.isnan(judged[0].score)
    assert [(gate.name, gate.passed) for gate in judged[0].gates] == [("blank", False)]
    assert best_of(judged) == 1
    assert best_of(judged[:1]) is None


def test_fewer_failed_gates_outweigh_a_higher_score() -> None:
    no = Gate(name="colour", passed=False, reason="")
    unknown = Gate(name="brand text", passed=None, reason="")
    judged = [
        ScoreCard(score=0.9, scorer="x", text="", gates=(no,)),
        ScoreCard(score=0.2, scorer="x", text="", gates=(unknown,)),
        ScoreCard(score=0.1, scorer="x", text=""),
    ]
    assert best_of(judged) == 1


def test_a_scorer_without_weights_is_left_out_and_said_once(clip: ClipScorer) -> None:
    verifier = Verifier(clip, others=[BlipScorer(BlipModel(), "itm")])
    for _ in range(2):
        [judged] = verifier.judge([noise(1)], REQUEST)
    assert judged.others == {}
    assert len(verifier.notices) == 1
    assert verifier.notices[0].startswith("BLIP ITM probability is left out: ")


def test_a_misread_brand_fails_and_an_unreadable_one_does_not(
    clip: ClipScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = GenerationRequest(prompt="a cap", slots=(("brand", "Northpeak"),))
    expected = {"NORTHPEAK": True, "NORTPHEKA": False, "": None, "SUMMER": None}
    for text, passed in expected.items():
        words = [lettering.OcrLine(text, 0.9, ((0.0, 0.0),) * 4)] if text else []
        monkeypatch.setattr(lettering, "read_words", lambda _, words=words: words)
        [judged] = Verifier(clip, read_brand=True).judge([noise(1)], asked)
        assert [(gate.name, gate.passed) for gate in judged.gates] == [("brand text", passed)]
        assert [word["text"] for word in judged.to_dict()["lettering"]["words"]] == [text] * bool(text)


@pytest.mark.skipif(not lettering.available(), reason=f"OCR is optional: {lettering.INSTALL}")
def test_lettering_is_read_and_scored() -> None:
    image = Image.new("RGB", (400, 160), (40, 60, 120))
    font = ImageFont.load_default(size=56)
    ImageDraw.Draw(image).text((30, 50), "NORTHPEAK", fill="white", font=font)
    right, nothing = lettering.BrandTextScorer().score([image, noise(1)], ["Northpeak", "Northpeak"])
    assert right >= 0.9
    assert math.isnan(nothing)


def test_backdrop_measures_border_and_fill() -> None:
    found = backdrop(product((255, 255, 255), side=85))
    assert (found.white, found.fill) == (1.0, 0.85)
    assert backdrop(product((120, 255, 255))).white == 0.0
    assert backdrop(Image.new("RGB", (50, 50), "white")).fill == 0.0


def test_blur_lowers_sharpness() -> None:
    from PIL import ImageFilter

    sharp = product((255, 255, 255))
    soft = sharp.filter(ImageFilter.GaussianBlur(6))
    assert 0 <= sharpness(soft) < sharpness(sharp) - 0.1 <= 1
    assert math.isnan(sharpness(Image.new("RGB", (50, 50))))
