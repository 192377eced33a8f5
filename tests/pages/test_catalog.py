"""The catalogue page: a table in, columns understood, a preview, made in the background, looked through, deleted."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from sdxl_lora.catalog import runs
from sdxl_lora.catalog.runs import Run
from sdxl_lora.ui import catalogs, shared
from tests.pages.conftest import TIMEOUT, plain

PAGE = "pages/catalog.py"
TABLE = "sku,Farbe,price\nA-1,rot,10\nA-2,{navy|green},20\nA-1,red,30\n"


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """No maker outlives its test."""
    yield
    catalogs.makers().close()


@pytest.fixture
def uploaded(open_app: Callable[..., AppTest]) -> Callable[..., AppTest]:
    def upload(text: str, name: str = "products.csv", **settings: str) -> AppTest:
        at = open_app(PAGE, **settings)
        if at.button and any(one.label == "New catalogue" for one in at.button):
            press(at, "New catalogue")
        at.file_uploader[0].set_value((name, text.encode(), "text/csv")).run()
        assert not at.exception
        return at

    return upload


def press(at: AppTest, label: str) -> None:
    next(one for one in at.button if plain(one.label).startswith(label)).click().run()
    assert not at.exception


def says(at: AppTest) -> str:
    texts = [*at.markdown, *at.caption, *at.error, *at.header, *at.subheader]
    return plain("\n".join(str(one.value) for one in texts))


def made(at: AppTest) -> Run:
    """Waits until the catalogue that the page shows is made, and shows it as it is then."""
    [(folder, _), *_] = runs.all_runs()
    catalogs.makers().wait(folder, TIMEOUT)
    at.run()
    assert not at.exception
    return Run.open(folder)


def test_without_a_table_it_says_what_to_do_and_has_an_example(open_app: Callable[..., AppTest]) -> None:
    at = open_app(PAGE)
    assert "One row per product in" in says(at)
    assert [one.label for one in at.file_uploader] == ["Your products, as CSV, Excel or JSON lines"]


def test_a_table_is_understood_and_what_will_be_made_is_shown(uploaded: Callable[..., AppTest]) -> None:
    at = uploaded(TABLE, view="Simple")
    meant = {one.label: one.value for one in at.selectbox}
    assert (meant["sku"], meant["Farbe"], meant["price"]) == ("sku", "colour", "ignore")
    text = says(at)
    assert "3 pictures; how long is known after the first" in text
    assert "A-2-green.png" in text
    assert "Colour: rot → red" in text
    assert [plain(one.label) for one in at.expander if "row" in one.label] == ["1 row cannot be made"]
    assert not runs.all_runs()


def test_a_column_is_mapped_by_hand(uploaded: Callable[..., AppTest]) -> None:
    at = uploaded("Nr,Ton\nX1,red\n")
    assert "files are named after their rows" in says(at)
    next(one for one in at.selectbox if one.label == "Nr").select("sku").run()
    assert "X1.png" in says(at)
    next(one for one in at.selectbox if one.label == "Ton").select("sku").run()
    assert "both mapped to sku" in says(at)


def test_colours_and_scenes_are_combined_and_counted(uploaded: Callable[..., AppTest]) -> None:
    at = uploaded("sku\nA\nB\n")
    colours = next(one for one in at.multiselect if one.label == "Colours")
    colours.set_value(["red", "navy"]).run()
    assert "4 pictures" in says(at)
    assert "A-red.png" in says(at)


@pytest.mark.parametrize("text", ["", "sku\n", "\x00\x01", '<script>alert("a")</script>\n'])
def test_what_is_no_table_is_one_line(text: str, uploaded: Callable[..., AppTest]) -> None:
    at = uploaded(text)
    assert len(at.error) == 1
    assert not at.exception


def test_all_rows_are_made_looked_through_and_deleted(uploaded: Callable[..., AppTest], home: Path) -> None:
    at = uploaded(TABLE)
    press(at, "Make all 3")
    run = made(at)
    assert [one.name for one in run.made] == ["A-1", "A-2-navy", "A-2-green"]
    assert "0 approved, 0 rejected, 3 not looked at yet." in says(at)
    assert at.query_params["catalogue"] == run.folder.name
    assert "A-1.png, picture 1 of 3" in says(at)
    press(at, "Approve")
    assert "A-2-navy.png, picture 2 of 3" in says(at)
    press(at, "Reject")
    assert "1 approved, 1 rejected, 1 not looked at yet." in says(at)
    press(at, "Previous")
    press(at, "Rejected")  # once more takes it back
    assert "1 approved, 0 rejected, 2 not looked at yet." in says(at)
    assert [plain(one.label) for one in at.expander if "row" in one.label] == ["1 row could not be made"]
    folder, names = catalogs.packed(run.folder.name, run.info.id) or (Path(), [])
    assert (folder, "A-1.png" in names, "failed.csv" in names) == (run.folder, True, True)
    assert catalogs.packed(run.folder.name, "0") is None
    assert catalogs.packed("../pictures", run.info.id) is None
    press(at, "Delete this catalogue")
    at.run()
    assert not run.folder.exists()
    assert shared.store().count() == 3
    assert "One row per product in" in says(at)


def test_the_first_row_is_tried_and_the_rest_made_when_somebody_comes_back(
    uploaded: Callable[..., AppTest], open_app: Callable[..., AppTest]
) -> None:
    at = uploaded(TABLE)
    press(at, "Try the first row")
    assert len(made(at).made) == 1
    later = open_app(PAGE)  # another browser, or the same one after it was closed
    assert any(plain(one.label).startswith("Make the rest: 2 pictures, about") for one in later.button)
    press(later, "Make the rest")
    assert len(made(later).made) == 3


def test_a_picture_that_was_deleted_elsewhere_breaks_nothing(uploaded: Callable[..., AppTest]) -> None:
    at = uploaded("sku\nA\nB\n")
    press(at, "Make all 2")
    run = made(at)
    shared.store().delete(run.made[0].record)
    (run.folder / "A.png").unlink()
    at.run()
    assert "The file of this picture is gone." in says(at)
    press(at, "Approve")
    assert not at.exception
