"""The gallery: everything made so far."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from sdxl_lora.records import Record
from sdxl_lora.records.tables import PictureRow
from sdxl_lora.request import GenerationRequest, LoraSpec
from sdxl_lora.scoring.card import ScoreCard
from sdxl_lora.ui import pictures, shared

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
    assert at.header[0].value == "Nothing here yet"


def test_pictures_are_shown_newest_first(open_app: Open, make: Make) -> None:
    records = make("a navy jacket", "a red coat")
    assert shown(open_app(PAGE)) == [record.id for record in records]


def test_search_finds_by_words_of_the_prompt(open_app: Open, make: Make) -> None:
    coat, jacket = make("a navy jacket", "a red coat")
    at = open_app(PAGE)
    at.text_input(key="gallery.search").set_value("navy").run()
    assert shown(at) == [jacket.id]
    at.text_input(key="gallery.search").set_value("submarine").run()
    assert at.header[0].value == "No picture fits"
    at.button(key="gallery.everything").click().run()
    assert shown(at) == [coat.id, jacket.id]


def test_a_word_is_not_found_inside_another(open_app: Open, make: Make) -> None:
    coat, _ = make("a tailored jacket", "a red coat")
    at = open_app(PAGE)
    at.text_input(key="gallery.search").set_value("RED").run()
    assert shown(at) == [coat.id]


def test_beginnings_of_words_are_offered_where_no_word_fits(open_app: Open, make: Make) -> None:
    _, jacket = make("a navy jacket", "a red coat")
    at = open_app(PAGE)
    at.text_input(key="gallery.search").set_value("jack").run()
    assert shown(at) == []
    assert at.button(key="gallery.wider").label == "1 with words that begin so"
    at.button(key="gallery.wider").click().run()
    assert shown(at) == [jacket.id]


def test_approved_and_rejected_can_be_looked_at_alone(open_app: Open, make: Make) -> None:
    hat, coat, jacket = make("a navy jacket", "a red coat", "a hat")
    shared.reviews().vote(jacket, approved=True)
    shared.reviews().vote(coat, approved=False)
    at = open_app(PAGE)
    for verdict, expected in (("Approved", jacket), ("Rejected", coat), ("No verdict", hat)):
        at.button_group(key="gallery.show").set_value(verdict).run()
        assert shown(at) == [expected.id]


def test_only_the_pictures_of_one_model_or_day(open_app: Open, make: Make) -> None:
    [jacket] = make("a navy jacket")
    other = replace(jacket.request, model="sdxl")
    with Image.open(jacket.path) as image:
        foreign = shared.store().add(image.convert("RGB"), request=other)
    at = open_app(PAGE)
    assert at.selectbox(key="gallery.model").options == ["Any model", "mini", "sdxl"]
    at.selectbox(key="gallery.model").set_value("sdxl").run()
    assert shown(at) == [foreign.id]
    at.selectbox(key="gallery.made").set_value("Today").run()
    assert shown(at) == [foreign.id]
    at.selectbox(key="gallery.made").set_value("Choose days").run()
    long_ago = date(2020, 1, 1)
    at.date_input(key="gallery.days").set_value((long_ago, long_ago)).run()
    assert at.header[0].value == "No picture fits"
    at.button(key="gallery.everything").click().run()
    assert shown(at) == [foreign.id, jacket.id]


def test_a_card_says_what_it_shows_and_what_people_said_before_any_number(open_app: Open, make: Make) -> None:
    [jacket] = make("a photography of a navy windbreaker jacket with a star, studio background")
    at = open_app(PAGE)
    assert "**Navy windbreaker jacket**" in [text.value for text in at.markdown]
    assert not any("Seed" in caption.value for caption in at.caption)
    shared.reviews().vote(jacket, approved=True)
    assert any("Approved" in caption.value for caption in at.run().caption)


@pytest.mark.parametrize(
    ("prompt", "slots", "expected"),
    [
        ("outer, Halden Coat, a photo of an olive coat, snow", (), "Olive coat"),
        ("x", (("product", "coat"), ("colour", "red")), "Red coat"),
        ("a (navy:1.3) cap", (), "Navy cap"),
        ("w" * 300, (), "W" + "w" * 41 + " …"),
        ("with", (), "With"),
        ("the", (), "The"),
    ],
)
def test_a_picture_is_called_by_what_it_shows(
    prompt: str, slots: tuple[tuple[str, str], ...], expected: str
) -> None:
    assert pictures.name(GenerationRequest(prompt=prompt, slots=slots)) == expected


def test_a_picture_of_a_newer_version_can_be_looked_at_but_not_made_again(open_app: Open, make: Make) -> None:
    [record] = make("a navy jacket")
    with shared.database().writing() as session:
        row = session.get_one(PictureRow, record.id)
        row.request = {**row.request, "sparkle": 2}
    at = open_app(PAGE)
    assert "More like this" not in at.menu_button(key=f"gallery.{record.id}.menu").options
    at.button(key=f"gallery.{record.id}.details").click().run()
    assert any("newer version: sparkle is not known here" in caption.value for caption in at.caption)
    assert at.button(key=f"details.{record.id}.recall").disabled


def test_a_disk_that_takes_no_writes_is_said_on_every_page(open_app: Open, make: Make, monkeypatch) -> None:
    [record] = make("a navy jacket")
    monkeypatch.setattr(shared.database(), "read_only", "nothing new can be kept: the disk is full")
    monkeypatch.setattr(shared.database(), "_try_again", lambda: False)
    at = open_app()
    assert "Nothing new can be kept: the disk is full" in at.warning[0].value
    at.switch_page(PAGE).run()
    at.button(key=f"gallery.{record.id}.favourite").click().run()
    at.button(key=f"gallery.{record.id}.details").click().run()
    at.button(key=f"details.{record.id}.delete").click().run()
    assert not at.exception
    assert shown(at) == []
    assert not record.path.exists()


def test_favourites_can_be_marked_and_looked_at_alone(open_app: Open, make: Make) -> None:
    coat, _ = make("a navy jacket", "a red coat")
    at = open_app(PAGE)
    at.button(key=f"gallery.{coat.id}.favourite").click().run()
    at.button_group(key="gallery.show").set_value("Favourites").run()
    assert shown(at) == [coat.id]
    at.button(key=f"gallery.{coat.id}.favourite").click().run()
    assert at.header[0].value == "No picture fits"


def test_many_pictures_are_on_several_pages(open_app: Open, make: Make) -> None:
    records = make(*[f"jacket number {i}" for i in range(26)])
    at = open_app(PAGE)
    assert shown(at) == [record.id for record in records[:24]]
    assert at.caption[0].value == "1 to 24 of 26 pictures, newest first"
    at.button(key="gallery.chevron_right").click().run()
    assert shown(at) == [record.id for record in records[24:]]
    assert at.query_params["from"] == records[24].id
    at.button(key="gallery.chevron_left").click().run()
    assert shown(at) == [record.id for record in records[:24]]


def test_details_show_the_whole_request(open_app: Open, make: Make) -> None:
    [record] = make("a navy jacket with a white star logo")
    at = open_app(PAGE)
    at.button(key=f"gallery.{record.id}.details").click().run()
    assert at.code[0].value == record.request.prompt
    settings = dict(at.table[0].value.to_numpy().tolist())
    assert (settings["Seed"], settings["Model"], settings["Size"]) == ("1", "mini", "64 × 64 px")


def test_a_deleted_picture_comes_back_at_one_click(open_app: Open, make: Make) -> None:
    coat, jacket = make("a navy jacket", "a red coat")
    at = open_app(PAGE)
    at.button(key=f"gallery.{coat.id}.details").click().run()
    at.button(key=f"details.{coat.id}.delete").click().run()
    assert shown(at) == [jacket.id]
    assert not coat.path.exists()
    at.button(key="trash.undo").click().run()
    assert shown(at) == [coat.id, jacket.id]
    assert coat.path.is_file()
    assert "trash.undo" not in [button.key for button in at.button]


def test_a_picture_whose_file_is_gone_takes_nothing_else_down(open_app: Open, make: Make) -> None:
    coat, jacket = make("a navy jacket", "a red coat")
    indexer = shared.front_door().indexer
    assert indexer is not None
    assert indexer.wait(60)  # it makes thumbnails, too
    coat.path.unlink()
    shared.store().thumbnail(coat).unlink()
    at = open_app(PAGE)
    assert shown(at) == [jacket.id]
    assert any("gone" in caption.value for caption in at.caption)


def test_more_like_this_goes_to_the_studio_where_it_is_made(open_app: Open, make: Make) -> None:
    [record] = make("a navy jacket")
    at = open_app(PAGE)
    at.menu_button(key=f"gallery.{record.id}.menu").click("More like this").run()
    assert at.text_area(key="create.prompt")
    job = shared.queue().jobs()[-1]
    assert (job.request.prompt, job.request.seed) == ("a navy jacket", None)


def test_a_view_is_in_its_address(open_app: Open, make: Make) -> None:
    navy, _ = reversed(make("a navy jacket", "a red coat"))
    shared.reviews().vote(navy, approved=True)
    at = open_app()
    at.query_params["gallery.show"] = "Approved"
    at.query_params["gallery.search"] = "navy"
    at.query_params["gallery.order"] = "Oldest first"
    at.switch_page(PAGE).run()
    assert not at.exception
    assert at.text_input(key="gallery.search").value == "navy"
    assert shown(at) == [navy.id]
    assert at.caption[0].value == "1 picture, oldest first"


def test_pictures_are_found_by_brand_number_seed_score_and_lora(open_app: Open, make: Make) -> None:
    [made] = make("a navy jacket")
    with Image.open(made.path) as image:
        pixels = image.convert("RGB")
    request = replace(
        made.request, brand="Halden", sku="TEE-10", seed=77, loras=(LoraSpec(path="halden.safetensors"),)
    )
    card = ScoreCard(score=0.9, scorer="mini-CLIP cosine")
    wanted = shared.store().add(pixels, request=request, card=card)
    at = open_app(PAGE)
    for kind, key, value in (
        ("selectbox", "brand", "Halden"),
        ("text_input", "sku", "tee-*"),
        ("text_input", "seed", "77"),
        ("number_input", "score", 0.85),
        ("selectbox", "lora", "halden.safetensors"),
    ):
        getattr(at, kind)(key=f"gallery.{key}").set_value(value).run()
        assert shown(at) == [wanted.id], key
        at.button(key="gallery.clear").click().run()
        assert len(shown(at)) == 2
    at.text_input(key="gallery.seed").set_value("-3x").run()
    assert not at.exception
    assert at.header[0].value == "No picture fits"
