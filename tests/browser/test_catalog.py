"""The catalogue page in a real browser: a file in, pictures out, looked through by keyboard, downloaded as one ZIP."""

import io
import urllib.request
import zipfile
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver

from tests.browser.conftest import resize
from tests.browser.test_accessibility import axe, scheme, violations
from tests.browser.test_studio import PHONE, click, open_page, settled, visible, wait

__all__ = ["axe"]

pytestmark = pytest.mark.browser

FILE = "input[type=file]"
CAPTION = "[data-testid=stCaptionContainer]"
TABLE = "sku;Farbe;Preis\nA-1;rot;10\nA-2;{navy|green};20\nA-1;red;30\n"


def press(browser: WebDriver, key: str) -> None:
    settled(browser)
    ActionChains(browser).send_keys(key).perform()


def fits(browser: WebDriver, width: int) -> bool:
    """Nothing sticks out at the side."""
    return int(browser.execute_script("return document.documentElement.scrollWidth")) <= width


def test_a_table_becomes_a_catalogue_that_is_looked_through_by_keyboard_and_downloaded(
    browser: WebDriver, server: str, tmp_path: Path
) -> None:
    path = tmp_path / "products.csv"
    path.write_text(TABLE, encoding="utf-8")
    open_page(browser, f"{server}/catalog")
    browser.find_element(By.CSS_SELECTOR, FILE).send_keys(str(path))
    visible(browser, "p", "3 pictures")
    visible(browser, "summary", "1 row cannot be made")
    resize(browser, *PHONE)
    wait(browser, lambda _: fits(browser, PHONE[0]))
    resize(browser, 1360, 900)
    click(browser, "button", "Make all 3")
    visible(browser, CAPTION, "You may close this page")
    browser.get("about:blank")  # closed, and opened again by somebody who only knows the page
    open_page(browser, f"{server}/catalog")
    visible(browser, CAPTION, "0 approved, 0 rejected, 3 not looked at yet.")
    press(browser, "a")
    visible(browser, CAPTION, "1 approved, 0 rejected, 2 not looked at yet.")
    visible(browser, CAPTION, "A-2-navy.png, picture 2 of 3")
    press(browser, "x")
    visible(browser, CAPTION, "1 approved, 1 rejected, 1 not looked at yet.")
    press(browser, "p")
    visible(browser, CAPTION, "A-2-navy.png, picture 2 of 3")
    address = browser.find_element(By.CSS_SELECTOR, "a[href*='catalogs/']").get_attribute("href")
    with urllib.request.urlopen(str(address)) as answer:
        assert "Content-Length" not in answer.headers  # it comes in pieces
        data = answer.read()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {"A-1.png", "A-2-navy.png", "A-2-green.png", "manifest.csv", "failed.csv"} <= set(
            archive.namelist()
        )
        assert b"approved" in archive.read("manifest.csv")


def test_the_catalogue_breaks_no_rule_and_fits_a_phone(browser: WebDriver, server: str, axe: str) -> None:
    open_page(browser, f"{server}/catalog")
    visible(browser, "h2", "Look through")
    for shade in ("light", "dark"):
        scheme(browser, shade)
        assert violations(browser, axe) == []
    resize(browser, *PHONE)
    wait(browser, lambda _: fits(browser, PHONE[0]))
    click(browser, "button", "New catalogue")
    visible(browser, "[data-testid=stFileUploader]")
    for shade in ("dark", "light"):
        scheme(browser, shade)
        assert violations(browser, axe) == []
