"""Brand text is read, misread or not readable."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from sdxl_lora.scoring import lettering
from sdxl_lora.scoring.lettering import OcrLine, judge


def words(*texts: str) -> list[OcrLine]:
    return [OcrLine(text, 0.9, ((0.0, 0.0),) * 4) for text in texts]


@pytest.mark.parametrize(
    ("found", "brand", "state"),
    [
        (["NIKE AIR"], "Nike", "read"),
        (["the north face"], "The North Face", "read"),
        (["THE", "NORTH", "FACE"], "The North Face", "read"),
        (["ARC'TERYX"], "Arc’teryx", "read"),
        (["Lacoste"], "Lacosté", "read"),
        (["YEFTCRX"], "ARCTERYX", "misread"),
        (["GHANTS"], "GIANTS", "misread"),
        ([], "Nike", "not readable"),
        (["A", "1", "衣"], "Nike", "not readable"),
        (["SUMMER"], "Nike", "not readable"),
        (["李宁"], "李宁", "read"),
        (["李 宁 运动"], "李宁", "read"),
        (["SUMMER SALE"], "李宁", "not readable"),
        (["361°"], "361°", "read"),
        (["NIKE 2024"], "361°", "not readable"),
        (["NIKE 2024"], "***", "not readable"),
        (["H&M Studio"], "H&M", "read"),
        (["FASHMAP"], "H&M", "not readable"),
        (["Αθηνά"], "ΑΘΗΝΆ", "read"),
    ],
)
def test_the_state_of_a_brand_on_a_picture(found: list[str], brand: str, state: str) -> None:
    assert judge(words(*found), brand).state == state


def test_similarity_is_the_share_of_letters_kept() -> None:
    assert judge(words("GHANTS"), "GIANTS").similarity == pytest.approx(5 / 6)


@pytest.mark.skipif(not lettering.available(), reason=f"OCR is optional: {lettering.INSTALL}")
@pytest.mark.filterwarnings("ignore")
def test_block_letters_on_a_picture_are_read_and_found_where_they_are() -> None:
    image = Image.new("RGB", (400, 200), "navy")
    ImageDraw.Draw(image).text((60, 60), "STUSSY", fill="white", font=ImageFont.load_default(60))
    found = lettering.read_words(np.asarray(image))
    assert judge(found, "Stussy").state == "read"
    assert judge(found, "Nike").state == "not readable"
    left, top = found[0].box[0]
    assert 40 < left < 80
    assert 40 < top < 90
