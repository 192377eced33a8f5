"""The gallery's dialog in a real browser: Esc closes it, deleting closes it, and nothing breaks on the way."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from sdxl_lora.records import Store
from tests.browser.conftest import ROOT, resize, serving
from tests.browser.test_accessibility import axe, scheme, violations
from tests.browser.test_studio import PHONE, click, count, settled, visible, wait

__all__ = ["axe"]

pytestmark = pytest.mark.browser

OLD_FOLDER = ROOT / "tests" / "records" / "folders" / "schema-4"
JACKET, SHOES = "20261127-045110-187314-975191", "20261127-045114-550346-0cfa96"
DIALOG = "[role=dialog]"


@pytest.fixture(scope="module")
def gallery(
    chromium: tuple[str, str], tiny_mini: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """Address and data folder of a studio with four pictures."""
    home = tmp_path_factory.mktemp("gallery") / "home"
    shutil.copytree(OLD_FOLDER, home)
    with serving(tmp_path_factory.mktemp("gallery-server"), home, tiny_mini) as address:
        yield f"{address}/gallery", home


def is_gone(browser: WebDriver, css: str) -> bool:
    return bool(browser.execute_script("return !document.querySelector(arguments[0])", css))


def card(identifier: str) -> str:
    return f"[class*='st-key-card-gallery-{identifier}']"


def open_details(browser: WebDriver, address: str, identifier: str) -> None:
    browser.get(address)
    visible(browser, card(identifier))
    click(browser, f"[class*='st-key-gallery-{identifier}-details'] button")
    visible(browser, f"{DIALOG} button", "Move to trash")  # the last thing in it
    settled(browser)


def assert_nothing_broke(browser: WebDriver) -> None:
    assert is_gone(browser, "[data-testid=stException]")


def test_no_filter_has_to_be_scrolled_to_on_a_phone(browser: WebDriver, gallery: tuple[str, Path]) -> None:
    resize(browser, *PHONE)
    browser.get(gallery[0])
    visible(browser, card(SHOES))
    wide = """return [...document.querySelectorAll('.st-key-filters-row, .st-key-filters-row *')]
        .filter(one => one.clientWidth && one.scrollWidth > one.clientWidth + 1
            && ['auto', 'scroll'].includes(getComputedStyle(one).overflowX)).length"""
    wait(browser, lambda driver: driver.execute_script(wide) == 0)
    assert_nothing_broke(browser)


@pytest.mark.parametrize("size", [(1280, 900), PHONE])
def test_escape_closes_the_details(
    browser: WebDriver, gallery: tuple[str, Path], size: tuple[int, int]
) -> None:
    resize(browser, *size)
    open_details(browser, gallery[0], SHOES)
    # a key goes to whatever holds the focus, and on a busy machine the dialog takes it a moment after it is drawn
    inside = "return document.querySelector(arguments[0]).contains(document.activeElement)"
    wait(browser, lambda driver: driver.execute_script(inside, DIALOG))
    ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    wait(browser, lambda _: is_gone(browser, DIALOG))
    assert_nothing_broke(browser)


def test_deleting_closes_the_details_and_undo_brings_the_card_back(
    browser: WebDriver, gallery: tuple[str, Path]
) -> None:
    open_details(browser, gallery[0], JACKET)
    click(browser, f"{DIALOG} button", "Move to trash")
    wait(browser, lambda _: is_gone(browser, DIALOG) and is_gone(browser, card(JACKET)))
    visible(browser, card(SHOES))
    click(browser, "button", "Undo")
    visible(browser, card(JACKET))
    assert_nothing_broke(browser)


def fits(browser: WebDriver) -> bool:
    """Whether nothing has to be scrolled to sideways."""
    width = "return Math.max(...[document.documentElement, document.querySelector('[data-testid=stMain]')]"
    return bool(browser.execute_script(f"{width}.map(one => one.scrollWidth - one.clientWidth)) <= 0"))


def test_the_trash_shows_what_was_deleted_and_brings_it_back_or_deletes_it_for_good(
    browser: WebDriver, gallery: tuple[str, Path], axe: str
) -> None:
    address, home = gallery
    with Store(home) as store:
        store.trash.put([JACKET, SHOES])
    browser.get(f"{address}?view=trash")
    visible(browser, "h1", "Trash")
    restore = f"[class*='st-key-trash-{JACKET}-restore'] button"
    visible(browser, restore, "Bring back")
    for shade in ("light", "dark"):
        scheme(browser, shade)
        assert violations(browser, axe) == []
    resize(browser, *PHONE)
    wait(browser, fits)
    assert violations(browser, axe) == []
    click(browser, restore)
    wait(browser, lambda _: is_gone(browser, restore))
    click(browser, "[class*='st-key-trash-empty'] button", "Empty the trash")
    visible(browser, "button", "Delete for good")
    assert violations(browser, axe) == []
    click(browser, "button", "Bring all back")
    visible(browser, "h2", "The trash is empty")
    assert violations(browser, axe) == []
    with Store(home) as store:
        assert {JACKET, SHOES} <= set(store.ids())
    assert_nothing_broke(browser)


def test_two_settings_are_drawn_against_each_other_and_a_bookmark_shows_them_again(
    browser: WebDriver, gallery: tuple[str, Path], axe: str
) -> None:
    asked = "grid.x=guidance&grid.xs=2,%203&grid.y=seed&grid.ys=5-6"
    address = f"{gallery[0].removesuffix('gallery')}grid?picture={JACKET}&{asked}"
    browser.get(address)
    visible(browser, "button", "Draw 4 pictures")
    for shade in ("light", "dark"):
        scheme(browser, shade)
        assert violations(browser, axe) == []
    click(browser, "button", "Draw 4 pictures")
    visible(browser, "button", "Download as one picture")
    for row in range(2):
        wait(browser, lambda _, row=row: count(browser, f"[class*='st-key-grid-axes-{row}'] img") == 2)  # type: ignore[misc]
    for shade in ("light", "dark"):
        scheme(browser, shade)
        assert violations(browser, axe) == []
    browser.get("about:blank")
    resize(browser, *PHONE)
    browser.get(address)
    visible(browser, "button", "Download as one picture")
    wait(browser, fits)
    assert violations(browser, axe) == []
    assert not [one for one in browser.find_elements("css selector", "button") if one.text.startswith("Draw")]
    with Store(gallery[1]) as store:
        assert store.count(search="", model="mini") >= 4
    assert_nothing_broke(browser)


def test_words_and_filters_are_in_the_address(browser: WebDriver, gallery: tuple[str, Path]) -> None:
    browser.get(gallery[0])
    visible(browser, card(SHOES))
    field = visible(browser, "[class*='st-key-gallery-search'] input")
    field.send_keys("windbreaker", Keys.ENTER)
    wait(browser, lambda _: is_gone(browser, card(SHOES)))
    visible(browser, card(JACKET))
    address = browser.current_url
    assert "gallery.search=windbreaker" in address
    browser.get("about:blank")
    browser.get(address)
    visible(browser, card(JACKET))
    wait(browser, lambda _: is_gone(browser, card(SHOES)))


def test_several_pictures_go_on_a_new_board(browser: WebDriver, gallery: tuple[str, Path], axe: str) -> None:
    browser.get(gallery[0])
    visible(browser, card(SHOES))
    click(browser, "[class*='st-key-gallery-choosing'] input")
    for identifier in (SHOES, JACKET):
        click(browser, f"[class*='st-key-gallery-{identifier}-pick'] input")
        settled(browser)
    click(browser, "button", "Put on a board")
    field = visible(browser, f"{DIALOG} input")
    field.send_keys("Spring")
    field.send_keys(Keys.ENTER)
    settled(browser)
    click(browser, f"{DIALOG} button", "Put on the board")
    wait(browser, lambda _: is_gone(browser, DIALOG))
    for shade in ("light", "dark"):
        scheme(browser, shade)
        assert violations(browser, axe) == []
    browser.get(f"{gallery[0]}?gallery.board=Spring")
    for identifier in (SHOES, JACKET):
        visible(browser, card(identifier))
    visible(browser, "p", "2 pictures, newest first")
    assert_nothing_broke(browser)


def test_signs_of_a_card_stay_in_one_row_on_a_phone(browser: WebDriver, gallery: tuple[str, Path]) -> None:
    resize(browser, *PHONE)
    browser.get(gallery[0])
    visible(browser, card(SHOES))
    rows = """return new Set([...document.querySelectorAll("[class*='st-key-actions-gallery-'] button")]
        .filter(one => one.offsetHeight).slice(0, 4).map(one => Math.round(one.getBoundingClientRect().top))).size"""
    wait(browser, lambda driver: driver.execute_script(rows) == 1)
    assert_nothing_broke(browser)


def test_a_picture_deleted_by_another_program_closes_its_details(
    browser: WebDriver, gallery: tuple[str, Path]
) -> None:
    open_details(browser, gallery[0], SHOES)
    with Store(gallery[1]) as store:
        store.delete(SHOES)
    click(browser, f"{DIALOG} button", "Approve")
    wait(browser, lambda _: is_gone(browser, DIALOG) and is_gone(browser, card(SHOES)))
    assert_nothing_broke(browser)
