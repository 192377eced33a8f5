"""Tables as people have them are read; what is wrong with a row is said of that row, and the others go on."""

import io
import json
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from sdxl_lora.catalog import tables, xlsx_tables
from sdxl_lora.catalog.tables import Table, guarded, parse, unguarded
from sdxl_lora.errors import DataError, InputError

QUICK = settings(max_examples=60, deadline=None, database=None)


def cells(table: Table) -> list[list[str]]:
    return [list(row.cells.values()) for row in table.rows]


def workbook(rows: list[list[object]], **more: list[list[object]]) -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    for title, lines in more.items():
        other = book.create_sheet(title)
        for row in lines:
            other.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


# ---------------------------------------------------------------- CSV


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_encodings_and_delimiters_are_found_out(encoding: str, delimiter: str) -> None:
    lines = [
        ["sku", "Größe", "colour"],
        ["Ä-1", "38", "bleu foncé"],
        ["Ä-2", "40", "grün"],
        ["Ä-3", "", "weiß"],
    ]
    text = "\r\n".join(delimiter.join(line) for line in lines)
    table = parse(text.encode(encoding), "a.csv")
    assert table.columns == ("sku", "Größe", "colour")
    assert cells(table) == lines[1:]
    assert [row.number for row in table.rows] == [2, 3, 4]


def test_an_encoding_that_was_guessed_is_said_and_another_can_be_given() -> None:
    text = "sku,product\n1,紺のウインドブレーカー\n2,赤いダウンジャケット、フード付き\n3,黒のコート\n"
    found = parse(text.encode("shift_jis"), "a.csv")
    assert "say the encoding" in found.notes[0]
    assert cells(parse(text.encode("shift_jis"), "a.csv", encoding="shift_jis"))[0] == [
        "1",
        "紺のウインドブレーカー",
    ]
    with pytest.raises(DataError, match="is not utf-8: byte 14"):
        parse(text.encode("shift_jis"), "a.csv", encoding="utf-8")
    with pytest.raises(DataError, match="no encoding is called 'klingon'"):
        parse(b"a,b\n1,2", "a.csv", encoding="klingon")


def test_cells_may_hold_delimiters_quotes_and_line_breaks_and_rows_are_counted_as_a_spreadsheet_does() -> (
    None
):
    table = parse(b'sku,words\nA,"one, ""two""\nthree"\n\nB,"x"\n', "a.csv")
    assert cells(table) == [["A", 'one, "two"\nthree'], ["B", "x"]]
    assert [row.number for row in table.rows] == [2, 4]


def test_one_column_is_a_table_too() -> None:
    assert cells(parse(b"prompt\na red coat\na blue coat, hooded\n", "a.csv", delimiter=";")) == [
        ["a red coat"],
        ["a blue coat, hooded"],
    ]
    assert cells(parse(b"prompt\na red coat\n", "a.csv")) == [["a red coat"]]


def test_columns_without_a_name_or_with_the_same_one_are_told_apart() -> None:
    table = parse(b"sku,,sku,\n1,2,3,\n", "a.csv")
    assert table.columns == ("sku", "column 2", "sku 2")


def test_giant_cells_and_rows_of_another_width_are_problems_of_their_rows() -> None:
    giant, long = "x" * 300_000, "y" * 30_000
    table = parse(f"sku,words\nA,fine\nB,{giant}\nC,fine\nD,{long}\nE,a,b\nF\n".encode(), "a.csv")
    assert {row.number: row.problem for row in table.rows if row.problem} == {
        3: "a cell has more than 131,072 characters; shorten it",
        5: "words has 30,000 characters; shorten it to 20,000",
        6: "it has 3 cells for 2 columns; quote cells that have delimiters in them",
    }
    assert [row.cells["sku"] for row in table.rows if not row.problem] == ["A", "C", "F"]


@pytest.mark.slow
def test_a_cell_of_100_mb_is_a_problem_of_its_row() -> None:
    data = b'sku,words\nA,fine\nB,"' + b"x" * 100_000_000 + b'"\nC,fine\n'
    tracemalloc.start()
    table = parse(data, "a.csv")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [bool(row.problem) for row in table.rows] == [False, True, False]
    assert peak < 1_000_000_000


def test_files_that_are_no_table_are_one_line(tmp_path: Path) -> None:
    for data, said in (
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"sku,colour\n", "has a header and no rows"),
        (b",,,\n", "has no header"),
        (",".join(f"c{n}" for n in range(400)).encode() + b"\n1", "has 400 columns"),
        (b"\xd0\xcf\x11\xe0rest", "is an old Excel file"),
    ):
        with pytest.raises(DataError, match=said):
            parse(data, "a.csv")
    with pytest.raises(DataError, match="cannot be read"):
        tables.read(tmp_path / "gone.csv")
    with pytest.raises(DataError, match="cannot be read"):
        tables.read(tmp_path)


def test_too_many_rows_and_bytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST_ROWS", 10)
    with pytest.raises(DataError, match="more than 10 rows"):
        parse(b"sku\n" + b"1\n" * 11, "a.csv")
    monkeypatch.setattr(tables, "MOST_BYTES", 10)
    with pytest.raises(DataError, match="is larger than"):
        parse(b"sku\n" + b"1\n" * 11, "a.csv")


# ---------------------------------------------------------------- XLSX


def test_the_first_sheet_with_rows_is_read_or_the_one_that_is_named() -> None:
    data = workbook(
        [],
        Products=[["sku", "size", "new"], [1001, 38.5, True], [None], [1002, 40.0, None]],
        Other=[["a"], [1]],
    )
    table = parse(data, "a.xlsx")
    assert cells(table) == [["1001", "38.5", "true"], ["1002", "40", ""]]
    assert [row.number for row in table.rows] == [2, 4]
    assert "'Products' of 3" in table.notes[0]
    assert parse(data, "a.xlsx", sheet="Other").columns == ("a",)
    with pytest.raises(InputError, match="did you mean 'Other'"):
        parse(data, "a.xlsx", sheet="Othr")
    assert parse(data, "a.csv").columns == table.columns  # by what it is, not by its name


def test_a_sheet_that_unpacks_to_something_huge_is_refused_before_it_is_unpacked() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * 60_000_000)
    with pytest.raises(DataError, match="times its size"):
        parse(packed.getvalue(), "bomb.xlsx")


def test_a_sheet_that_lies_about_its_size_is_read_as_far_as_it_goes() -> None:
    source = zipfile.ZipFile(io.BytesIO(workbook([["sku"], ["A"]])))
    lying = io.BytesIO()
    with zipfile.ZipFile(lying, "w") as archive:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("sheet1.xml"):
                data = data.replace(b'ref="A1:A2"', b'ref="A1:XFD1048576"')
            archive.writestr(name, data)
    assert cells(parse(lying.getvalue(), "a.xlsx")) == [["A"]]


def test_a_row_far_below_ends_the_reading_and_not_the_memory() -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["sku"])
    sheet.append(["A"])
    sheet.cell(row=1_000_000, column=1, value="far")
    buffer = io.BytesIO()
    book.save(buffer)
    assert cells(parse(buffer.getvalue(), "a.xlsx")) == [["A"]]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("nothing", b"PK\x03\x04 rest"),
        ("not XML", b"<worksheet"),
        (
            "entities",
            b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><worksheet>&c;</worksheet>',
        ),
    ],
)
def test_what_is_no_workbook_is_one_line(name: str, content: bytes) -> None:
    broken = io.BytesIO()
    with zipfile.ZipFile(broken, "w") as archive:
        archive.writestr("xl/worksheets/sheet1.xml", content)
    for data in (content, broken.getvalue()):
        with pytest.raises(DataError) as caught:
            xlsx_tables.parse(data, "a.xlsx")
        assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- JSON


def test_json_lines_and_lists_are_read_and_wrong_shapes_are_problems_of_their_rows() -> None:
    lines = [
        '{"sku": "A", "price": 1.5, "new": true, "note": null}',
        "[1]",
        '{"sku": {"a": 1}}',
        "{",
        '{"sku": NaN}',
        '{"later": 1}',
    ]
    table = parse("\n".join(lines).encode(), "a.jsonl")
    assert table.columns == ("sku", "price", "new", "note", "later")
    assert cells(table)[0] == ["A", "1.5", "true", "", ""]
    assert [row.problem[:40] for row in table.rows] == [
        "",
        "it is a list, and must be an object with",
        "sku is an object, and must be a text or ",
        "this is no JSON: Expecting property name",
        "sku is nan, which is no number",
        "",
    ]
    listed = parse(json.dumps([{"sku": "A"}, 5]).encode(), "a.json")
    assert [row.problem for row in listed.rows] == ["", "it is a number, and must be an object with columns"]
    for data in (b"[" * 100_000, b"5", b'"a"', b"\xff", b"{}", b"[]"):
        with pytest.raises(DataError):
            parse(data, "a.json")


# ---------------------------------------------------------------- formulas


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "'=x"])
def test_what_a_spreadsheet_would_run_is_written_as_text_and_read_back_as_it_was(text: str) -> None:
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t"))
    assert unguarded(guarded(text)) in (text, text.removeprefix("'"))


def test_numbers_and_words_are_written_as_they_are() -> None:
    for text in ("-5", "+4.5", "a=b", "", "'quoted'", "x'"):
        assert guarded(text) == text
        assert unguarded(text) == text


@QUICK
@given(content=st.binary(max_size=400), suffix=st.sampled_from(tables.SUFFIXES))
@example(content=b'a,b\n"', suffix=".csv")
@example(content=b"\xff\xfe", suffix=".csv")
@example(content=b"\xff\xfe\x00\xd8,\x00", suffix=".csv")
@example(content=b'{"\\ud800": 1}', suffix=".jsonl")
def test_any_bytes_are_a_table_or_one_line(content: bytes, suffix: str) -> None:
    said, rows = "", 1
    try:
        rows = len(parse(content, f"a{suffix}").rows)
    except InputError as error:
        said = str(error)
    assert "\n" not in said
    assert rows
