"""The checklist of a shop beside a picture: a click per finding, and the file that comes of it."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from sdxl_lora.records import Record
from tests.pages.conftest import TIMEOUT, plain

KEY = "here"


def page() -> None:
    """The latest picture's shops alone: AppTest draws a dialog, such as that of the details, only when it is opened."""
    from sdxl_lora.ui import shared, shops

    [record] = shared.store().page(0, 1)
    shops.show(record, record.path.read_bytes(), "a.png", "here")


@pytest.fixture
def at(make: Callable[..., list[Record]]) -> AppTest:
    make("a navy jacket")
    opened = AppTest.from_function(page, default_timeout=TIMEOUT).run()
    assert not opened.exception
    return opened


def says(at: AppTest) -> str:
    return plain("\n".join(str(one.value) for one in [*at.markdown, *at.caption, *at.error]))


def press(at: AppTest, key: str) -> None:
    at.button(key=key).click().run()
    assert not at.exception


def choose(at: AppTest, name: str) -> str:
    at.selectbox(key=f"{KEY}.shop").select(name).run()
    assert not at.exception
    return f"{KEY}.{name}"


def test_a_shop_is_chosen_and_its_checklist_is_put_right_click_by_click(at: AppTest) -> None:
    key = choose(at, "shopify")
    assert "Shorter side 64 px, wants at least 800 px" in says(at)
    fixes = [one for one in at.button if one.label == "Fix"]
    assert len(fixes) == 1
    fixes[0].click().run()
    assert not at.exception
    assert "Shorter side 2,048 px, wants at least 800 px" in says(at)
    assert "enlarged 32.0 times" in says(at)
    assert not [one for one in at.button if one.label == "Fix"]
    press(at, f"{key}.undo")
    assert "Shorter side 64 px" in says(at)


def test_everything_is_fixed_at_once_and_what_no_click_can_fix_is_said(at: AppTest) -> None:
    key = choose(at, "tiktok")
    assert "a concept, or a picture for ads and further views" in says(at)
    press(at, f"{key}.all")
    assert "Shorter side 1,600 px" in says(at)
    assert "wants a photo of the item" in says(at)
    assert [one.label for one in at.download_button] == ["Download for this shop"]


def test_no_shop_is_chosen_at_first(at: AppTest) -> None:
    assert not at.download_button


def test_the_details_of_a_picture_have_them(open_app: Callable[..., AppTest], at: AppTest) -> None:
    app = open_app("pages/gallery.py")
    next(one for one in app.button if str(one.key).endswith(".details")).click().run()
    assert "Shop" in [one.label for one in app.selectbox]
