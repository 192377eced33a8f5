"""The gallery's trash, boards, choosing several, and looking for what pictures show."""

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from sdxl_lora.records import Record
from sdxl_lora.ui import shared
from tests.pages.test_gallery import PAGE, shown

Open = Callable[..., AppTest]
Make = Callable[..., list[Record]]


def test_the_trash_shows_what_was_deleted_until_it_is_emptied(open_app: Open, make: Make) -> None:
    coat, jacket, hat = make("a hat", "a navy jacket", "a red coat")
    at = open_app(PAGE)
    for record in (coat, jacket):
        at.menu_button(key=f"gallery.{record.id}.menu").click("Move to trash").run()
    at.query_params["view"] = "trash"
    at.run()
    assert "2 pictures. Each is deleted for good 30 days after" in at.caption[0].value
    at.button(key=f"trash.{jacket.id}.restore").click().run()
    at.button(key="trash.confirm").click().run()
    assert at.header[0].value == "The trash is empty"
    assert [record.id for record in shared.store().page()] == [jacket.id, hat.id]


def test_several_pictures_are_chosen_and_put_on_a_board_or_into_the_trash(open_app: Open, make: Make) -> None:
    coat, _, hat = make("a hat", "a navy jacket", "a red coat")
    shared.front_door().boards.make("Spring")
    at = open_app(PAGE)
    at.toggle(key="gallery.choosing").set_value(True).run()
    at.checkbox(key=f"gallery.{coat.id}.pick").check().run()
    at.checkbox(key=f"gallery.{hat.id}.pick").check().run()
    assert "**2 chosen**" in [text.value for text in at.markdown]
    at.button(key="picks.board").click().run()
    at.selectbox(key="boards.name").set_value("Spring")
    at.button(key="boards.put").click().run()
    assert not at.exception
    assert [(board.name, board.pictures) for board in shared.front_door().boards.all()] == [("Spring", 2)]
    at.selectbox(key="gallery.board").set_value("Spring").run()
    assert [box.key for box in at.checkbox] == [f"gallery.{one.id}.pick" for one in (coat, hat)]
    at.button(key="picks.off").click().run()
    assert shared.front_door().boards.all()[0].pictures == 0
    at.selectbox(key="gallery.board").set_value(None).run()
    at.button(key="picks.all").click().run()
    at.button(key="picks.delete").click().run()
    assert at.header[0].value == "Nothing here yet"
    at.button(key="trash.undo").click().run()
    assert shared.store().count() == 3


def test_a_board_is_chosen_in_the_details_renamed_and_deleted(open_app: Open, make: Make) -> None:
    [coat] = make("a red coat")
    boards = shared.front_door().boards
    board = boards.make("Spring")
    at = open_app(PAGE)
    at.button(key=f"gallery.{coat.id}.details").click().run()
    next(one for one in at.multiselect if one.label == "Boards").set_value(["Spring", "Hero"]).run()
    assert not at.exception
    assert {(one.name, one.pictures) for one in boards.all()} == {("Spring", 1), ("Hero", 1)}
    at = open_app(PAGE)
    at.selectbox(key="gallery.board").set_value("Spring").run()
    at.text_input(key=f"boards.{board.id}.Spring.rename").set_value("Autumn").run()
    at.button(key="boards.rename").click().run()
    assert at.selectbox(key="gallery.board").value == "Autumn"
    at.button(key="boards.delete").click().run()
    assert [one.name for one in boards.all()] == ["Hero"]
    assert shown(at) == [coat.id]


def test_pictures_are_found_by_looks_and_by_likeness(open_app: Open, make: Make) -> None:
    records = make("a navy jacket", "a red coat", "a white cap")
    indexer = shared.front_door().indexer
    assert indexer is not None
    assert indexer.wait(60)
    at = open_app(PAGE)
    at.selectbox(key="gallery.by").set_value("By its looks").run()
    at.text_input(key="gallery.search").set_value("a blue jacket").run()
    assert not at.exception
    assert sorted(shown(at)) == sorted(record.id for record in records)
    assert at.caption[0].value == "3 pictures, the likest first"
    assert shown(at) == [one.id for one in shared.front_door().looks.of_words("a blue jacket")]
    at.text_input(key="gallery.search").set_value("").run()
    at.menu_button(key=f"gallery.{records[0].id}.menu").click("Similar pictures").run()
    assert at.query_params["like"] == records[0].id
    assert shown(at) == [one.id for one in shared.front_door().looks.of_picture(records[0].id)]
    at.button(key="similar.clear").click().run()
    assert len(shown(at)) == 3
