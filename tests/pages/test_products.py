"""The page of product sets: a photo is cut out, a set is made of it, and what falls out is said."""

import io
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from sdxl_lora.ui import shared
from tests.editing.photos import garment
from tests.pages.conftest import plain

Open = Callable[..., AppTest]
Finish = Callable[[AppTest], AppTest]


def photo(name: str = "shirt.jpg") -> tuple[str, bytes, str]:
    buffer = io.BytesIO()
    garment()[0].save(buffer, format="JPEG", quality=95)
    return name, buffer.getvalue(), "image/jpeg"


@pytest.fixture
def at(open_app: Open) -> AppTest:
    page = open_app("pages/products.py")
    page.file_uploader(key="products.photo").set_value(photo())
    return page.run()


def captions(at: AppTest) -> str:
    return plain(" ".join(element.value for element in at.caption))


def test_the_product_is_shown_with_its_colour_at_once(at: AppTest) -> None:
    assert not at.exception
    assert "Its colour on the photo: #" in captions(at)
    assert at.button(key="products.make").label == "Make 1 picture"


def test_another_swatch_is_said_to_be_off_and_mended_with_one_click(at: AppTest) -> None:
    at.text_input(key="products.swatch").set_value("#C3272B").run()
    assert "Another colour: off by" in captions(at)
    assert "the swatch is #C3272B" in captions(at)
    at.button(key="products.mend").click().run()
    assert at.multiselect(key="products.colours").value == ["#C3272B"]


def test_a_set_is_made_and_said_to_belong_together(at: AppTest, finish: Finish) -> None:
    at.session_state["products.colours"] = ["#C3272B", "#2E6F40"]
    at.run()
    assert at.button(key="products.make").label == "Make 2 pictures"
    at = finish(at.button(key="products.make").click().run())
    assert not at.exception
    records = shared.store().page()
    assert {record.request.recolour for record in records} == {"#C3272B", "#2E6F40"}
    assert {record.width for record in records} == {1024}
    assert at.success[0].value == "All 2 pictures of the set belong together."


def test_what_is_no_colour_is_one_line(at: AppTest) -> None:
    at.session_state["products.colours"] = ["rouge"]
    at.run()
    assert plain(at.error[0].value) == "'rouge' is no colour; write it as #1F2A44"
    assert not at.exception


def test_a_file_that_is_no_picture_is_one_line(open_app: Open) -> None:
    page = open_app("pages/products.py")
    page.file_uploader(key="products.photo").set_value(("a.png", b"no picture", "image/png"))
    page.run()
    assert "cannot be read as a picture" in page.error[0].value
    assert not page.exception


def test_without_a_photo_an_example_is_one_click_away(open_app: Open) -> None:
    at = open_app("pages/products.py").run()
    at.button(key="products-example-t-shirt").click().run()
    assert not at.exception
    assert "Its colour on the photo: #" in captions(at)
    assert not [button for button in at.button if "example" in str(button.key)]
