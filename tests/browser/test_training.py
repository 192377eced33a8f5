"""The training page in a real browser: pictures in, progress that is seen, stopped with what was learned kept."""

import re
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.conftest import resize
from tests.browser.test_accessibility import axe, violations
from tests.browser.test_studio import PHONE, click, open_page, settled, visible, wait
from tests.captioned import captioned

__all__ = ["axe"]

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LIVE = "[class*=st-key-training-]"
STARTS = 240.0  # seconds; a process of its own loads torch and the model


def updates(browser: WebDriver) -> int:
    """How many updates the page says were made; -1 = it says nothing of any yet."""
    said = browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent).join(' ')", LIVE
    )
    found = re.search(r"([\d,]+) of 20,000 updates", str(said))
    return int(found[1].replace(",", "")) if found else -1


def test_a_training_is_started_watched_and_stopped_and_can_go_on(
    browser: WebDriver, server: str, server_home: Path, axe: str, tmp_path: Path
) -> None:
    photos = captioned(tmp_path / "caps", 4, "a cap number {}")
    open_page(browser, f"{server}/training")
    visible(browser, "input[aria-label='Folder with pictures and captions']").send_keys(
        str(photos), Keys.ENTER
    )
    visible(browser, "[data-testid=stAlert]", "4 pictures, nothing to put right.")
    settled(browser)
    field = visible(browser, "input[aria-label=Updates]")
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys("20000", Keys.ENTER)
    click(browser, "button", "Train")
    visible(browser, LIVE, "caps-emblem")
    slow = WebDriverWait(browser, STARTS, 0.5)
    slow.until(lambda d: updates(d) > 0)
    before = updates(browser)
    slow.until(lambda d: updates(d) > before)
    assert violations(browser, axe) == []
    resize(browser, *PHONE)
    wait(browser, lambda d: d.execute_script("return document.documentElement.scrollWidth") <= PHONE[0])
    resize(browser, 1360, 900)
    browser.refresh()  # whoever comes back sees it, too
    visible(browser, LIVE, "of 20,000 updates")
    click(browser, f"{LIVE} button", "Stop")
    slow.until(
        lambda d: any(
            re.search(r"caps-emblem was stopped after [\d,]+ updates", element.text)
            for element in d.find_elements(By.CSS_SELECTOR, "[data-testid=stCaptionContainer]")
        )
    )
    visible(browser, "button", "Go on")
    kept = list((server_home / "training" / "runs" / "caps-emblem").glob("checkpoint-*"))
    assert kept
