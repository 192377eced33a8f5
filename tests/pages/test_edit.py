"""The Edit page: begins with any picture, does one thing in plain words, and leads back to every step."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from sdxl_lora import inputs
from sdxl_lora.brands import kits
from sdxl_lora.brands.kit import BrandKit, Swatch
from sdxl_lora.jobs import edits
from sdxl_lora.records import Record
from sdxl_lora.ui import editing, shared
from tests.records.shared import request

Open = Callable[..., AppTest]
Finish = Callable[[AppTest], AppTest]


def photo() -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    Image.fromarray(noise).save(buffer, format="PNG")
    return buffer.getvalue()


def pictured() -> Record:
    picture = Image.open(io.BytesIO(photo()))
    return shared.store().add(picture, request=request("a navy hoodie in a forest", model="mini"))


@pytest.fixture
def at(open_app: Open) -> AppTest:
    """The page, opened from the menu of a picture in the gallery."""
    at = open_app()
    record = pictured()
    at.switch_page("pages/gallery.py").run()
    at.menu_button(key=f"gallery.{record.id}.menu").click("Use as start").run()
    at.switch_page("pages/edit.py").run()  # where the button leads; AppTest would run the gallery again
    assert not at.exception
    at.segmented_control(key="edit.vary").set_value("A lot").run()  # of the two steps of the tiny model one
    return at


def test_a_picture_of_the_gallery_opens_it_with_its_words(at: AppTest) -> None:
    assert at.title[0].value == "Change a picture"
    assert at.text_area[0].value == "a navy hoodie in a forest"
    assert not at.button(key="edit.make").disabled


def test_every_step_is_a_record_with_its_parent_and_can_be_undone_and_redone(
    at: AppTest, finish: Finish
) -> None:
    before = shared.store().page()[0]
    at = finish(at.button(key="edit.make").click().run())
    first = shared.store().page()[0]
    assert (first.request.made_from, first.request.strength) == (before.id, 0.65)
    assert "Step 2 of 2" in [caption.value for caption in at.caption]
    at.button(key="edit.undo").click().run()
    assert at.button(key="edit.undo").disabled
    at.button(key="edit.redo").click().run()
    at = finish(at.button(key="edit.make").click().run())
    assert shared.store().page()[0].request.made_from == first.id
    assert shared.find(before.id) is not None


def test_a_picture_that_is_made_while_the_page_is_drawn_becomes_the_step_at_once(
    at: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = editing._take_over

    def late(session: str) -> None:
        looked(session)
        for job in shared.queue().jobs(session):
            shared.queue().wait(job.id)

    monkeypatch.setattr(editing, "_take_over", late)
    at.button(key="edit.make").click().run()
    assert "Step 2 of 2" in [caption.value for caption in at.caption]


def test_a_rectangle_is_drawn_anew_and_the_rest_stays(at: AppTest, finish: Finish) -> None:
    at.segmented_control(key="edit.tool").set_value("Change a part").run()
    at.selectbox(key="edit.part").set_value("A rectangle").run()
    assert at.button(key="edit.make").disabled  # nobody said what should be there
    at.text_area[0].set_value("a star").run()
    finish(at.button(key="edit.make").click().run())
    made = shared.store().page()[0]
    mask = np.asarray(inputs.open(made.request.mask))
    assert 0 < (mask > 0).mean() < 0.2
    pixels, old = (
        np.asarray(Image.open(made.path).convert("RGB")),
        np.asarray(Image.open(io.BytesIO(photo()))),
    )
    assert (pixels[mask == 0] == old[mask == 0]).all()


def test_a_picture_is_widened_with_its_surroundings(at: AppTest, finish: Finish) -> None:
    at.segmented_control(key="edit.tool").set_value("Widen").run()
    assert at.text_input[-1].value == "in a forest"
    finish(at.button(key="edit.make").click().run())
    made = shared.store().page()[0]
    assert (made.height, round(made.width / made.height, 1)) == (96, 1.8)


def test_a_photo_from_outside_begins_and_needs_words(open_app: Open, finish: Finish) -> None:
    at = open_app("pages/edit.py")
    at.file_uploader(key="edit.file").set_value(("photo.png", photo(), "image/png")).run()
    assert at.button(key="edit.make").disabled
    at.text_area[0].set_value("a navy hoodie").run()
    at.segmented_control(key="edit.vary").set_value("A lot").run()
    finish(at.button(key="edit.make").click().run())
    assert shared.store().page()[0].request.prompt == "a navy hoodie"


@pytest.mark.parametrize("data", [b"", b"<html>", photo()[:900]])
def test_what_is_no_picture_is_one_line(open_app: Open, data: bytes) -> None:
    at = open_app("pages/edit.py")
    at.file_uploader(key="edit.file").set_value(("photo.png", data, "image/png")).run()
    assert not at.exception
    assert len(at.error) == 1
    assert "photo.png cannot be read as a picture" in at.error[0].value.replace("\\", "")


def test_a_picture_that_was_deleted_meanwhile_is_said(at: AppTest) -> None:
    record = shared.store().page()[0]
    shared.store().delete(record.id)
    del at.session_state[f"edit.source.{record.id}"]  # as another tab would see it
    at.run()
    assert "this picture was deleted; begin with another" in at.error[0].value.replace("\\", "")


def test_a_logo_is_seen_before_it_is_printed_and_the_rest_of_the_picture_stays(
    at: AppTest, finish: Finish
) -> None:
    before = shared.store().page()[0]
    at.segmented_control(key="edit.tool").set_value("Logo").run()
    assert at.button(key="edit.make").disabled  # there is no logo yet
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="9" height="9" fill="#c00"/></svg>'
    at.file_uploader(key="edit.logo.file").set_value(("mark.svg", svg, "image/svg+xml")).run()
    at.selectbox(key="edit.logo.at").set_value("free").run()
    at.slider(key="edit.logo.x").set_value(50).run()
    finish(at.button(key="edit.make").click().run())
    made = shared.store().page()[0]
    assert (made.request.strength, made.request.made_from) == (0.0, before.id)
    [spec] = made.request.logos
    assert (spec.name, spec.at, spec.x, spec.width) == ("mark.svg", "free", 0.5, 0.2)


def test_a_drawing_that_is_no_logo_is_one_line_and_the_button_stays_off(at: AppTest) -> None:
    at.segmented_control(key="edit.tool").set_value("Logo").run()
    at.file_uploader(key="edit.logo.file").set_value(
        ("mark.svg", b"<svg><script/></svg>", "image/svg+xml")
    ).run()
    assert not at.exception
    assert len(at.error) == 1
    assert not [button for button in at.button if button.key == "edit.make" and not button.disabled]


def test_a_background_goes_without_a_word_of_the_product(at: AppTest, finish: Finish) -> None:
    at.segmented_control(key="edit.tool").set_value("Background").run()
    assert not at.exception
    if at.error:  # noise shows no product: one line
        assert len(at.error) == 1
        return
    finish(at.button(key="edit.make").click().run())
    assert shared.store().page()[0].request.background == "white"


def test_without_a_photo_an_example_is_one_click_away(open_app: Open) -> None:
    at = open_app("pages/edit.py").run()
    at.button(key="edit-example-hoodie").click().run()
    assert not at.exception
    assert at.segmented_control(key="edit.tool").value == "Vary"
    assert not [button for button in at.button if "example" in str(button.key)]


def test_a_scene_needs_words_and_is_drawn_behind_the_product(
    at: AppTest, monkeypatch: pytest.MonkeyPatch, finish: Finish
) -> None:
    alone = Image.open(io.BytesIO(photo())).convert("RGBA")
    alone.putalpha(Image.new("L", alone.size, 0))
    alone.paste((40, 60, 90, 255), (40, 30, 90, 70))
    monkeypatch.setattr(edits, "product", lambda source: (alone, "found by a test"))
    at.segmented_control(key="edit.tool").set_value("Background").run()
    at.segmented_control(key="edit.background.kind").set_value("A scene").run()
    assert at.button(key="edit.make").disabled
    at.text_input(key="edit.background.scene").set_value("a wooden table").run()
    before = shared.store().page()[0]
    finish(at.button(key="edit.make").click().run())
    made = shared.store().page()[0]
    assert (made.request.prompt, made.request.made_from) == ("a wooden table", before.id)
    assert made.request.product


def test_a_brands_colour_becomes_the_background_by_a_click(
    at: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    kits.save(BrandKit(name="North Peak", palette=(Swatch(name="navy", hex="#1F2A44"),)), {})
    alone = Image.new("RGBA", (128, 96), (40, 60, 90, 255))
    monkeypatch.setattr(edits, "product", lambda source: (alone, "found by a test"))
    at.segmented_control(key="edit.tool").set_value("Background").run()
    at.segmented_control(key="edit.background.kind").set_value("A colour").run()
    at.pills(key="edit.background.brand").set_value("navy · North Peak").run()
    assert at.color_picker(key="edit.background.colour").value.upper() == "#1F2A44"
