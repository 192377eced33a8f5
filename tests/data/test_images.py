"""Every picture becomes upright, opaque RGB, and what it was is reported."""

import gzip
import io
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from sdxl_lora.data.images import content, decode
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


def float_tiff(values, **options) -> bytes:
    file = io.BytesIO()
    colours: dict[str, Any] = {"photometric": "rgb"} if values.ndim == 3 else {}
    tifffile.imwrite(file, values, **colours, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "white"),
    [("float16", 255), *((kind, w) for kind in ("float32", "float64") for w in (1, 255, 65_535))],
)
@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 3)])
def test_floating_point_pixels_are_as_bright_as_in_the_program_that_saved_them(shape, white, kind):
    values = np.zeros(shape, kind)
    values[0], values[1] = white, white / 2
    image, facts = decode(float_tiff(values), "x.tif")
    assert (image.mode, facts.height, facts.width) == ("RGB", 6, 4)
    assert [image.getpixel((0, row)) for row in range(3)] == [(255,) * 3, (128,) * 3, (0,) * 3]
    assert f"floating point: 0..{white} to 8 bits" in facts.notes


def test_floating_point_alpha_channels_and_turned_pictures_are_as_in_other_files():
    values = np.zeros((6, 4, 4), np.float32)
    values[0, 0] = 1
    image, facts = decode(float_tiff(values, extratags=[(0x0112, "H", 1, 3, True)]), "x.tif")
    assert (facts.transparent, facts.rotated) == (True, True)
    assert image.getpixel((0, 0)) == (255, 255, 255)
    apart = np.zeros((3, 6, 4), np.float32)
    apart[0] = 1
    assert decode(float_tiff(apart, planarconfig="separate"), "x.tif")[0].getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.full((4, 4, 3), 1.5, np.float32) * [[[1, 0, 1]]], "from 0 to 1.5, of which white is not known"),
        (np.full((4, 4), -1.0, np.float32), "from -1 to -1"),
        (np.full((4, 4), np.nan, np.float32), "NaN"),
    ],
)
def test_floating_point_pixels_of_no_known_range_are_refused_and_not_guessed(values, reason):
    with pytest.raises(ImageError, match=f"^x.tif cannot be read as a picture .*{reason}"):
        decode(float_tiff(values.astype(np.float32)), "x.tif")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\0\0\0\x18ftypheic" + b"\0" * 40, "HEIC"),
        (b"\xff\x0a" + b"\0" * 40, "JPEG XL"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n{} loop\n", "EPS"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', r"a drawing \(SVG\)"),
    ],
)
def test_a_format_that_is_not_read_is_called_by_its_name(data, kind):
    with pytest.raises(ImageError, match=f"^phone.heic is {kind}, which is not read here; convert it to PNG"):
        decode(data, "phone.heic")


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


def test_only_formats_of_pictures_are_tried():
    """Pillow unpacks a compressed FITS table whole before it looks at its size."""
    cards = ("SIMPLE  = T", "XTENSION= 'BINTABLE'", "ZCMPTYPE= 'GZIP_1  '", "ZBITPIX = 8", "ZNAXIS  = 2")
    cards += (
        "ZNAXIS1 = 64",
        "ZNAXIS2 = 64",
        "BITPIX  = 8",
        "NAXIS   = 2",
        "NAXIS1  = 64",
        "NAXIS2  = 64",
        "END",
    )
    table = "".join(card.ljust(80) for card in cards).ljust(2880).encode() + gzip.compress(bytes(64 * 64))
    with pytest.raises(ImageError, match=r"^shirt.png cannot be read as a picture; replace"):
        decode(table, "shirt.png")


def test_no_more_of_a_file_is_read_than_a_picture_can_have(tmp_path):
    (tmp_path / "shirt.png").write_bytes(bytes(3 * 2**20))
    with pytest.raises(ImageError, match=r"shirt.png is larger than 2 MB; use a smaller file"):
        content(tmp_path / "shirt.png", most=2 * 2**20)
    with pytest.raises(
        ImageError, match=r"none.png cannot be opened: No such file or directory; check the path"
    ):
        content(tmp_path / "none.png")


def test_a_cut_off_picture_is_named(noise):
    with pytest.raises(ImageError, match=r"shirt.png cannot be read as a picture"):
        decode(encoded(noise(200, 200))[:400], "shirt.png")
