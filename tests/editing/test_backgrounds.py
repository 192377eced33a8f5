import numpy as np
import pytest
from PIL import Image

from sdxl_lora.editing import backgrounds, framing, shadow
from sdxl_lora.editing.backgrounds import Background
from sdxl_lora.errors import ImageError, InputError
from tests.editing.photos import garment


@pytest.fixture(scope="module")
def product() -> Image.Image:
    """A T-shirt with a soft edge of some pixels."""
    photo, truth = garment(200)
    edge = Image.fromarray(truth.astype(np.uint8) * 255).resize((100, 100)).resize((200, 200))
    photo.putalpha(edge)
    return photo


def opaque(product: Image.Image) -> np.ndarray:
    return np.asarray(product)[..., 3] == 255


@pytest.mark.parametrize("rgb", [(255, 255, 255), (0, 0, 0), (31, 42, 68)])
def test_the_background_is_exactly_the_colour_and_the_product_exactly_the_product(
    product: Image.Image, rgb: tuple[int, int, int]
) -> None:
    found = np.asarray(backgrounds.on_colour(product, rgb))
    assert (found[np.asarray(product)[..., 3] == 0] == rgb).all()
    assert (found[opaque(product)] == np.asarray(product)[opaque(product)][:, :3]).all()


def test_on_a_picture_the_product_stays_and_its_edge_takes_on_the_light_around(product: Image.Image) -> None:
    night, day = (Image.new("RGB", (300, 120), colour) for colour in ((0, 0, 0), (255, 255, 255)))
    dark, bright = (np.asarray(backgrounds.on_picture(product, picture)) for picture in (night, day))
    for found in (dark, bright):
        assert (found[opaque(product)] == np.asarray(product)[opaque(product)][:, :3]).all()
    plain = np.asarray(backgrounds.on_colour(product, (255, 255, 255))).astype(int)
    edge = (np.asarray(product)[..., 3] > 40) & (np.asarray(product)[..., 3] < 215)
    assert bright[edge].mean() > plain[edge].mean() > dark[edge].mean()


def test_a_picture_behind_is_cropped_to_the_frame_and_fills_it(product: Image.Image) -> None:
    wide = Image.new("RGB", (400, 100), "red")
    wide.paste("blue", (150, 0, 250, 100))
    found = np.asarray(backgrounds.on_picture(product, wide))
    assert found.shape == (200, 200, 3)
    assert (found[0, 5:-5] == (0, 0, 255)).all()  # its middle hundred columns


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("white", Background(colour=(255, 255, 255))),
        ("Transparent", Background()),
        ("#1F2A44", Background(colour=(31, 42, 68))),
        ("a wooden table in the morning sun", Background(scene="a wooden table in the morning sun")),
    ],
)
def test_words_of_a_background(text: str, meant: Background) -> None:
    assert backgrounds.parse(text) == meant


@pytest.mark.parametrize("text", ["", "  ", "#12", "#nothex"])
def test_what_is_no_background_is_one_line(text: str) -> None:
    with pytest.raises(InputError):
        backgrounds.parse(text)


@pytest.mark.parametrize("fill", [0.5, 0.85, 1.0])
@pytest.mark.parametrize("size", [(200, 200), (400, 160), (90, 300)])
def test_a_framed_product_is_in_the_middle_and_fills_what_was_asked(
    product: Image.Image, size: tuple[int, int], fill: float
) -> None:
    framed = framing.frame(product, size, fill)
    assert framed.size == size
    left, upper, right, lower = framing.box_of(framed) or (0, 0, 0, 0)
    assert max((right - left) / size[0], (lower - upper) / size[1]) == pytest.approx(fill, abs=0.02)
    assert abs(left + right - size[0]) <= 3
    assert abs(upper + lower - size[1]) <= 3


def test_a_product_that_is_framed_at_its_size_keeps_its_pixels(product: Image.Image) -> None:
    box = framing.box_of(product)
    assert box is not None
    side = max(box[2] - box[0], box[3] - box[1])
    framed = framing.frame(product, (side, side), 1.0)
    again = framing.box_of(framed)
    assert again is not None
    assert framed.crop(again).tobytes() == product.crop(box).tobytes()


@pytest.mark.parametrize(
    ("size", "fill", "message"),
    [
        ((200, 200), 0.0, "10% to 100 % of the frame, not 0%"),
        ((200, 200), 1.5, "not 150%"),
        ((0, 200), 0.8, "0x200 px cannot be made"),
        ((20_000, 20_000), 0.8, "at most 50 megapixels"),
    ],
)
def test_frames_that_cannot_be_made_are_one_line(
    product: Image.Image, size: tuple[int, int], fill: float, message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        framing.frame(product, size, fill)


def test_an_empty_cut_out_cannot_be_framed() -> None:
    with pytest.raises(ImageError, match="nothing of the product is opaque"):
        framing.frame(Image.new("RGBA", (64, 64)), (64, 64))


def test_a_product_that_leaves_its_photo_is_said_to_be_cut_off(product: Image.Image) -> None:
    assert framing.cut_off(product) == ()
    left, upper, right, lower = framing.box_of(product) or (0, 0, 0, 0)
    assert framing.cut_off(product.crop((0, 0, 200, lower - 20))) == ("bottom",)
    assert framing.cut_off(product.crop((left + 9, upper, right - 9, 200))) == ("top", "left", "right")


def test_a_shadow_lies_below_the_product_and_leaves_it_and_the_far_background_alone(
    product: Image.Image,
) -> None:
    framed = framing.frame(product, (400, 400), 0.7)
    shaded = shadow.ground(framed)
    assert (np.asarray(shaded)[opaque(framed)] == np.asarray(framed)[opaque(framed)]).all()
    found = np.asarray(backgrounds.on_colour(shaded, (255, 255, 255)))
    box = framing.box_of(framed)
    assert box is not None
    assert found[box[3] + 2, 200].max() < 215
    assert (found[: box[3] - 60, : box[0] - 40] == 255).all()
    assert (found[:20] == 255).all()


def test_a_shadow_without_a_product_is_none() -> None:
    empty = Image.new("RGBA", (64, 64))
    assert shadow.ground(empty).tobytes() == empty.tobytes()
