"""What other programs leave in folders of pictures: splits, side files, repeats, and what is left out and why."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sdxl_lora.data import checks, folders, masks
from sdxl_lora.data.sources import open_source
from sdxl_lora.errors import DataError
from tests.data.conftest import encoded


@pytest.fixture
def add(tmp_path, noise):
    """Adds a picture to the set, with a caption beside it."""

    def make(name: str, caption: str | None = "a red top", suffix: str = ".txt", **shape) -> None:
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise(seed=len(list(tmp_path.rglob("*"))), **shape).save(path, format="PNG")
        if caption is not None:
            path.with_suffix(suffix).write_text(caption, encoding="utf-8-sig")

    return make


def opened(tmp_path, **settings):
    return open_source(str(tmp_path / "set"), **settings)


def test_of_train_and_test_folders_train_is_read_and_the_other_counted(add, tmp_path):
    for name in ("train/1.png", "train/2.png", "test/1.png", "validation/9.png"):
        add(name)
    source = opened(tmp_path)
    assert list(source.keys) == ["train/1.png", "train/2.png"]
    assert source.left_out == {
        "test/1.png": "of the split test: training reads train",
        "validation/9.png": "of the split validation: training reads train",
    }


def test_of_parquet_files_of_both_splits_train_is_read(tmp_path, noise):
    (tmp_path / "set" / "data").mkdir(parents=True)
    for name, text in (("train-00000", "a"), ("test-00000", "b")):
        table = pa.table({"image": [{"bytes": encoded(noise()), "path": None}], "text": [text]})
        pq.write_table(table, tmp_path / "set" / "data" / f"{name}.parquet")
    source = opened(tmp_path)
    assert list(source.captions) == [("a",)]
    assert list(source.left_out) == ["data/test-00000.parquet"]


def test_metadata_files_of_both_splits_and_of_several_folders(add, tmp_path):
    for folder in ("red", "blue", "test", "train/more"):
        add(f"{folder}/1.png", None)
        (tmp_path / "set" / folder / "metadata.jsonl").write_text(
            json.dumps({"file_name": "1.png", "text": folder})
        )
    assert list(opened(tmp_path).keys) == ["blue/1.png", "red/1.png", "train/more/1.png"]  # test is held out


def test_of_red_and_blue_both_are_read(add, tmp_path):
    for folder in ("red", "blue"):
        add(f"{folder}/1.png", None)
        (tmp_path / "set" / folder / "metadata.csv").write_text(f"file_name,text\n1.png,{folder}\n")
    source = opened(tmp_path)
    assert list(source.keys) == ["blue/1.png", "red/1.png"]
    assert list(source.captions) == [("blue",), ("red",)]
    assert source.read(0) != source.read(1)


def test_the_image_column_names_the_files_of_a_list_too(add, tmp_path):
    add("a.png", None)
    row = {"file_name": "gone.png", "photo": "a.png", "text": "a top"}
    (tmp_path / "set" / "metadata.jsonl").write_text(json.dumps(row))
    assert list(opened(tmp_path, image_column="photo").keys) == ["a.png"]


def test_json_lines_end_at_line_feeds_alone(add, tmp_path):
    add("a.png", None)
    row = json.dumps({"file_name": "a.png", "text": "left\u2028right\u0085end"}, ensure_ascii=False)
    file = tmp_path / "set" / "metadata.jsonl"
    file.write_text(row + "\r\n")
    assert list(opened(tmp_path).captions) == [("left\u2028right\u0085end",)]
    file.write_text(row + "\n\n{broken")
    with pytest.raises(DataError, match="at line 3, column 2"):
        opened(tmp_path)


def test_line_breaks_in_csv_cells_do_not_glue_words(add, tmp_path):
    add("a.png", None)
    with (tmp_path / "set" / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file_name", "text"], ["a.png", "a red\ntop, studio"]])
    assert list(opened(tmp_path).captions) == [("a red top, studio",)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file_name,text\na.png,a top, red\n", "more cells than columns in row 1"),
        ("file_name,text\na.png," + "x" * 200_000, "not valid CSV: field larger than field limit"),
    ],
)
def test_bad_csv_is_one_line(add, tmp_path, text, says):
    add("a.png", None)
    (tmp_path / "set" / "metadata.csv").write_text(text)
    with pytest.raises(DataError, match=says):
        opened(tmp_path)


def test_side_files_may_be_called_caption_or_written_large(add, tmp_path):
    for name, suffix in (("1.png", ".txt"), ("2.png", ".TXT"), ("3.png", ".caption")):
        add(name, f"caption {name}", suffix)
    assert list(opened(tmp_path).captions) == [(f"caption {n}.png",) for n in (1, 2, 3)]


def test_the_original_projects_list_may_begin_with_a_byte_order_mark(add, tmp_path):
    add("images/a.png", None)
    rows = json.dumps([{"fileName": "a.png", "LogoName": "x", "caption": "a top"}])
    (tmp_path / "set" / "list.json").write_text(rows, encoding="utf-8-sig")
    source = opened(tmp_path)
    assert (source.kind, list(source.captions), dict(source.left_out)) == ("json list", [("a top",)], {})


def test_folders_of_kohyas_scripts_repeat_and_name_their_pictures(add, tmp_path):
    add("3_halden tee/1.png", None)
    add("3_halden tee/2.png", "a teal tee")
    add("1_reg/9.png", None)
    source = opened(tmp_path)
    assert len(source) == 6
    assert set(source.captions) == {("halden tee",), ("a teal tee",)}
    assert source.left_out == {"1_reg/9.png": "regularisation: give its folder as --class_data_dir"}


def test_a_repeated_picture_is_checked_once_and_is_no_duplicate_of_itself(add, tmp_path):
    add("3_halden/1.png", "a teal tee")
    report = checks.check(opened(tmp_path), resolution=32, multiple=8)
    assert (report.pictures, report.shown, report.duplicates, report.problems) == (1, 3, [], 0)
    assert "1 pictures, shown 3 times in an epoch" in next(checks.lines(report))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("._1.png", "a shadow file of macOS, no picture"),
        ("__MACOSX/1.png", "a shadow file of macOS, no picture"),
        (".trash/1.png", "hidden: its name or folder begins with a dot"),
        ("2.HEIC", ".heic is not read here: convert it to PNG or JPEG"),
        ("2.jxl", ".jxl is not read here: convert it to PNG or JPEG"),
    ],
)
def test_what_is_left_out_is_said_with_its_reason(add, tmp_path, name, why):
    add("1.png")
    add("3.jfif")
    add(name, None)
    source = opened(tmp_path)
    assert list(source.keys) == ["1.png", "3.jfif"]
    assert source.left_out == {name: why}
    said = list(checks.lines(checks.check(source, resolution=32, multiple=8)))
    assert f"1 files are left out, {why}: {name}" in said


def test_pictures_that_no_list_names_are_said(add, tmp_path):
    add("a.png", None)
    add("b.png", None)
    (tmp_path / "set" / "metadata.jsonl").write_text(json.dumps({"file_name": "a.png", "text": "a top"}))
    assert opened(tmp_path).left_out == {"b.png": "no list names it"}


def test_masks_of_equal_names_lie_in_sub_folders_or_are_refused(tmp_path, noise):
    keys, sizes = ["red/1.png", "blue/1.png"], [(40, 30), (40, 30)]
    for name in ("red/1.png", "blue/1.png"):
        (tmp_path / name).parent.mkdir()
        noise().save(tmp_path / name)
    found = masks.open_masks(tmp_path, keys, sizes, 0.1)
    assert found.paths == {0: tmp_path / "red/1.png", 1: tmp_path / "blue/1.png"}
    (tmp_path / "flat").mkdir()
    noise().save(tmp_path / "flat" / "1.png")
    with pytest.raises(
        DataError, match=r"could belong to red/1.png or blue/1.png; put masks into sub-folders"
    ):
        masks.open_masks(tmp_path / "flat", keys, sizes, 0.1)


def test_a_picture_is_shown_once_unless_its_folder_says_otherwise(tmp_path):
    assert folders.repeats(tmp_path / "10_tee" / "1.png", tmp_path) == 10
    assert (
        folders.repeats(tmp_path / "10_tee" / "1.png", tmp_path / "10_tee") == 1
    )  # the folder that was given
    assert folders.repeats(tmp_path / "tee" / "1.png", tmp_path) == 1
