"""Why a picture is as good as it is said to be: in plain words, with what was read framed on the picture."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont
from streamlit.testing.v1 import AppTest

from sdxl_lora.records import Record, Store
from sdxl_lora.request import GenerationRequest
from sdxl_lora.scoring import lettering
from sdxl_lora.scoring.card import Finding, Gate, LoggedAttempt, ScoreCard, SearchLog
from sdxl_lora.ui import why

Open = Callable[..., AppTest]
BOX = ((30.0, 50.0), (370.0, 50.0), (370.0, 115.0), (30.0, 115.0))
READ = lettering.Lettering("misread", 0.8, "NORTHPEKA", (lettering.OcrLine("NORTHPEKA", 0.9, BOX),))
FINDINGS = (
    Finding(attribute="colour", wanted="navy", probability=0.92, rival="black", rival_probability=0.05),
    Finding(attribute="logo", wanted="triangle", probability=0.2, rival="circle", rival_probability=0.7),
    Finding(attribute="background", wanted="wall", probability=0.3, rival="beach", rival_probability=0.4),
)
GATES = (
    Gate(name="colour", passed=True, reason="colour: navy 0.92 > black 0.05"),
    Gate(name="white background", passed=True, reason="97% of the border is white"),
    Gate(name="brand text", passed=False, reason="reads 'NORTHPEKA', which is not Northpeak"),
)


def lettered() -> Image.Image:
    image = Image.new("RGB", (400, 160), (40, 60, 120))
    ImageDraw.Draw(image).text((30, 50), "NORTHPEAK", fill="white", font=ImageFont.load_default(size=56))
    return image


def kept(home: Path, card: ScoreCard, model: str = "sdxl") -> Record:
    request = GenerationRequest(
        prompt="a navy jacket", seed=1, model=model, steps=2, slots=(("brand", "Northpeak"),)
    )
    with Store(home) as store:
        return store.add(lettered(), request=request, card=card, session="elsewhere")


def opened(open_app: Open, record: Record) -> str:
    at = open_app("pages/gallery.py")
    at.button(key=f"gallery.{record.id}.details").click().run()
    assert not at.exception
    assert not at.get("progress")  # a bar beside a tick was shorter than one beside a question mark
    return " ".join(e.value for e in (*at.markdown, *at.caption))


def test_it_says_in_plain_words_what_shows_and_what_does_not(home: Path, open_app: Open) -> None:
    judgement = ScoreCard(score=0.3, scorer="x", text="t", findings=FINDINGS, gates=GATES, lettering=READ)
    told = opened(open_app, kept(home, judgement))
    assert "Colour: clearly **navy**" in told
    assert "Logo: not triangle, more like **circle**" in told
    assert "Background: hard to tell, **wall** or beach" in told
    assert "The background is white" in told
    assert "The brand's name is misspelled" in told
    assert "The colour is right" not in told  # once is enough
    assert "Read: “NORTHPEKA”" in told


def test_a_blurred_picture_is_never_called_as_asked() -> None:
    blurred = Gate(name="sharpness", passed=False, reason="sharpness 0.31; pictures have 0.40 or more")
    card = ScoreCard(score=0.3, scorer="x", text="t", findings=FINDINGS[:1], gates=(blurred,))
    assert why.in_short(card) == ("Blurred", ":material/error:")


def test_words_that_were_read_are_framed_on_the_picture(home: Path) -> None:
    record = kept(home, ScoreCard(score=0.3, scorer="x", text="t", lettering=READ))
    shown = why.with_boxes(str(record.path), [READ.words[0].box])
    changed = [
        shown.getpixel((x, y)) == (229, 72, 77) for x, y in ((30, 80), (200, 50), (370, 100), (200, 115))
    ]
    assert all(changed)
    assert shown.getpixel((5, 5)) == (40, 60, 120)


@pytest.mark.parametrize(("side", "shown"), [(400, 400), (2000, 640)])
def test_large_pictures_are_shown_small_with_the_frame_in_its_place(
    home: Path, side: int, shown: int
) -> None:
    request = GenerationRequest(prompt="a cap", seed=1)
    with Store(home) as store:
        record = store.add(Image.new("RGB", (side, side), "white"), request=request)
    box = [
        [side * 0.25, side * 0.25],
        [side * 0.75, side * 0.25],
        [side * 0.75, side * 0.75],
        [side * 0.25, side * 0.75],
    ]
    image = why.with_boxes(str(record.path), [box])
    assert image.size == (shown, shown)
    assert image.getpixel((shown // 4, shown // 2)) == (229, 72, 77)


def test_without_ocr_it_says_how_to_have_it(
    home: Path, open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lettering, "available", lambda: False)
    record = kept(home, ScoreCard(score=0.3, scorer="x", text="t", findings=FINDINGS))
    assert f"It was not read: install `{lettering.INSTALL}`" in opened(open_app, record)


def test_of_a_model_without_letters_nothing_is_said_about_lettering(home: Path, open_app: Open) -> None:
    record = kept(home, ScoreCard(score=0.3, scorer="x", text="t", findings=FINDINGS), model="mini")
    assert "Lettering" not in opened(open_app, record)


def test_what_was_tried_is_told_as_a_story(home: Path, open_app: Open) -> None:
    change = "colour: navy 0.41 < black 0.52 -> emphasised navy"
    log = (LoggedAttempt(number=1), LoggedAttempt(number=2, change=change, kept=True))
    search = SearchLog(attempts=log, kept=2, accepted=False, reason="the light")
    card = ScoreCard(score=0.3, scorer="x", text="t", findings=FINDINGS, search=search)
    told = opened(open_app, kept(home, card)).replace("\\", "")
    assert "Try 1: the first seed" in told
    assert "Try 2: colour: navy 0.41 < black 0.52 -> emphasised navy (helped)" in told
    assert "**← this picture**" in told
    assert "Kept by hand: the light" in told


def test_numbers_of_a_held_out_judge_stand_beside_the_score(home: Path, open_app: Open) -> None:
    judgement = ScoreCard(
        score=0.3, scorer="CLIP", text="t", others={"held_out": ("HPS v2 (held out)", 27.5)}
    )
    judgement = ScoreCard(**{**vars(judgement), "findings": FINDINGS})
    assert "HPS v2 (held out) 27.500" in opened(open_app, kept(home, judgement)).replace("\\", "")


@pytest.mark.skipif(not lettering.available(), reason=f"OCR is optional: {lettering.INSTALL}")
@pytest.mark.filterwarnings("ignore")
def test_what_ocr_reads_is_kept_with_its_boxes() -> None:
    card = ScoreCard(lettering=lettering.BrandTextScorer().read(lettered(), "Northpeak"))
    read = ScoreCard.from_dict(json.loads(json.dumps(card.to_dict()))).lettering
    assert read is not None
    assert read.state == "read"
    [word] = read.words
    (left, top), *_ = word.box
    assert 15 < left < 45
    assert 40 < top < 80
