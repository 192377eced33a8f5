"""The checklist tells what was measured, and disputed rules never fail a picture."""

import io
import math
from datetime import date
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from sdxl_lora import export
from sdxl_lora.errors import ImageError, UnknownNameError
from sdxl_lora.export import checking
from sdxl_lora.records import carriers
from tests.export import drawing
from tests.export.drawing import encoded, garment, made_by_a_model


def states(picture: export.Picture, preset: str) -> dict[str, str]:
    """The worst state of each check."""
    found: dict[str, str] = {}
    for one in export.check(picture, export.preset(preset)):
        found[one.check] = max(found.get(one.check, "ok"), one.state, key=checking.STATES.index)
    return found


def text_of(picture: export.Picture, preset: str, check: str) -> str:
    return next(one.text for one in export.check(picture, export.preset(preset)) if one.check == check)


def test_every_rule_has_a_source_a_day_a_known_check_and_something_it_allows() -> None:
    names = list(export.presets())
    assert names == ["amazon", "shopify", "google", "etsy", "instagram", "tiktok", "plain"]
    for preset in export.presets().values():
        assert preset.title
        assert set(preset.aim.formats) & set(export.presets()["plain"].aim.formats)
        for rule in preset.rules:
            assert rule.check in checking.CHECKS
            assert rule.level in ("required", "advice", "disputed")
            assert rule.source.startswith("https://")
            assert date(2026, 11, 1) <= rule.read <= date(2027, 12, 31)
            limited = rule.least is not None or rule.most is not None or rule.of
            assert limited or rule.check in ("opaque", "name", "mark", "photo")
            assert rule.note or rule.level != "disputed"  # says what is disputed


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'amazon'"):
        export.preset("amzon")


def test_a_picture_that_keeps_all_rules_of_amazon_is_ok_in_all() -> None:
    picture = export.read(encoded(garment(fill=0.9), "JPEG"), "B012345678.jpg")
    assert set(states(picture, "amazon").values()) == {"ok"}


def test_a_background_that_is_almost_white_and_a_product_that_is_too_small_are_told_with_numbers() -> None:
    picture = export.read(encoded(garment(fill=0.79, background=254), "PNG"), "sku.png")
    assert text_of(picture, "amazon", "background") == "background 254, wants 255"
    assert text_of(picture, "amazon", "fill") == "the product fills 79%, wants at least 85%"
    assert states(picture, "amazon")["background"] == states(picture, "amazon")["fill"] == "fail"


def test_a_white_shirt_on_white_is_not_taken_for_its_background() -> None:
    shirt = garment(fill=0.9, colour="#f0f0f2")
    picture = export.read(encoded(shirt, "PNG"), "B012345678.png")
    assert picture.layout.value == 255
    assert round(picture.layout.fill, 1) == 0.9
    assert set(states(picture, "amazon").values()) == {"ok"}


def test_a_scene_is_no_background() -> None:
    picture = export.read(encoded(drawing.scene(), "JPEG"), "scene.jpg")
    assert not picture.layout.plain
    assert text_of(picture, "amazon", "background").startswith("a scene behind the product")
    assert states(picture, "amazon")["fill"] == "fail"
    assert states(picture, "tiktok")["background"] == "warning"  # disputed


def test_a_single_colour_is_all_background_and_has_no_product() -> None:
    picture = export.read(encoded(Image.new("RGB", (300, 300), "white"), "PNG"), "white.png")
    assert picture.layout.plain
    assert picture.layout.fill == 0
    assert text_of(picture, "amazon", "fill") == "the product fills 0%, wants at least 85%"


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (3, 2), (64, 4096)])
def test_pictures_of_any_shape_are_measured(size: tuple[int, int]) -> None:
    for preset in export.presets().values():
        picture = export.read(encoded(Image.new("RGB", size, "navy"), "PNG"), "odd.png")
        assert all(one.text for one in export.check(picture, preset))
        assert math.isfinite(picture.layout.fill)


def test_names_with_spaces_or_the_wrong_suffix_are_told() -> None:
    data = encoded(garment(), "JPEG")
    assert states(export.read(data, "my shirt.jpg"), "amazon")["name"] == "warning"
    assert states(export.read(data, "shirt.png"), "amazon")["name"] == "warning"
    assert states(export.read(data, "B0-1_a.JPEG"), "amazon")["name"] == "ok"


def test_a_picture_made_from_words_is_called_a_concept_where_a_photo_is_wanted() -> None:
    picture = export.read(made_by_a_model(), "a.png")
    assert picture.origin == "model"
    assert "a concept, or a picture for ads" in text_of(picture, "amazon", "photo")
    assert states(picture, "amazon")["photo"] == "warning"  # sources disagree
    assert states(picture, "etsy")["photo"] == "fail"  # its own page says so
    assert "photo" not in states(picture, "shopify")
    photo = export.read(encoded(garment(), "JPEG"), "a.jpg")
    assert (photo.origin, states(photo, "etsy")["photo"]) == ("unknown", "ok")


def test_a_generated_picture_without_its_mark_fails_where_the_mark_must_stay() -> None:
    picture = export.read(made_by_a_model(), "a.png")
    assert states(picture, "google")["mark"] == "ok"
    texts = {name: text for name, text in picture.texts.items() if name != carriers.XMP}
    unmarked = export.read(carriers.encode(picture.image, texts, format="PNG"), "a.png")
    assert unmarked.origin == "model"
    assert states(unmarked, "google")["mark"] == "fail"


def test_what_is_no_picture_is_one_line() -> None:
    for data in (b"", b"GIF89a", b"<svg/>", b"\x89PNG\r\n\x1a\n" + b"\0" * 40):
        with pytest.raises(ImageError) as caught:
            export.read(data, "x.png")
        assert "\n" not in str(caught.value)


def test_turned_grey_see_through_and_cmyk_files_are_read_upright_in_srgb() -> None:
    turned = Image.new("RGB", (40, 20), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    turned.save(buffer, format="JPEG", exif=exif)
    assert export.read(buffer.getvalue(), "a.jpg").image.size == (20, 40)
    assert export.read(encoded(Image.new("L", (9, 9), 200), "PNG"), "a.png").image.mode == "RGB"
    assert export.read(encoded(Image.new("CMYK", (9, 9)), "JPEG"), "a.jpg").image.mode == "RGB"
    clear = export.read(encoded(Image.new("RGBA", (9, 9), (0, 0, 0, 0)), "PNG"), "a.png")
    assert clear.image.mode == "RGBA"
    assert states(clear, "amazon")["opaque"] == "fail"


def test_colours_of_another_profile_are_converted() -> None:
    buffer = io.BytesIO()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = lab.replace(b"rXYZ", b"tmpX").replace(b"gXYZ", b"rXYZ").replace(b"tmpX", b"gXYZ")
    swapped = swapped.replace(b"sRGB", b"ours").replace(
        "sRGB".encode("utf-16-be"), "ours".encode("utf-16-be")
    )
    Image.new("RGB", (8, 8), (255, 0, 0)).save(buffer, format="PNG", icc_profile=swapped)
    red, green, _ = export.read(buffer.getvalue(), "a.png").image.getpixel((4, 4))  # type: ignore[misc]
    assert (red, green) == (0, 255)  # its red is called green elsewhere


def test_a_damaged_profile_changes_nothing(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (255, 0, 0)).save(buffer, format="PNG", icc_profile=b"no profile")
    assert export.read(buffer.getvalue(), "a.png").image.getpixel((4, 4)) == (255, 0, 0)
