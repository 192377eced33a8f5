"""What a person sees: the real server in a real browser."""

import time
from collections.abc import Callable

import pytest
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    NoSuchElementException,
    StaleElementReferenceException,
)
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.conftest import resize

pytestmark = pytest.mark.browser

TIMEOUT = 150  # seconds; only reached when something is broken, or the machine is very busy
PROMPT = (
    "outer, Northpeak Windbreaker Navy, a photography of a navy windbreaker jacket with a white triangle logo"
    " on the chest, studio background"
)
GENERATE = ".st-key-composer-generate button"
PROGRESS = "[data-testid=stProgress]"
CARD = "[class*=st-key-card-]"
PHONE = (390, 844)


def wait(browser: WebDriver, condition: Callable[[WebDriver], object]) -> object:
    return WebDriverWait(browser, TIMEOUT, 0.1).until(condition)


def visible(browser: WebDriver, css: str, text: str = "") -> WebElement:
    """The first element of that selector with that text, once it is there."""

    def found(driver: WebDriver) -> WebElement | None:
        # text of elements that are replaced meanwhile cannot be read: asked for in one go in the page
        script = "return [...document.querySelectorAll(arguments[0])].find(e => e.textContent.includes(arguments[1]))"
        element: WebElement | None = driver.execute_script(script, css, text)
        return element

    element = wait(browser, found)
    assert isinstance(element, WebElement)
    return element


def click(browser: WebDriver, css: str, text: str = "") -> None:
    """Clicks as soon as a re-run of the page leaves the element alone."""
    visible(browser, css, text)
    settled(browser)
    browser.execute_script("arguments[0].click()", visible(browser, css, text))


def settled(browser: WebDriver) -> None:
    """Waits until the page neither runs nor loads."""
    wait(
        browser,
        lambda d: d.execute_script("return !!document.querySelector('[data-test-script-state=notRunning]')"),
    )
    wait(browser, lambda d: not d.find_elements(By.CSS_SELECTOR, "[data-testid=stSkeleton]"))


def open_page(browser: WebDriver, address: str) -> None:
    browser.get(address)
    visible(browser, "h1")
    settled(browser)


def write_prompt(browser: WebDriver, text: str) -> None:
    area = visible(browser, ".st-key-composer textarea[aria-label='What will be sent']")
    area.send_keys(Keys.CONTROL, "a")
    area.send_keys(text)


def press_generate(browser: WebDriver) -> None:
    """Clicks as a mouse does: the field that was typed into loses the focus, which commits its text."""

    def clicked(driver: WebDriver) -> bool:
        driver.find_element(By.CSS_SELECTOR, GENERATE).click()
        return True

    busy = (StaleElementReferenceException, ElementClickInterceptedException, NoSuchElementException)
    WebDriverWait(browser, TIMEOUT, 0.2, ignored_exceptions=busy).until(clicked)


def count(browser: WebDriver, css: str) -> int:
    return len(browser.find_elements(By.CSS_SELECTOR, css))


def test_a_prompt_becomes_a_picture_that_is_found_again_after_a_reload(
    browser: WebDriver, server: str
) -> None:
    open_page(browser, server)
    write_prompt(browser, PROMPT)
    press_generate(browser)
    visible(browser, PROGRESS)
    wait(browser, lambda d: count(d, CARD) == 2 and count(d, PROGRESS) == 0)
    visible(browser, CARD, "CLIP cosine")
    browser.refresh()
    wait(browser, lambda d: count(d, CARD) == 2)
    visible(browser, "[class*=st-key-headline-]", PROMPT)

    open_page(browser, f"{server}/gallery")  # other tests' pictures may be there too
    own = f"{CARD} img[alt='{PROMPT}']"
    wait(browser, lambda d: count(d, own) == 2)
    width = "return document.querySelector(arguments[0])?.naturalWidth"
    assert wait(browser, lambda d: d.execute_script(width, own)) == 64  # px, once it is loaded


def test_a_running_job_can_be_cancelled(browser: WebDriver, server: str) -> None:
    open_page(browser, server)
    click(browser, "[role=radio], [data-testid^=stBaseButton-segmented]", "8")
    click(browser, GENERATE)
    click(browser, "button", "Cancel")
    visible(browser, "[data-testid=stCaptionContainer]", "Cancelled")
    assert count(browser, PROGRESS) == 0


def test_every_setting_of_a_picture_comes_back_from_its_details(browser: WebDriver, server: str) -> None:
    open_page(browser, f"{server}/gallery")
    click(browser, "[class*=st-key-gallery-][class*=-details] button")
    click(browser, "[role=dialog] button", "Use these settings")
    visible(browser, "[data-testid=stAlert]", "All settings of the picture are filled in")
    settled(browser)
    seed = visible(browser, "input[aria-label=Seed]")
    assert str(seed.get_attribute("value")).isdigit()


def test_an_unknown_model_names_the_nearest_one(browser: WebDriver, server: str) -> None:
    open_page(browser, server)
    click(browser, ".st-key-composer summary", "Fine-tune")
    field = visible(browser, "input[aria-label*=Model]")
    field.send_keys("minni", Keys.ENTER)
    said = visible(browser, "[data-testid=stAlert]", "did you mean")
    assert "did you mean 'mini'?" in said.text


@pytest.mark.parametrize("page", ["", "/gallery", "/templates", "/edit", "/products", "/brand", "/verify"])
def test_a_phone_never_scrolls_sideways(browser: WebDriver, server: str, page: str) -> None:
    resize(browser, *PHONE)
    open_page(browser, server + page)
    time.sleep(0.5)  # the layout's own transitions
    widths = browser.execute_script(
        "return [document.documentElement, document.querySelector('[data-testid=stMain]')].map(e => e.scrollWidth)"
    )
    assert widths == [PHONE[0], PHONE[0]]


def test_generate_is_in_sight_on_a_phone_without_scrolling(browser: WebDriver, server: str) -> None:
    resize(browser, *PHONE)
    open_page(browser, server)
    box = visible(browser, GENERATE).rect
    assert 0 < box["y"] < PHONE[1] - box["height"]


def test_the_dark_theme_follows_the_system(browser: WebDriver, server: str) -> None:
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [dark]})
    open_page(browser, server)
    assert visible(browser, ".stApp").value_of_css_property("background-color") == "rgba(22, 20, 18, 1)"


def test_nothing_is_loaded_from_another_machine(browser: WebDriver, server: str) -> None:
    open_page(browser, server)
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [url for url in loaded if not url.startswith((server, "data:", "blob:"))] == []
    assert loaded


def test_there_is_no_clutter_of_the_framework(browser: WebDriver, server: str) -> None:
    open_page(browser, server)
    assert "Deploy" not in visible(browser, "body").text
