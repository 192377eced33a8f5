"""Whatever another tab, window or process deletes while a page is looked at, every page goes on."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from sdxl_lora.prompts import own
from sdxl_lora.records import Record, Store
from sdxl_lora.records.comparisons import ComparisonStore
from sdxl_lora.records.evaluations import EvaluationStore
from sdxl_lora.ui import shared, words
from tests.pages.conftest import ROOT

Open = Callable[..., AppTest]
Make = Callable[..., list[Record]]
PAGES = sorted(path.name for path in (ROOT / "pages").glob("*.py"))
OLD_FOLDER = ROOT / "tests" / "records" / "folders" / "schema-4"
SESSION = "0123456789ab"  # who made some of it


@pytest.fixture
def filled(home: Path) -> Path:
    """A data folder with pictures, votes, a history, an evaluation, a comparison and a template of its own."""
    shutil.copytree(OLD_FOLDER, home)
    return home


def by_their_stores(home: Path) -> None:
    with Store(home) as pictures, EvaluationStore(home) as evaluations, ComparisonStore(home) as comparisons:
        for record in pictures.page():
            pictures.delete(record.id)
        for evaluation in evaluations.all():
            evaluations.delete(evaluation.id)
        for identifier, _, _ in comparisons.all():
            comparisons.delete(identifier)
    for path in (home / "templates").glob("*.yaml"):
        own.delete(path.stem)


def files_only(home: Path) -> None:
    for name in ("pictures", "thumbnails", "evaluations", "comparisons", "histories", "templates"):
        shutil.rmtree(home / name)


def reports_and_cells(home: Path) -> None:
    for path in [*home.glob("evaluations/*"), *home.glob("comparisons/*/*"), *home.glob("pictures/*/*")]:
        path.write_bytes(b"[" * 100_000)  # changed by a program that should not have


DELETIONS = [by_their_stores, files_only, reports_and_cells, shutil.rmtree]


@pytest.mark.parametrize("delete", DELETIONS, ids=["by store", "files", "damaged", "data folder"])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_goes_on_after_everything_was_deleted(
    open_app: Open, filled: Path, page: str, delete: Callable[[Path], None]
) -> None:
    at = open_app(f"pages/{page}", session=SESSION)
    delete(filled)
    assert not at.run().exception
    assert at.title[0].value


@pytest.mark.parametrize("action", ["favourite", "details"])
def test_the_buttons_of_a_deleted_picture_break_nothing(open_app: Open, make: Make, action: str) -> None:
    coat, _ = make("a navy jacket", "a red coat")
    at = open_app("pages/gallery.py")
    shared.store().delete(coat.id)
    at.button(key=f"gallery.{coat.id}.{action}").click().run()
    assert not at.exception


@pytest.mark.parametrize("action", ["approve", "reject", "favourite", "delete", "recall"])
def test_the_open_dialog_of_a_deleted_picture_breaks_nothing(open_app: Open, make: Make, action: str) -> None:
    coat, jacket = make("a navy jacket", "a red coat")
    at = open_app("pages/gallery.py")
    at.button(key=f"gallery.{coat.id}.details").click().run()
    shared.store().delete(coat.id)
    at.button(key=f"details.{coat.id}.{action}").click().run()
    assert not at.exception
    if action != "recall":  # which takes the words along to the studio
        assert [b.key for b in at.button if str(b.key).endswith(".details")] == [
            f"gallery.{jacket.id}.details"
        ]


def test_the_studio_says_which_of_its_pictures_were_deleted(open_app: Open, make: Make) -> None:
    make("a navy jacket", session=SESSION)
    at = open_app(session=SESSION)
    [key] = [b.key for b in at.button if b.key and b.key.endswith(".favourite")]
    at.run()
    shared.store().delete(key.split(".")[-2])
    at.run()
    assert not at.exception
    assert "Deleted." in [caption.value for caption in at.caption]


@pytest.mark.parametrize("action", ["approve", "reject", "favourite", "words", "more"])
def test_the_buttons_of_a_picture_deleted_under_the_studio_break_nothing(
    open_app: Open, make: Make, action: str
) -> None:
    [record] = make("a navy jacket", session=SESSION)
    at = open_app(session=SESSION)
    [button] = [b for b in at.button if b.key and b.key.endswith(f"{record.id}.{action}")]
    shared.store().delete(record.id)
    button.click().run()
    assert not at.exception


def test_a_rejected_picture_deleted_while_its_faults_are_named_breaks_nothing(
    open_app: Open, make: Make
) -> None:
    [record] = make("a navy jacket", session=SESSION)
    at = open_app(session=SESSION)
    next(b for b in at.button if b.key and b.key.endswith(f"{record.id}.reject")).click().run()
    [field] = [f for f in at.text_input if f.key and f.key.endswith(f"{record.id}.wrong")]
    shared.store().delete(record.id)
    field.input("make it red").run()
    assert not at.exception


def test_a_template_deleted_under_the_studio_leaves_the_words(open_app: Open, filled: Path) -> None:
    at = open_app(session=SESSION)
    name = next(iter((filled / "templates").glob("*.yaml"))).stem
    at.button_group(key="create.garment").set_value("Footwear copy").run()
    said = at.text_area(key="create.prompt").value
    own.delete(name)
    words.refresh()
    at.run()
    assert not at.exception
    assert at.text_area(key="create.prompt").value == said
