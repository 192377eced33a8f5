"""One loader for every form of data set, and one line for everything that is wrong with one."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, Features, Image, Value

from sdxl_lora.data import hub
from sdxl_lora.data.images import decode
from sdxl_lora.data.sources import open_source
from sdxl_lora.errors import DataError, UnknownNameError
from tests.data.conftest import encoded


@pytest.fixture
def photos(tmp_path, noise):
    """Three pictures in a folder, without captions."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        noise(seed=number).save(folder / f"{number}.png")
    return folder


def assert_opens(source) -> None:
    """Three readable pictures with captions."""
    assert len(source) == 3
    assert source.captions[1] == ("a top 1",)
    for row in range(3):
        assert decode(source.read(row), source.keys[row])[0].size == (30, 40)


def test_a_folder_with_metadata_jsonl(photos):
    rows = [json.dumps({"file_name": f"{n}.png", "text": f"a top {n}"}) for n in range(3)]
    (photos / "metadata.jsonl").write_text("\n".join(rows) + "\n")
    assert_opens(open_source(str(photos)))


def test_a_folder_with_metadata_csv(photos):
    (photos / "metadata.csv").write_text(
        "file_name,text\n" + "".join(f"{n}.png,a top {n}\n" for n in range(3))
    )
    assert_opens(open_source(str(photos)))


def test_metadata_in_a_subfolder_as_the_hub_has_it(photos, tmp_path):
    (tmp_path / "set").mkdir()
    photos.rename(tmp_path / "set" / "train")
    rows = [json.dumps({"file_name": f"{n}.png", "text": f"a top {n}"}) for n in range(3)]
    (tmp_path / "set" / "train" / "metadata.jsonl").write_text("\n".join(rows))
    assert_opens(open_source(str(tmp_path / "set")))


@pytest.mark.parametrize("beside", [True, False])
def test_the_original_projects_json_list(photos, tmp_path, beside):
    rows = [{"fileName": f"{n}.png", "LogoName": "x", "caption": f"a top {n}"} for n in range(3)]
    if not beside:
        photos = photos.rename(tmp_path / "images")
    file = (photos if beside else tmp_path) / "dataset.json"
    file.write_text(json.dumps(rows))
    assert_opens(open_source(str(file)))


def test_text_files_beside_the_pictures(photos):
    for number in range(3):
        (photos / f"{number}.txt").write_text(f"a top {number}\n")
    assert_opens(open_source(str(photos)))


@pytest.mark.parametrize("as_struct", [True, False])
def test_parquet_with_the_hubs_pictures_or_plain_bytes(tmp_path, noise, as_struct):
    data = [encoded(noise(seed=n)) for n in range(3)]
    cells = [{"bytes": d, "path": None} for d in data] if as_struct else data
    table = pa.table({"image": cells, "text": [f"a top {n}" for n in range(3)]})
    pq.write_table(table, tmp_path / "train.parquet", row_group_size=2)
    assert_opens(open_source(str(tmp_path / "train.parquet")))
    assert_opens(open_source(str(tmp_path)))


def test_a_hub_data_set_stays_encoded_and_brings_its_licence(noise):
    features = Features({"image": Image(), "text": Value("string")})
    cells = [{"bytes": encoded(noise(seed=n)), "path": None} for n in range(3)]
    table = hub.HubTable(
        Dataset.from_dict({"image": cells, "text": ["a", "b", "c"]}, features=features), "CC-BY-NC-SA-4.0"
    )
    assert table.column("text") == ["a", "b", "c"]
    assert table.reader("image")(1) == encoded(noise(seed=1))


def test_the_licence_of_the_original_projects_data_set_is_known():
    assert hub.KNOWN_LICENCES["hahminlew/kream-product-blip-captions"] == "CC-BY-NC-SA-4.0"


def test_several_captions_per_picture(photos):
    rows = [json.dumps({"file_name": f"{n}.png", "text": ["a", "b"]}) for n in range(3)]
    (photos / "metadata.jsonl").write_text("\n".join(rows))
    assert open_source(str(photos)).captions[0] == ("a", "b")


def test_a_selection_reads_its_own_rows(photos):
    (photos / "metadata.jsonl").write_text(
        "\n".join(json.dumps({"file_name": f"{n}.png", "text": f"a top {n}"}) for n in range(3))
    )
    source = open_source(str(photos))
    part = source.select([2, 0])
    assert part.captions == [("a top 2",), ("a top 0",)]
    assert part.read(0) == source.read(2)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("metadata.jsonl", '{"file_name": "0.png", "text": "a"}\n{', "not valid JSON"),
        ("metadata.jsonl", '{"file_name": "9.png", "text": "a"}', "lists 9.png, which is not in"),
        ("metadata.jsonl", '{"file_name": "", "text": "a"}', "row 1 .* names no picture"),
        ("metadata.jsonl", '{"file_name": "0.png", "text": 3}', "is int, not text"),
        ("metadata.jsonl", "", "lists 0 pictures"),
    ],
)
def test_bad_metadata_is_one_line(photos, name, text, message):
    (photos / name).write_text(text)
    with pytest.raises(DataError, match=message):
        open_source(str(photos))


def test_a_wrong_column_names_the_nearest(photos):
    (photos / "metadata.jsonl").write_text('{"file_name": "0.png", "caption_en": "a"}')
    with pytest.raises(UnknownNameError, match=r"'captions'; did you mean 'caption_en'\?.*--caption_column"):
        open_source(str(photos), caption_column="captions")


def test_missing_data_sets_and_empty_folders_are_one_line(tmp_path, photos):
    with pytest.raises(DataError, match="there is no data set at"):
        open_source(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has 0 pictures"):
        open_source(str(tmp_path / "empty"))
    with pytest.raises(DataError, match="pictures but no captions"):
        open_source(str(photos))


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"hub"):
        open_source("nobody/nothing-here")
