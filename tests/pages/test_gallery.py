"""The gallery: everything made so far."""

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from sdxl_lora.records import Record
from sdxl_lora.ui import shared

Open = Callable[..., AppTest]
Make = Callable[..., list[Record]]
PAGE = "pages/gallery.py"


def shown(at: AppTest) -> list[str]:
    """Ids of the pictures on the page, in order."""
    suffix = ".details"
    return [
        b.key.removeprefix("gallery.").removesuffix(suffix)
        for b in at.button
        if b.key and b.key.endswith(suffix)
    ]


def test_an_empty_gallery_leads_to_the_studio(open_app: Open) -> None:
    at = open_app(PAGE)
    assert at.subheader[0].value == "Nothing here yet"


def test_pictures_are_shown_newest_first(open_app: Open, make: Make) -> None:
    records = make("a navy jacket", "a red coat")
    assert shown(open_app(PAGE)) == [record.id for record in records]


def test_search_finds_by_words_of_the_prompt(open_app: Open, make: Make) -> None:
    coat, jacket = make("a navy jacket", "a red coat")
    at = open_app(PAGE)
    at.text_input(key="gallery.search").set_value("navy").run()
    assert shown(at) == [jacket.id]
    at.text_input(key="gallery.search").set_value("submarine").run()
    assert at.subheader[0].value == "No picture fits"
    at.button(key="gallery.everything").click().run()
    assert shown(at) == [coat.id, jacket.id]


def test_favourites_can_be_marked_and_looked_at_alone(open_app: Open, make: Make) -> None:
    coat, _ = make("a navy jacket", "a red coat")
    at = open_app(PAGE)
    at.button(key=f"gallery.{coat.id}.favourite").click().run()
    at.button_group(key="gallery.show").set_value("Favourites").run()
    assert shown(at) == [coat.id]
    at.button(key=f"gallery.{coat.id}.favourite").click().run()
    assert at.subheader[0].value == "No picture fits"


def test_many_pictures_are_on_several_pages(open_app: Open, make: Make) -> None:
    records = make(*[f"jacket number {i}" for i in range(26)])
    at = open_app(PAGE)
    assert shown(at) == [record.id for record in records[:24]]
    at.session_state["gallery.page"] = 2
    assert shown(at.run()) == [record.id for record in records[24:]]


def test_details_show_the_whole_request(open_app: Open, make: Make) -> None:
    [record] = make("a navy jacket with a white star logo")
    at = open_app(PAGE)
    at.button(key=f"gallery.{record.id}.details").click().run()
    assert at.code[0].value == record.request.prompt
    settings = dict(at.table[0].value.to_numpy().tolist())
    assert (settings["Seed"], settings["Model"], settings["Size"]) == ("1", "mini", "64 × 64 px")


def test_a_picture_is_deleted_only_after_a_second_click(open_app: Open, make: Make) -> None:
    coat, jacket = make("a navy jacket", "a red coat")
    at = open_app(PAGE)
    at.button(key=f"gallery.{coat.id}.details").click().run()
    assert shared.studio().store.count() == 2
    at.button(key=f"details.{coat.id}.confirm").click().run()
    assert shown(at) == [jacket.id]
    assert not coat.path.exists()


def test_a_picture_whose_file_is_gone_takes_nothing_else_down(open_app: Open, make: Make) -> None:
    coat, jacket = make("a navy jacket", "a red coat")
    coat.path.unlink()
    at = open_app(PAGE)
    assert shown(at) == [jacket.id]
    assert any("gone" in caption.value for caption in at.caption)


def test_more_like_this_goes_to_the_studio_where_it_is_made(open_app: Open, make: Make) -> None:
    [record] = make("a navy jacket")
    at = open_app(PAGE)
    at.button(key=f"gallery.{record.id}.more").click().run()
    assert at.text_area(key="create.prompt")
    job = shared.queue().jobs()[-1]
    assert (job.request.prompt, job.request.seed) == ("a navy jacket", None)
