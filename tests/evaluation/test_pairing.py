"""What is compared with what: by name, never silently less than all."""

import json
from pathlib import Path

import pytest

from sdxl_lora.errors import DataError
from sdxl_lora.evaluation.pairing import pair_folders, read_captions
from tests.evaluation.drawing import noisy, noisy_folders, save_all


def test_pictures_are_paired_by_name_whatever_their_suffix(tmp_path: Path) -> None:
    generated = save_all(tmp_path / "g", [("b.png", noisy(1)), ("a.jpg", noisy(2))])
    reference = save_all(tmp_path / "r", [("a.png", noisy(3)), ("b.png", noisy(4))])
    pairs = pair_folders(generated, reference).pairs
    assert [(p.name, p.generated.path.name, p.reference and p.reference.path.name) for p in pairs] == [
        ("a", "a.jpg", "a.png"),
        ("b", "b.png", "b.png"),
    ]


def test_unequal_folders_are_refused_with_the_names(tmp_path: Path) -> None:
    generated, reference = noisy_folders(tmp_path, 3)
    (reference / "img_02.png").rename(reference / "other.png")
    with pytest.raises(
        DataError, match=r"only in generated \(1\): img_02; only in reference \(1\): other.*--common-only"
    ):
        pair_folders(generated, reference)


def test_common_names_are_used_on_request_and_the_others_listed(tmp_path: Path) -> None:
    generated, reference = noisy_folders(tmp_path, 3)
    (reference / "img_02.png").unlink()
    pairing = pair_folders(generated, reference, common_only=True)
    assert [pair.name for pair in pairing.pairs] == ["img_00", "img_01"]
    assert pairing.notes == ("left out, only in generated (1): img_02",)


def test_folders_inside_a_folder_are_said(tmp_path: Path) -> None:
    generated, _ = noisy_folders(tmp_path, 2)
    save_all(generated / "more", [("img_09.png", noisy(9))])
    assert pair_folders(generated).notes == ("folders, not looked into in generated: more",)
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    with pytest.raises(DataError, match=r"has no pictures.*not looked into, name one of them: inner"):
        pair_folders(tmp_path / "outer")


def test_only_a_pictures_suffix_is_cut_from_a_name(tmp_path: Path) -> None:
    generated = save_all(tmp_path / "g", [("v1.5_001.png", noisy(1)), ("v1.5_002.png", noisy(2))])
    (tmp_path / "c.json").write_text(
        json.dumps({"v1.5_001": "a red cap", "folder\\v1.5_002.PNG": "a blue cap"})
    )
    pairs = pair_folders(generated, captions=tmp_path / "c.json").pairs
    assert [(p.name, p.caption) for p in pairs] == [("v1.5_001", "a red cap"), ("v1.5_002", "a blue cap")]


def test_folders_without_a_common_name_are_refused(tmp_path: Path) -> None:
    generated = save_all(tmp_path / "g", [("a.png", noisy(1))])
    reference = save_all(tmp_path / "r", [("b.png", noisy(1))])
    with pytest.raises(DataError, match="matched by name"):
        pair_folders(generated, reference, common_only=True)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no pictures")
    with pytest.raises(DataError, match="has no pictures"):
        pair_folders(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        pair_folders(tmp_path / "none")


def test_two_pictures_of_one_name_are_refused(tmp_path: Path) -> None:
    save_all(tmp_path, [("a.png", noisy(1)), ("a.jpg", noisy(1))])
    with pytest.raises(DataError, match="two pictures named 'a'"):
        pair_folders(tmp_path)


def test_other_files_are_ignored_and_named(tmp_path: Path) -> None:
    folder = save_all(tmp_path / "g", [("a.png", noisy(1))])
    (folder / "metadata.jsonl").write_text("{}")
    assert pair_folders(folder).notes == ("not pictures, ignored in g: metadata.jsonl",)


def test_captions_come_with_everything_else_the_file_says(tmp_path: Path) -> None:
    folder = save_all(tmp_path / "g", [("a.png", noisy(1))])
    row = {
        "file_name": "ground_truth/a.png",
        "text": "outer, a jacket",
        "brand": "Nike",
        "seed": 7,
        "price": None,
    }
    (tmp_path / "captions.jsonl").write_text(json.dumps(row) + "\n")
    [pair] = pair_folders(folder, captions=tmp_path / "captions.jsonl").pairs
    assert pair.caption == "outer, a jacket"
    assert pair.facts == {"brand": "Nike", "seed": "7"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.csv", 'file_name,caption\na.png,"one, two"\nb.png,three\n'),
        ("c.json", '{"a.png": "one, two", "b.png": "three"}'),
        ("c.json", '[{"image": "a", "prompt": "one, two"}, {"image": "b", "prompt": "three"}]'),
        ("c.txt", "one, two\n\nthree\n"),
    ],
)
def test_every_form_of_captions_file_is_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    rows = read_captions(tmp_path / name, ["a", "b"])
    assert {key: row["caption"] for key, row in rows.items()} == {"a": "one, two", "b": "three"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.csv", 'file_name,caption\r\na,"a coat\nof wool\u2028in navy"\r\n'),
        ("c.jsonl", '{"file_name": "a", "text": "a coat\\nof wool\u2028in navy"}\n'),
    ],
)
def test_a_caption_may_have_several_lines(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert read_captions(tmp_path / name)["a"]["caption"] == "a coat\nof wool\u2028in navy"


def test_missing_captions_are_refused_with_the_names(tmp_path: Path) -> None:
    folder = save_all(tmp_path / "g", [("a.png", noisy(1)), ("b.png", noisy(2))])
    (tmp_path / "c.json").write_text('{"a.png": "one"}')
    with pytest.raises(DataError, match="has no caption for b"):
        pair_folders(folder, captions=tmp_path / "c.json")


def test_captions_for_other_files_are_noted(tmp_path: Path) -> None:
    folder = save_all(tmp_path / "g", [("a.png", noisy(1))])
    (tmp_path / "c.json").write_text('{"a.png": "one", "z.png": "two"}')
    assert pair_folders(folder, captions=tmp_path / "c.json").notes == (
        "captions not used, there is no such picture: z",
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.jsonl", "{not json", "is damaged"),
        ("c.json", '{"a.png": ""}', "entry 1: needs 'file_name' and 'text'"),
        ("c.json", '[{"file_name": "a", "text": "x"}, {"file_name": "a", "text": "y"}]', "names 'a' twice"),
        ("c.json", "[1, 2]", "one object per picture"),
        ("c.json", "[]", "holds no captions"),
        ("c.txt", "one\ntwo\nthree\n", "3 captions for 2 pictures"),
        ("c.yaml", "a: b", "is not a captions file"),
    ],
)
def test_a_captions_file_that_cannot_be_used_is_refused(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_captions(tmp_path / name, ["a", "b"])


def test_the_prompts_hash_changes_with_a_caption_and_not_with_a_picture(tmp_path: Path) -> None:
    folder = save_all(tmp_path / "g", [("a.png", noisy(1))])
    captions = tmp_path / "c.json"
    captions.write_text('{"a.png": "one"}')
    before = pair_folders(folder, captions=captions)
    files_before = before.files_hash()
    noisy(2).save(folder / "a.png")
    changed_picture = pair_folders(folder, captions=captions)
    captions.write_text('{"a.png": "two"}')
    changed_caption = pair_folders(folder, captions=captions)
    assert before.prompts_hash() == changed_picture.prompts_hash() != changed_caption.prompts_hash()
    assert files_before != changed_picture.files_hash()
