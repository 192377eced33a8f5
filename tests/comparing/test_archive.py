"""ZIP files that come from anybody."""

import io
import zipfile

import pytest

from sdxl_lora.comparing import archive
from sdxl_lora.errors import DataError
from tests.comparing.conftest import file_of


def packed(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return buffer.getvalue()


def test_pictures_are_read_whatever_folder_they_are_in_and_the_rest_is_left_out() -> None:
    files = {
        "a/1.png": file_of(),
        "a/2.JPG": file_of(kind="JPEG"),
        "notes.txt": b"x",
        "__MACOSX/._1.png": b"x",
    }
    found = archive.read_zip(packed({**files, ".hidden.png": b"x"}))
    assert found == {"1.png": file_of(), "2.JPG": file_of(kind="JPEG")}


@pytest.mark.parametrize("name", ["../1.png", "a/../../1.png", "/etc/1.png", "..\\1.png", "C:\\1.png"])
def test_a_name_that_leads_outside_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="outside itself"):
        archive.read_zip(packed({"2.png": file_of(), name: file_of()}))


def test_a_link_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        link = zipfile.ZipInfo("1.png")
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="a link"):
        archive.read_zip(buffer.getvalue())


def test_a_bomb_is_refused_by_what_comes_out_whatever_it_says_of_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(archive, "MOST_BYTES", 10_000)
    with pytest.raises(DataError, match="too large unpacked"):
        archive.read_zip(packed({"1.png": b"\0" * 10_001}))


def test_all_pictures_together_have_a_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_BYTES_IN_ALL", 10_000)
    with pytest.raises(DataError, match="too large unpacked"):
        archive.read_zip(packed({f"{i}.png": b"\0" * 3_000 for i in range(5)}))


def test_too_many_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_FILES", 3)
    with pytest.raises(DataError, match="holds 4 files"):
        archive.read_zip(packed({f"{i}.png": file_of() for i in range(4)}))


def test_one_name_twice_is_refused() -> None:
    with pytest.raises(DataError, match=r"two pictures named '1\.png'"):
        archive.read_zip(packed({"a/1.png": file_of(), "b/1.png": file_of()}))


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"no zip at all", "cannot be read as a ZIP"), (packed({"a.txt": b"x"}), "no pictures")],
)
def test_what_is_no_zip_of_pictures_is_one_line(data: bytes, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        archive.read_zip(data, "upload.zip")


def test_a_damaged_zip_is_one_line() -> None:
    data = bytearray(packed({"1.png": file_of(side=200)}, zipfile.ZIP_STORED))
    data[60:70] = b"\xff" * 10
    with pytest.raises(DataError, match="cannot be read as a ZIP"):
        archive.read_zip(bytes(data))


def test_an_encrypted_zip_is_one_line() -> None:
    data = bytearray(packed({"1.png": file_of()}))
    data[6] |= 1  # the flag of the file's own header ...
    data[data.index(b"PK\x01\x02") + 8] |= 1  # ... and of the directory's
    with pytest.raises(DataError, match="cannot be read as a ZIP"):
        archive.read_zip(bytes(data))
