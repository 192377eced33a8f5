"""Input pictures: whatever a camera, a phone or a shop gives becomes one kept file, or one line that says why not."""

import hashlib
import io
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image

from sdxl_lora import inputs
from sdxl_lora.errors import ImageError, NotFoundError, StorageError

SVG = b'<?xml version="1.0"?>\n<!-- made by hand -->\n<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 4"/>'


@pytest.fixture
def photo() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 120, 3), np.uint8))


def encoded(image: Image.Image, kind: str = "PNG", **how) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **how)
    return buffer.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    """A few bytes that would become a picture of any size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


def test_a_kept_picture_is_found_by_its_hash_with_the_same_pixels(photo):
    kept = inputs.keep(photo)
    assert (kept.kind, kept.width, kept.height) == ("png", 120, 80)
    assert inputs.open(kept.hash).tobytes() == photo.tobytes()
    assert inputs.size(kept.hash) == (120, 80)
    assert hashlib.sha256(inputs.find(kept.hash).read_bytes()).hexdigest() == kept.hash


def test_the_same_pixels_are_one_file_whatever_file_they_came_in(photo):
    first = inputs.keep(photo)
    again = inputs.keep(encoded(photo, "PNG", compress_level=9))
    tiff = inputs.keep(encoded(photo, "TIFF"))
    assert first.hash == again.hash == tiff.hash
    assert len(list(inputs.folder().iterdir())) == 1


def test_nothing_of_a_photo_is_kept_but_its_pixels(photo):
    exif = Image.Exif()
    exif[0x010E] = "Jane Doe, 12 Elm Street"
    kept = inputs.keep(encoded(photo, "JPEG", exif=exif))
    assert b"Elm" not in inputs.read(kept.hash)
    assert inputs.open(kept.hash).info == {}


@pytest.mark.parametrize(
    ("kind", "mime"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp")]
)
def test_a_file_with_credentials_is_kept_beside_its_pixels_and_no_other_is(photo, kind, mime):
    plain = encoded(photo, kind)
    assert inputs.signed_original(inputs.keep(plain).hash) is None
    signed = plain + b"\0\0\0\x20jumb\0\0\0\x18jumdc2pa"  # behind the picture, where decoders do not look
    assert inputs.signed_original(inputs.keep(signed).hash) == (signed, mime)
    assert inputs.signed_original("0" * 64) is None
    assert inputs.signed_original("../../etc") is None


def test_a_photo_taken_upright_is_kept_upright(photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    kept = inputs.keep(encoded(photo, "JPEG", exif=exif))
    assert (kept.width, kept.height) == (80, 120)
    assert kept.notes == ("turned upright (EXIF)",)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "CMYK", "P", "1", "L", "I;16"])
def test_other_kinds_of_pixels_become_rgb(photo, mode):
    image = photo.convert("L") if mode == "I;16" else photo
    kind = "TIFF" if mode == "CMYK" else "PNG"
    kept = inputs.keep(encoded(image.convert(mode), kind))
    assert inputs.open(kept.hash).mode == "RGB"


def test_transparency_is_laid_on_white_unless_it_is_asked_for(photo):
    photo.putalpha(Image.new("L", photo.size, 0))
    assert inputs.open(inputs.keep(encoded(photo)).hash).getextrema() == ((255, 255),) * 3
    kept = inputs.open(inputs.keep(encoded(photo), alpha=True).hash)
    assert (kept.mode, kept.getextrema()[3]) == ("RGBA", (0, 0))


def test_sixteen_bits_are_scaled_and_not_clipped():
    data = encoded(Image.fromarray(np.full((64, 64), 32_896, np.uint16)))
    assert inputs.open(inputs.keep(data).hash).getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "cannot be read as a picture"),
        (b"<html>not found</html>", "cannot be read as a picture"),
        (b"%PDF-1.7 mislabelled as photo.jpg", "cannot be read as a picture"),
        (png_that_claims(60_000, 60_000), "larger than 50,000,000 pixels"),
        (png_that_claims(9_000, 6_000), "larger than 50,000,000 pixels"),
        (png_that_claims(640, 480), "cannot be read as a picture"),
    ],
)
def test_what_is_no_picture_or_a_bomb_is_refused_in_one_line(data, said):
    with pytest.raises(ImageError, match=said) as refused:
        inputs.keep(data, name="photo.jpg")
    assert str(refused.value).startswith("photo.jpg")
    assert "\n" not in str(refused.value)
    assert not inputs.folder().exists()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_cut_off_file_is_refused(photo, kind):
    data = encoded(photo, kind)
    with pytest.raises(ImageError, match="cannot be read as a picture"):
        inputs.keep(data[: len(data) // 2])


def test_64_px_are_enough_and_63_are_not(photo):
    assert inputs.keep(photo.resize((64, 64))).width == 64
    with pytest.raises(ImageError, match="63x200 px"):
        inputs.keep(photo.resize((63, 200)))
    assert inputs.keep(photo.resize((16, 8)), smallest=1).height == 8


def test_50_megapixels_are_kept():
    kept = inputs.keep(Image.new("L", (10_000, 5_000), 200))
    assert inputs.size(kept.hash) == (10_000, 5_000)


def test_a_hash_that_is_not_here_is_said_with_what_to_do():
    for digest in ("0" * 64, "../../etc/passwd", ""):
        with pytest.raises(NotFoundError, match="choose the picture or file again"):
            inputs.open(digest)


def test_a_file_that_changed_is_never_handed_out_and_is_mended_when_it_is_given_again(photo):
    kept = inputs.keep(photo)
    path = inputs.find(kept.hash)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20] + bytes(20))
    with pytest.raises(StorageError, match="is damaged"):
        inputs.open(kept.hash)
    inputs.keep(photo)
    assert path.read_bytes() == whole


def test_a_disk_that_refuses_leaves_no_half_file(photo, monkeypatch, tmp_path):
    file = tmp_path / "a file"
    file.write_text("")
    monkeypatch.setenv("SDXL_LORA_HOME", str(file))
    with pytest.raises(StorageError, match="a file is where a folder should be"):
        inputs.keep(photo)


def test_many_threads_may_keep_the_same_picture(photo):
    kept: list[str] = []
    threads = [threading.Thread(target=lambda: kept.append(inputs.keep(photo).hash)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(kept)) == 1
    assert len(kept) == 6
    assert [file.suffix for file in inputs.folder().iterdir()] == [".png"]


def test_a_drawing_is_kept_byte_for_byte():
    kept = inputs.keep_vector(SVG)
    assert (kept.kind, inputs.read(kept.hash)) == ("svg", SVG)
    with pytest.raises(ImageError, match="where a picture is needed"):
        inputs.open(kept.hash)
    with pytest.raises(ImageError, match="where a picture is needed"):
        inputs.size(kept.hash)


@pytest.mark.parametrize(
    "data", [b"", b"<html><svg></svg></html>", b"\x89PNG", b"x" * (inputs.MAX_VECTOR_BYTES + 1)]
)
def test_what_is_no_drawing_is_refused(data):
    with pytest.raises(ImageError, match=r"no SVG drawing|larger than 4 MB"):
        inputs.keep_vector(data, name="logo.svg")


def test_a_file_that_is_not_there_is_said(tmp_path, photo):
    with pytest.raises(ImageError, match="check the path"):
        inputs.keep_file(tmp_path / "none.png")
    photo.save(tmp_path / "photo.png")
    assert inputs.keep_file(tmp_path / "photo.png").width == 120
