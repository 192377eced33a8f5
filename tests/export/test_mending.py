"""One click puts right what pixels allow; what is right already keeps its very bytes."""

import io
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from sdxl_lora import export
from sdxl_lora.errors import RequestError
from sdxl_lora.records import carriers, iptc, metadata
from sdxl_lora.request import GenerationRequest
from tests.export import drawing
from tests.export.drawing import encoded, garment, made_by_a_model

QUICK = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)


def left(picture: export.Picture, preset: str) -> set[str]:
    """Checks that are still not ok."""
    return {one.check for one in export.check(picture, export.preset(preset)) if one.state != "ok"}


@pytest.mark.parametrize("name", list(export.presets()))
def test_a_small_grey_png_is_made_right_for_every_shop(name: str) -> None:
    picture = export.read(encoded(garment((400, 300), fill=0.5, background=243), "PNG"), "red shirt 1.png")
    mended = export.mend(picture, export.preset(name))
    assert left(mended.picture, name) == set()
    read_again = export.read(mended.picture.data, mended.picture.name)
    assert left(read_again, name) == set()
    assert read_again.format == mended.picture.format


def test_what_is_right_keeps_its_bytes() -> None:
    data = encoded(garment(fill=0.9), "JPEG")
    mended = export.mend(export.read(data, "B012345678.jpg"), export.preset("amazon"))
    assert (mended.picture.data, mended.done) == (data, ())
    scene = encoded(drawing.scene(), "PNG")
    assert export.mend(export.read(scene, "a.png"), export.preset("plain")).picture.data is scene


def test_only_what_was_asked_for_is_mended() -> None:
    picture = export.read(encoded(garment(fill=0.5, background=243), "PNG"), "a.png")
    mended = export.mend(picture, export.preset("amazon"), only=["background"])
    assert left(mended.picture, "amazon") == {"fill"}
    assert mended.done == ("background made pure white", "written as JPEG")


def test_a_white_background_leaves_the_product_as_it_is_and_no_grey_seam_around_it() -> None:
    drawn = garment((600, 600), fill=0.6, background=240, colour="firebrick").filter(
        ImageFilter.GaussianBlur(1)
    )
    mended = export.mend(
        export.read(encoded(drawn, "PNG"), "a.png"), export.preset("amazon"), only=["background"]
    )
    before, after = np.asarray(drawn), np.asarray(mended.picture.image)
    inside = (slice(280, 320), slice(280, 320))
    assert np.array_equal(before[inside], after[inside])
    assert (after[:100] == 255).all()
    # along a row the picture gets darker towards the product without a step down and up again
    row = after[300, 100:300].min(axis=1).astype(int)
    assert (np.diff(row) <= 2).all()


def test_a_product_before_a_wall_is_cut_out_and_framed() -> None:
    image = Image.new("RGB", (500, 400), (90, 120, 140))
    image.paste((140, 120, 100), (0, 250, 500, 400))
    image.paste("white", (180, 60, 330, 330))
    image.paste("firebrick", (200, 80, 310, 310))
    picture = export.read(encoded(image, "PNG"), "a.png")
    assert "background" in left(picture, "amazon")
    mended = export.mend(picture, export.preset("amazon"))
    assert left(mended.picture, "amazon") == set()
    assert mended.done[0] == "product cut out and laid on white: look at its edges"
    assert any(done.startswith("enlarged") for done in mended.done)


def test_where_no_product_is_found_the_background_stays_and_that_is_said() -> None:
    picture = export.read(encoded(Image.new("RGB", (12, 12), "navy"), "PNG"), "a.png")
    mended = export.mend(picture, export.preset("amazon"), only=["background"])
    assert mended.done[0].startswith("the background stays: ")
    assert mended.picture.data == picture.data


def test_a_product_that_runs_out_of_the_frame_below_still_does() -> None:
    image = Image.new("RGB", (800, 800), "white")
    image.paste("navy", (300, 400, 500, 800))
    mended = export.mend(export.read(encoded(image, "PNG"), "a.png"), export.preset("amazon"), only=["fill"])
    framed = np.asarray(mended.picture.image)
    assert (framed[-1] < 200).any()
    assert (framed[0] == 255).all()


def test_a_scene_is_cropped_a_little_and_padded_where_that_would_lose_too_much() -> None:
    shopify = export.preset("shopify")
    near = export.mend(
        export.read(encoded(drawing.scene((1000, 900)), "PNG"), "a.png"), shopify, only=["aspect"]
    )
    assert (near.picture.image.size, near.done[0]) == ((900, 900), "cropped to 900 x 900 px")
    far = export.mend(
        export.read(encoded(drawing.scene((1000, 400)), "PNG"), "a.png"), shopify, only=["aspect"]
    )
    assert (far.picture.image.size, far.done[0]) == ((1000, 1000), "padded to 1000 x 1000 px")


def test_quality_goes_down_until_the_file_is_small_enough_and_then_the_size() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), dtype=np.uint8))
    picture = export.read(encoded(noise, "PNG"), "a.png")
    assert len(picture.data) > 5_000_000
    mended = export.mend(picture, export.preset("tiktok"), only=["bytes", "format"])
    assert len(mended.picture.data) <= 5_000_000
    assert mended.picture.format == "JPEG"


def test_see_through_parts_become_white_where_they_are_not_allowed_and_stay_elsewhere() -> None:
    image = Image.new("RGBA", (1700, 1700), (0, 0, 0, 0))
    image.paste((0, 0, 128, 255), (500, 100, 1200, 1600))
    picture = export.read(encoded(image, "PNG"), "a.png")
    amazon = export.mend(picture, export.preset("amazon")).picture
    assert left(amazon, "amazon") == set()
    assert amazon.image.getpixel((3, 3)) == (255, 255, 255)
    kept = export.mend(picture, export.preset("plain"), format="WEBP").picture
    assert export.read(kept.data, kept.name).image.mode == "RGBA"
    google = export.mend(picture, export.preset("google"), only=["fill"]).picture
    assert google.image.getpixel((0, 0))[3] == 0  # type: ignore[index]


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_every_format_keeps_the_request_the_scores_and_the_mark(format: str) -> None:
    data = made_by_a_model()
    before = metadata.read(io.BytesIO(data))
    mended = export.mend(export.read(data, "a.png"), export.preset("plain"), format=format)
    after = metadata.read(io.BytesIO(mended.picture.data))
    assert mended.picture.name == f"a.{format.lower().replace('jpeg', 'jpg')}"
    assert (after.request, after.scores, after.created_at) == (
        before.request,
        before.scores,
        before.created_at,
    )
    again = export.read(mended.picture.data, mended.picture.name)
    assert (again.marked, again.origin) == (True, "model")
    assert "Steps: 4" in again.texts[carriers.PARAMETERS]
    twice = export.mend(
        again, export.preset("plain"), format="JPEG", quality=80
    )  # once more, and not twice in it
    assert twice.picture.data.count(b"sdxl_lora:facts>") == 2
    assert metadata.read(io.BytesIO(twice.picture.data)).request == before.request


def test_a_text_that_is_too_long_for_a_jpeg_loses_its_scores_and_not_its_request() -> None:
    request = GenerationRequest(prompt="a jacket " + "& <blue> " * 400, seed=1)
    texts = export.read(metadata.embed(garment((64, 64)), request), "a.png").texts
    long = '"scores": {"x": "' + "y" * 70_000 + '"}'
    texts = {**texts, carriers.FACTS: texts[carriers.FACTS].replace('"scores": {}', long)}
    assert "yyy" in texts[carriers.FACTS]
    picture = export.read(carriers.encode(garment((64, 64)), texts, format="PNG"), "a.png")
    jpeg = export.mend(picture, export.preset("plain"), format="JPEG").picture
    assert metadata.read(io.BytesIO(jpeg.data)).request == request


def test_photos_of_others_keep_their_own_xmp() -> None:
    packet = iptc.xmp(iptc.SourceType.GENERATED).replace("trainedAlgorithmicMedia", "digitalCapture")
    buffer = io.BytesIO()
    garment((500, 500)).save(buffer, format="JPEG", xmp=packet.encode())
    picture = export.read(buffer.getvalue(), "photo.jpg")
    assert (picture.origin, picture.marked) == ("unknown", True)
    mended = export.mend(picture, export.preset("amazon")).picture
    assert "digitalCapture" in export.read(mended.data, "photo.jpg").texts[carriers.XMP]


@pytest.mark.parametrize(("format", "quality"), [("BMP", None), ("PNG", 0), ("JPEG", 101)])
def test_formats_and_qualities_that_are_not_written_are_refused(format: str, quality: int | None) -> None:
    picture = export.read(encoded(garment((64, 64)), "PNG"), "a.png")
    with pytest.raises(RequestError):
        export.mend(picture, export.preset("plain"), format=format, quality=quality)


@QUICK
@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    boxes=st.lists(st.tuples(*[st.integers(0, 300)] * 4), max_size=3),
    background=st.integers(0, 255),
    name=st.sampled_from(list(export.presets())),
)
def test_any_picture_can_be_mended_and_is_never_worse(
    width: int, height: int, boxes: list[tuple[int, ...]], background: int, name: str
) -> None:
    image = Image.new("RGB", (width, height), (background, background, 200))
    for x, y, w, h in boxes:
        image.paste("maroon", (x, y, x + w, y + h))
    picture = export.read(encoded(image, "PNG"), "a.png")
    small = export.preset(name)
    before, after = _score(picture, small), _score(export.mend(picture, small).picture, small)
    assert sum(after.values()) <= sum(before.values())


def _score(picture: export.Picture, preset: export.Preset) -> Mapping[str, int]:
    return {
        f"{number}.{one.check}": ("ok", "warning", "fail").index(one.state)
        for number, one in enumerate(export.check(picture, preset))
    }
