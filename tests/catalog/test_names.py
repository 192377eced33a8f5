"""A name can be written on any system, stands inside the folder, and is given once."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sdxl_lora.catalog.names import MOST_BYTES, Names, safe
from sdxl_lora.errors import DataError

QUICK = settings(max_examples=200, deadline=None, database=None)


@QUICK
@given(text=st.text(max_size=300))
@example(text="../../etc/passwd")
@example(text="C:\\Windows\\system32")
@example(text="..")
@example(text="CON")
@example(text="con.png")
@example(text="a\0b")
@example(text="＜../＞")
@example(text="\u202egnp.exe")
@example(text="x" * 400)
@example(text=".hidden")
def test_no_text_leads_out_of_the_folder_or_is_no_name(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name = safe(text)
    assert len(name.encode()) <= MOST_BYTES + 1
    if name:
        folder = Path("/work")
        assert (folder / f"{name}.png").resolve().parent == folder
        assert not name.startswith((".", "-"))
        assert all(c.isalnum() or c in "._-" for c in name)
        assert name.split(".")[0].lower() not in ("con", "nul", "com1", "prn", "aux")


def test_what_people_call_products_stays_readable() -> None:
    assert safe("B012345678") == "B012345678"
    assert safe("Jacke 38/40, grün") == "Jacke-38-40-grün"
    assert safe("../../etc/passwd") == "etc-passwd"


def test_a_name_is_given_once_whatever_its_case() -> None:
    names = Names()
    assert [names.take("A/1"), names.take("a 1"), names.take("A", "1")] == ["A-1", "a-1-2", "A-1-3"]
    with pytest.raises(DataError, match=r"'\.\.' has no letter or digit"):
        names.take("..")
