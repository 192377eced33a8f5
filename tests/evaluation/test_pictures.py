"""Every kind of picture is read in a stated way or refused in one line."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from sdxl_lora.data import images
from sdxl_lora.errors import ImageError
from sdxl_lora.evaluation.pictures import BlankCard, FileSource, Moved, read_picture
from tests.evaluation.drawing import garment, noisy


def test_a_plain_picture_needs_no_treatment(tmp_path: Path) -> None:
    noisy(1).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    assert picture.notes == ()
    assert np.array_equal(picture.pixels, np.asarray(noisy(1)))


def test_alpha_is_laid_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (200, 0, 0, 0)).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    assert picture.notes == ("alpha: laid on white",)
    assert (picture.pixels == 255).all()


def test_transparency_of_a_palette_is_laid_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30] * 256)
    image.save(tmp_path / "a.png", transparency=0)
    assert (read_picture(tmp_path / "a.png").pixels == 255).all()


def test_sixteen_bit_grey_is_rounded_to_eight(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 257, 65_535]], np.uint16)).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    assert picture.pixels[0].tolist() == [[0] * 3, [1] * 3, [255] * 3]
    assert "16-bit: rounded to 8" in picture.notes


def test_sixteen_bit_colour_is_noticed(tmp_path: Path) -> None:
    values = np.full((4, 4, 3), (65_535, 32_768, 0), np.uint16)  # OpenCV writes blue first
    cv2.imwrite(str(tmp_path / "a.png"), values)
    picture = read_picture(tmp_path / "a.png")
    assert picture.notes == ("16-bit: rounded to 8",)
    assert picture.pixels[0, 0].tolist() == [0, 128, 255]


def test_grey_is_repeated_over_three_channels(tmp_path: Path) -> None:
    Image.new("L", (4, 4), 90).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    assert picture.pixels.shape == (4, 4, 3)
    assert picture.notes == ("grey: repeated over three channels",)


def test_cmyk_is_converted_and_said_so(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    picture = read_picture(tmp_path / "a.jpg")
    assert picture.notes == ("CMYK: converted without a profile",)
    red, green, blue = picture.pixels[4, 4]
    assert red > 200
    assert max(green, blue) < 60


def test_a_profile_that_is_not_for_cmyk_is_not_trusted(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("CMYK", (8, 8)).save(tmp_path / "a.jpg", icc_profile=profile)
    assert read_picture(tmp_path / "a.jpg").notes == (
        "CMYK: converted without its profile, which is damaged",
    )


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (20, 10), "white")
    exif = image.getexif()
    exif[0x0112] = 6  # turned by a quarter
    image.save(tmp_path / "a.jpg", exif=exif)
    picture = read_picture(tmp_path / "a.jpg")
    assert picture.size == (10, 20)
    assert picture.notes == ("turned upright (EXIF)",)


def test_of_an_animation_the_first_frame_is_used(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    picture = read_picture(tmp_path / "a.gif")
    assert "animated: first of 3 frames" in picture.notes
    assert picture.pixels[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n and nothing"])
def test_what_is_no_picture_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(ImageError, match=r"broken\.png cannot be read as a picture"):
        read_picture(tmp_path / "broken.png")


def test_a_truncated_picture_is_refused(tmp_path: Path) -> None:
    noisy(1).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match="cannot be read as a picture"):
        read_picture(tmp_path / "a.png")


def test_a_huge_picture_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 1_000)
    noisy(1, side=64).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="larger than 1,000 pixels"):
        read_picture(tmp_path / "a.png")


def test_floating_point_pixels_of_no_known_range_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 1.5, np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match="floating-point"):
        read_picture(tmp_path / "a.tif")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none\.png cannot be opened"):
        read_picture(tmp_path / "none.png")


def test_resizing_is_pils_bicubic_and_done_once(tmp_path: Path) -> None:
    noisy(2).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    expected = np.asarray(noisy(2).resize((32, 32), Image.Resampling.BICUBIC))
    assert np.array_equal(picture.resized(32), expected)
    assert picture.resized(32) is picture.resized(32)


def test_equal_files_have_equal_identities_wherever_they_lie(tmp_path: Path) -> None:
    noisy(1).save(tmp_path / "a.png")
    noisy(1).save(tmp_path / "b.png")
    noisy(2).save(tmp_path / "c.png")
    a, b, c = (FileSource(tmp_path / name).identity for name in ("a.png", "b.png", "c.png"))
    assert a == b != c


def test_the_moved_baseline_moves_by_8_of_256_px_and_repeats_the_edge(tmp_path: Path) -> None:
    noisy(1, side=256).save(tmp_path / "a.png")
    original = read_picture(tmp_path / "a.png").pixels
    moved = Moved(FileSource(tmp_path / "a.png")).decode().pixels
    assert np.array_equal(moved[:, 8:], original[:, :-8])
    assert np.array_equal(moved[:, :8], np.repeat(original[:, :1], 8, axis=1))


def test_the_blank_card_is_blank() -> None:
    assert (BlankCard(32).decode().pixels == 243).all()


def test_a_garment_keeps_its_pixels_through_jpeg_reading(tmp_path: Path) -> None:
    garment("red").save(tmp_path / "a.jpg", quality=95)
    red, green, _ = read_picture(tmp_path / "a.jpg").pixels[32, 32]
    assert red > 240
    assert green < 20


def test_a_file_that_was_replaced_has_another_identity(tmp_path: Path) -> None:
    path = tmp_path / "a.bmp"
    noisy(1).save(path)
    before = FileSource(path).identity
    noisy(2).save(path)  # of the same size
    os.utime(path, ns=(1, 1))
    assert FileSource(path).identity != before
