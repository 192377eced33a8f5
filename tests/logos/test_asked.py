"""The logos of a request, from their files among the inputs onto a picture."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from sdxl_lora import inputs
from sdxl_lora.errors import LogoError, NotFoundError
from sdxl_lora.logos import asked, keeping
from sdxl_lora.request import LogoSpec
from tests.logos import garments
from tests.logos.marks import PEAK


def photo() -> Image.Image:
    """A blue t-shirt on white, 400 px."""
    mask = cv2.GaussianBlur(garments.mask("t-shirt").astype(np.float32), (0, 0), 1)[..., None]
    return Image.fromarray((255 * (1 - mask) + np.array((40, 70, 130)) * mask).astype(np.uint8))


def spec(at: str) -> LogoSpec:
    return LogoSpec.parse(at, hash=keeping.keep(PEAK, "peak.svg").hash, name="peak.svg")


def test_a_named_position_is_found_on_the_garment_of_the_picture() -> None:
    image = photo()
    corners = asked.corners_on(image, spec("chest"))
    assert np.linalg.norm(corners.mean(axis=0) - (200, 105)) < 25
    assert asked.put_on(image, [spec("chest")]).getpixel((190, 105)) == pytest.approx((200, 16, 46), abs=6)


def test_a_free_place_is_in_shares_of_the_picture_and_needs_no_garment() -> None:
    blank = Image.new("RGB", (300, 200), "white")
    corners = asked.corners_on(blank, spec("0.5,0.5,0.2"))
    np.testing.assert_allclose(corners.mean(axis=0), (150, 100))
    assert corners[1][0] - corners[0][0] == pytest.approx(60)
    quad = asked.corners_on(blank, spec("0.1,0.1,0.4,0.12,0.4,0.5,0.1,0.5"))
    np.testing.assert_allclose(quad[1], (120, 24))


def test_all_logos_are_put_on_or_none() -> None:
    image = photo()
    with pytest.raises(LogoError, match="no two legs"):
        asked.put_on(image, [spec("chest"), spec("left-thigh")])
    two = np.asarray(asked.put_on(image, [spec("left-chest"), spec("hem")]))
    assert (two != np.asarray(image)).any(axis=-1)[60:130].any()
    assert (two != np.asarray(image)).any(axis=-1)[300:350].any()


def test_transparency_of_a_cut_out_is_kept() -> None:
    image = photo()
    image.putalpha(Image.fromarray(garments.mask("t-shirt").astype(np.uint8) * 255))
    result = asked.put_on(image, [spec("0.5,0.4,0.2")])
    assert result.mode == "RGBA"
    assert result.getchannel("A").tobytes() == image.getchannel("A").tobytes()


def test_a_png_is_kept_as_pixels_with_its_alpha() -> None:
    file = io.BytesIO()
    mark = Image.new("RGBA", (40, 40))
    mark.paste((255, 0, 0, 255), (5, 5, 35, 30))
    mark.save(file, "PNG")
    kept = keeping.keep(file.getvalue(), "mark.png")
    assert kept.kind == "png"
    assert asked.read(LogoSpec(hash=kept.hash)).aspect == 1.2


def test_a_logo_whose_file_is_gone_is_named() -> None:
    gone = LogoSpec(hash="ab" * 32, at="chest")
    with pytest.raises(NotFoundError, match=inputs.folder().name):
        asked.put_on(photo(), [gone])


def test_a_print_that_is_there_already_is_told_and_plain_cloth_with_folds_is_not() -> None:
    plain = np.asarray(photo()).copy()
    x, y = np.meshgrid(np.arange(400), np.arange(400))
    folded = np.clip(plain * (1 + 0.15 * np.sin(x / 25 + y / 50))[..., None], 0, 255).astype(np.uint8)
    assert asked.doubts_on(Image.fromarray(folded), [spec("chest")]) == []
    printed = Image.fromarray(folded)
    ImageDraw.Draw(printed).ellipse((170, 80, 230, 130), fill="white")
    [line] = asked.doubts_on(printed, [spec("chest"), spec("chest"), spec("expected")])
    assert line.startswith("the cloth is not plain where peak.svg goes")
    assert asked.doubts_on(printed, [spec("hem")]) == []


def test_a_chest_is_doubted_where_the_words_name_only_garments_without_one() -> None:
    assert (
        "swim shorts has no chest" in asked.doubts_on(photo(), [spec("chest")], "red swim shorts, studio")[0]
    )
    for words in ("", "a hoodie and shorts", "a photo"):
        assert asked.doubts_on(photo(), [spec("chest")], words) == []
    assert asked.doubts_on(photo(), [spec("hem")], "red swim shorts") == []
