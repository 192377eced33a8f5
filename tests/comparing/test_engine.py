"""From rows and columns to pictures and scores."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from sdxl_lora.comparing import columns, engine, prompts, showing
from sdxl_lora.comparing.columns import Column
from sdxl_lora.comparing.prompts import Row
from sdxl_lora.errors import DataError, ImageError, PromptError, RequestError, UnknownNameError
from sdxl_lora.records.comparisons import ComparisonStore
from tests.comparing.conftest import file_of
from tests.evaluation.drawing import noisy, save_all

ROWS = (
    Row(key="hoodie", prompt="a red hoodie", facts={"brand": "Nike"}),
    Row(key="cap", prompt="a blue cap"),
)
QUICK = ("clip_mini",)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_all(tmp_path / "elsewhere", ((f"{i + 1}.png", noisy(i)) for i in range(2)))


def test_our_model_and_a_folder_are_filled_and_scored_alike(store: ComparisonStore, folder: Path) -> None:
    systems = [columns.parse("Ours=model:mini", ROWS), columns.parse(f"Theirs=pictures:{folder}", ROWS)]
    record = engine.begin(store, ROWS, systems, seed=7)
    assert record.missing == [(0, 0), (0, 1)]
    events = list(engine.fill(store, record))
    assert [(event.column, event.row) for event in events if isinstance(event, engine.Filled)] == [
        (0, 0),
        (0, 1),
    ]
    record = store.get(record.id)
    assert [record.cells[0, row].facts["seed"] for row in range(2)] == [7, 8]
    path = record.cells[1, 0].path
    assert path is not None
    assert path.read_bytes() == (folder / "1.png").read_bytes()
    scores = engine.score(store, record, metrics=QUICK)
    assert [len(r["metrics"]["clip_mini"]["per_image"]) for r in scores["reports"].values()] == [2, 2]
    prompts_scored = {r["provenance"]["prompts_sha256"] for r in scores["reports"].values()}
    assert len(prompts_scored) == 1
    assert "p" in scores["against"]["1"]["metrics"]["clip_mini"]
    assert store.get(record.id).scores == scores


def test_the_same_comparison_again_makes_nothing_again(store: ComparisonStore, folder: Path) -> None:
    systems = [columns.parse("Ours=model:mini", ROWS), columns.parse(f"Theirs=pictures:{folder}", ROWS)]
    first = engine.begin(store, ROWS, systems)
    list(engine.fill(store, first))
    again = engine.begin(store, ROWS, systems)
    assert (again.id, again.missing) == (first.id, [])
    assert engine.begin(store, ROWS, systems, seed=1).id != first.id


def test_a_stopped_comparison_goes_on_with_the_same_seeds(store: ComparisonStore, folder: Path) -> None:
    systems = [columns.parse("Ours=model:mini", ROWS), columns.parse(f"Theirs=pictures:{folder}", ROWS)]
    record = engine.begin(store, ROWS, systems)
    next(iter(engine.fill(store, record)))
    record = store.get(record.id)
    assert record.missing == [(0, 1)]
    list(engine.fill(store, record))
    assert store.get(record.id).cells[0, 1].facts["seed"] == 1


def test_a_model_that_changed_in_its_folder_is_drawn_anew_and_never_mixed_with_the_old(
    store: ComparisonStore, bundled: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(bundled, tmp_path / "model")
    systems = [
        columns.of_model("Ours", str(model)),
        columns.of_pictures("A", {"1.png": file_of()}, ROWS, source="A"),
    ]
    before = engine.begin(store, ROWS, systems, steps=1)
    assert engine.begin(store, ROWS, systems, steps=1).id == before.id
    list(engine.fill(store, before))
    weights = model / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    save_file({key: tensor + 0.1 for key, tensor in tensors.items()}, weights)
    after = engine.begin(store, ROWS, systems, steps=1)
    assert after.id != before.id
    assert (0, 0) in after.missing
    list(engine.fill(store, after))
    old, new = (store.get(record.id).cells[0, 0].path for record in (before, after))
    assert old is not None
    assert new is not None
    assert old.read_bytes() != new.read_bytes()
    save_file({key: tensor + 0.2 for key, tensor in tensors.items()}, weights)
    unfinished = replace(after, cells={place: cell for place, cell in after.cells.items() if place[0] == 1})
    stopped = [event for event in engine.fill(store, unfinished) if isinstance(event, engine.Stopped)]
    assert [event.column for event in stopped] == [0]
    assert "has changed since this comparison was begun" in stopped[0].reason


def test_scores_are_taken_over_the_rows_every_column_has(store: ComparisonStore) -> None:
    two = {"1.png": file_of("red"), "2.png": file_of("blue")}
    systems = [
        columns.of_pictures("A", two, ROWS, source="A"),
        columns.of_pictures("B", {"2.png": file_of("green")}, ROWS, source="B"),
    ]
    record = engine.begin(store, ROWS, systems)
    assert record.cells[1, 0].reason == "B has no picture for this row"
    scores = engine.score(store, record, metrics=QUICK)
    assert (scores["rows"], scores["left_out"]) == (["cap"], ["hoodie"])


def test_columns_without_a_common_row_cannot_be_scored(store: ComparisonStore) -> None:
    systems = [
        columns.of_pictures("A", {"1.png": file_of("red")}, ROWS, source="A"),
        columns.of_pictures("B", {"2.png": file_of("green")}, ROWS, source="B"),
    ]
    record = engine.begin(store, ROWS, systems)
    with pytest.raises(DataError, match="nothing to score alike"):
        engine.score(store, record, metrics=QUICK)


def test_a_lora_is_part_of_a_column_and_of_its_name() -> None:
    column = columns.parse("model:mini+out/emblem.safetensors:0.8", ROWS)
    assert (column.source, column.loras) == ("mini", ("out/emblem.safetensors:0.8",))
    assert column.label == "mini + emblem.safetensors:0.8"


@pytest.mark.parametrize(
    ("text", "error", "expected"),
    [
        ("mini", RequestError, "is not LABEL=KIND:VALUE"),
        ("A=dalle:3", RequestError, "is not LABEL=KIND:VALUE"),
        ("A=model:", RequestError, "needs a model"),
        ("A=pictures:nowhere", DataError, "neither a folder nor a ZIP"),
        (f"{'x' * 90}=model:mini", RequestError, "1 to 80 characters"),
    ],
)
def test_a_column_that_cannot_be_is_one_line(text: str, error: Any, expected: str) -> None:
    with pytest.raises(error, match=expected):
        columns.parse(text, ROWS)


def test_a_picture_that_cannot_be_read_is_refused_by_name() -> None:
    with pytest.raises(ImageError, match=r"2\.png cannot be read"):
        columns.of_pictures("A", {"1.png": file_of(), "2.png": b"no picture"}, ROWS, source="A")


@pytest.mark.parametrize(("number", "expected"), [(1, "1 columns"), (9, "9 columns")])
def test_two_to_eight_columns_can_be_compared(store: ComparisonStore, number: int, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        engine.begin(store, ROWS, [Column(label=f"{i}", kind="model", source="mini") for i in range(number)])


def test_two_columns_of_one_name_are_refused(store: ComparisonStore) -> None:
    with pytest.raises(DataError, match="two columns are named 'A'"):
        engine.begin(store, ROWS, [Column(label="A", kind="model", source="mini")] * 2)


@pytest.mark.parametrize(
    ("text", "error", "expected"),
    [
        ("", DataError, "0 prompts"),
        ("x\n" * 51, DataError, "51 prompts"),
        ("a\nb\x07", PromptError, "control"),
    ],
)
def test_prompts_that_cannot_be_used_are_one_line(text: str, error: Any, expected: str) -> None:
    with pytest.raises(error, match=expected):
        prompts.of_lines(text)


def test_the_examples_typed_in_keep_what_is_known_of_them() -> None:
    assert prompts.of_lines("\n".join(row.prompt for row in prompts.EXAMPLES)) == prompts.EXAMPLES


def test_a_captions_file_gives_keys_and_brands(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"file_name": "a.png", "text": "a red hoodie", "brand": "Nike"}\n')
    assert prompts.read(path) == (Row(key="a", prompt="a red hoodie", facts={"brand": "Nike"}),)


@pytest.mark.parametrize(
    ("text", "error"), [("psnr", RequestError), ("clp", UnknownNameError)], ids=["needs photos", "unknown"]
)
def test_a_metric_that_cannot_be_is_one_line(text: str, error: Any) -> None:
    with pytest.raises(error):
        engine.chosen_metrics(text)


@pytest.mark.parametrize("systems", ["across", "down"])
def test_everything_is_one_picture_with_equal_cells(store: ComparisonStore, systems: Any) -> None:
    wide = Image.new("RGB", (64, 32), "red")
    files = {"1.png": file_of("blue"), "2.png": showing.encoded(wide)}
    record = engine.begin(
        store,
        ROWS,
        [
            columns.of_pictures("A", files, ROWS, source="A"),
            columns.of_pictures("B", {"1.png": file_of("lime")}, ROWS, source="B"),
        ],
    )
    sheet = showing.sheet(record, systems)
    colours = sheet.getcolors(2**24) or []
    count = {colour: number for number, colour in colours}
    assert count[0, 0, 255] == count[0, 255, 0] == 320 * 320
    assert count[255, 0, 0] == 320 * 160  # the whole wide picture, neither cropped nor stretched
    assert sheet.width > 2 * 320
    assert sheet.height > 2 * 320
