"""Which picture belongs to which row."""

import pytest

from sdxl_lora.comparing.matching import match_files
from sdxl_lora.comparing.prompts import Row
from sdxl_lora.errors import DataError

ROWS = tuple(Row(key=key, prompt=key) for key in ("hoodie", "coat", "cap"))


@pytest.mark.parametrize(
    ("files", "expected", "rule"),
    [
        (["coat.png", "HOODIE.jpg", "cap.png"], {0: "HOODIE.jpg", 1: "coat.png", 2: "cap.png"}, "by name"),
        (["1.png", "2.png", "3.png"], {0: "1.png", 1: "2.png", 2: "3.png"}, "by number"),
        (["img_00.png", "img_02.png"], {0: "img_00.png", 2: "img_02.png"}, "by number"),
        (
            ["v2_01.png", "v2_02.png", "v2_03.png"],
            {0: "v2_01.png", 1: "v2_02.png", 2: "v2_03.png"},
            "by number",
        ),
    ],
)
def test_pictures_are_paired_by_name_or_by_number(
    files: list[str], expected: dict[int, str], rule: str
) -> None:
    found = match_files(files, ROWS, "B")
    assert found.files == expected
    assert rule in found.notes[0]


def test_what_was_paired_missing_and_unused_is_said() -> None:
    found = match_files(["hoodie.png", "cap.png", "dress.png"], ROWS, "B")
    assert found.notes == (
        "B: paired by name: hoodie.png → hoodie, cap.png → cap",
        "B: no picture for coat",
        "B: not used, no such row: dress.png",
    )


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["a.png", "b.png"], "no file is named after a row"),
        (["7.png", "8.png"], "no number in the file names"),
        (["a1.png", "b1.png"], r"a1\.png and b1\.png both fit the row 'hoodie'"),
        (["cap.png", "cap.jpg"], "both fit the row 'cap'"),
    ],
)
def test_what_does_not_fit_is_refused_not_guessed(files: list[str], expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        match_files(files, ROWS, "B")
