"""Every picture becomes upright, opaque RGB, and what it was is reported."""

import numpy as np
import pytest
from PIL import Image

from sdxl_lora.data.images import decode
from sdxl_lora.errors import ImageError
from tests.data.conftest import encoded


def test_exif_rotation_is_applied(noise):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    image, facts = decode(encoded(noise(40, 30), "JPEG", exif=exif), "x")
    assert facts.rotated
    assert (image.height, image.width) == (facts.height, facts.width) == (30, 40)


def test_transparent_parts_become_white():
    image, facts = decode(encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 0))), "x")
    assert facts.transparent
    assert image.getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bit_grey_is_scaled_and_not_clipped():
    pixels = np.full((4, 4), 32896, np.uint16)
    image, facts = decode(encoded(Image.fromarray(pixels)), "x")
    assert facts.mode.startswith("I")
    assert image.getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "LA"])
def test_other_modes_become_rgb(mode, noise):
    form = "JPEG" if mode == "CMYK" else "PNG"
    image, facts = decode(encoded(noise().convert(mode), form), "x")
    assert image.mode == "RGB"
    assert facts.mode == mode


def test_an_animated_picture_gives_its_first_frame(noise):
    frames = [noise(seed=n).convert("P") for n in range(2)]
    image, facts = decode(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), "x")
    assert facts.frames == 2
    assert image.size == (30, 40)


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n broken"])
def test_what_is_no_picture_is_named(data):
    with pytest.raises(ImageError, match=r"^shirt.png cannot be read as a picture"):
        decode(data, "shirt.png")


def test_a_cut_off_picture_is_named(noise):
    with pytest.raises(ImageError, match=r"shirt.png cannot be read as a picture"):
        decode(encoded(noise(200, 200))[:400], "shirt.png")
