import numpy as np
import pytest
from PIL import Image, ImageDraw
from skimage.color import rgb2lab

from sdxl_lora.editing import colour
from sdxl_lora.editing.recolour import recolour
from sdxl_lora.errors import ImageError, InputError
from tests.editing.photos import NAVY, garment

# Sharma, Wu, Dalal: "The CIEDE2000 Color-Difference Formula", 2005, table 1
PUBLISHED = [
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, 3.1571, -77.2803), (50.0, 0.0, -82.7485), 2.8615),
    ((50.0, 2.8361, -74.0200), (50.0, 0.0, -82.7485), 3.4412),
    ((50.0, -1.3802, -84.2814), (50.0, 0.0, -82.7485), 1.0),
    ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
    ((50.0, 2.4900, -0.0010), (50.0, -2.4900, 0.0009), 7.1792),
    ((50.0, 2.4900, -0.0010), (50.0, -2.4900, 0.0011), 7.2195),
    ((50.0, -0.0010, 2.4900), (50.0, 0.0009, -2.4900), 4.8045),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((50.0, 2.5, 0.0), (61.0, -5.0, 29.0), 22.8977),
    ((50.0, 2.5, 0.0), (56.0, -27.0, -3.0), 31.9030),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((63.0109, -31.0961, -5.8663), (62.8187, -29.7946, -4.0864), 1.2630),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


def product(colour_of: tuple[int, int, int] = NAVY) -> Image.Image:
    """A T-shirt with folds of this colour, cut out along its true edge."""
    photo, truth = garment(256, colour_of)
    photo.putalpha(Image.fromarray(truth.astype(np.uint8) * 255))
    return photo


def striped() -> Image.Image:
    image = product()
    draw = ImageDraw.Draw(image)
    alpha = image.getchannel("A")
    for top in range(0, 256, 24):
        draw.rectangle((0, top, 256, top + 11), fill=(240, 240, 240))
    image.putalpha(alpha)
    return image


@pytest.mark.parametrize(("one", "other", "published"), PUBLISHED)
def test_differences_are_those_published(one: colour.Lab, other: colour.Lab, published: float) -> None:
    assert colour.difference(one, other) == pytest.approx(published, abs=5e-5)


@pytest.mark.parametrize("swatch", ["#1F2A44", "#C3272B", "#F2F2F0", "#111111", "#E8B923", "#2E6F40"])
def test_the_colour_of_a_garment_is_found_through_its_folds(swatch: str) -> None:
    check = colour.compare(product(colour.parse(swatch)), colour.parse(swatch))
    assert check.garment.single
    assert check.difference < 3


def test_a_deep_shadow_over_a_third_of_the_garment_does_not_change_its_colour() -> None:
    image = product()
    pixels = np.array(image)
    pixels[:, 150:, :3] = pixels[:, 150:, :3] * 0.5
    assert colour.compare(Image.fromarray(pixels), NAVY).difference < 4


def test_a_print_does_not_pull_at_the_colour_of_the_garment() -> None:
    image = product()
    ImageDraw.Draw(image).rectangle((105, 90, 150, 130), fill=(255, 255, 255, 255))
    check = colour.compare(image, NAVY)
    assert check.garment.single
    assert check.difference < 3


def test_stripes_are_no_single_colour_and_said_so() -> None:
    check = colour.compare(striped(), NAVY)
    assert not check.garment.single
    assert not check.matches
    assert check.words.startswith("no single colour: ")


@pytest.mark.parametrize(
    ("swatch", "begins"), [("#1F2A44", "the colour matches: off by"), ("#C3272B", "another colour: off by ")]
)
def test_the_difference_is_said_in_words_with_the_swatch(swatch: str, begins: str) -> None:
    words = colour.compare(product(), colour.parse(swatch)).words
    assert words.startswith(begins)
    assert f"the swatch is {swatch}" in words


def test_a_product_without_an_opaque_pixel_has_no_colour() -> None:
    with pytest.raises(ImageError, match="nothing of the product is opaque"):
        colour.garment_colour(Image.new("RGBA", (64, 64)))


@pytest.mark.parametrize("text", ["#1F2A44", "1f2a44", " #1F2A44 "])
def test_hexadecimal_colours_are_read(text: str) -> None:
    assert colour.parse(text) == NAVY


def test_three_digits_stand_for_six() -> None:
    assert colour.to_hex(colour.parse("#fa0")) == "#FFAA00"


@pytest.mark.parametrize("text", ["", "navy", "#12345", "#GGGGGG", "#1F2A4４", "1F2A44FF"])
def test_what_is_no_colour_is_one_line(text: str) -> None:
    with pytest.raises(InputError, match="is no colour; write it as #1F2A44"):
        colour.parse(text)


@pytest.mark.parametrize("swatch", ["#C3272B", "#2E6F40", "#E8B923", "#8A8D8F", "#111111", "#F4F1EA"])
def test_a_recoloured_garment_has_the_colour_of_the_swatch(swatch: str) -> None:
    done = recolour(product((120, 40, 60)), colour.parse(swatch))
    check = colour.compare(done, colour.parse(swatch))
    assert check.matches, check.words


def test_folds_stay_when_a_garment_is_recoloured() -> None:
    before = product((120, 40, 60))
    after = recolour(before, (40, 90, 140))
    there = np.asarray(before)[..., 3] == 255
    one, other = (rgb2lab(np.asarray(image)[..., :3])[there][:, 0] for image in (before, after))
    assert np.corrcoef(one, other)[0, 1] > 0.98
    assert other.std() > 0.5 * one.std()


def test_prints_and_the_edge_stay_when_a_garment_is_recoloured() -> None:
    before = product((120, 40, 60))
    ImageDraw.Draw(before).rectangle((105, 90, 150, 130), fill=(250, 250, 250, 255))
    after = np.asarray(recolour(before, (40, 90, 140)))
    assert (after[92:128, 108:148, :3] == 250).all()
    assert (after[..., 3] == np.asarray(before)[..., 3]).all()


def test_a_striped_garment_is_not_recoloured() -> None:
    with pytest.raises(ImageError, match="no single colour"):
        recolour(striped(), (40, 90, 140))
