"""What is in sight without scrolling, at the usual size of a laptop and on a phone, and what comes into sight."""

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from tests.browser.conftest import resize
from tests.browser.test_loop import FIELD
from tests.browser.test_studio import (
    GENERATE,
    PHONE,
    PROGRESS,
    click,
    count,
    open_page,
    press_generate,
    settled,
    visible,
    wait,
    write_prompt,
)

pytestmark = pytest.mark.browser

LAPTOP = (1280, 900)
STRIP = "[class*=st-key-strip-]"
TAB_STOPS = 12
_BOX = """
const { top, bottom, left, right } = document.querySelector(arguments[0]).getBoundingClientRect();
return [top, bottom, left, right];
"""


def box(browser: WebDriver, css: str) -> tuple[float, float, float, float]:
    """Top, bottom, left and right in CSS px from the corner of what is in sight."""
    top, bottom, left, right = browser.execute_script(_BOX, css)
    return top, bottom, left, right


def cancel_all(browser: WebDriver) -> None:
    click(browser, "button", "Cancel")
    wait(browser, lambda d: count(d, PROGRESS) == 0)


def test_words_number_level_and_generate_are_in_sight_on_a_laptop(browser: WebDriver, server: str) -> None:
    resize(browser, *LAPTOP)
    open_page(browser, server)
    visible(browser, GENERATE)
    lowest = 60.0  # px, below the navigation
    for css in (FIELD, ".st-key-effort > :first-child", ".st-key-effort > :last-child", GENERATE):
        top, bottom, _, _ = box(browser, css)
        assert lowest <= top < bottom <= LAPTOP[1]  # in this order, none below another
        lowest = bottom


@pytest.mark.parametrize("size", [LAPTOP, PHONE])
def test_no_choice_of_the_form_is_cut(browser: WebDriver, server: str, size: tuple[int, int]) -> None:
    resize(browser, *size)
    open_page(browser, server)
    visible(browser, ".st-key-composer input[role=combobox]")
    cut = "return [...document.querySelectorAll('.st-key-composer input[role=combobox]')]"
    cut += ".filter(e => e.offsetParent && e.scrollWidth > e.clientWidth + 1).map(e => e.value)"
    assert browser.execute_script(cut) == []


def test_no_shortcut_is_shown_where_there_is_no_keyboard(browser: WebDriver, server: str) -> None:
    shown = "return [...document.querySelectorAll('button kbd')].filter(e => e.offsetParent).length"
    resize(browser, *LAPTOP)
    open_page(browser, server)
    wait(browser, lambda d: d.execute_script(shown) > 0)
    touch = "Emulation.setTouchEmulationEnabled"
    browser.execute_cdp_cmd(touch, {"enabled": True})
    try:
        wait(browser, lambda d: d.execute_script("return matchMedia('(hover: none)').matches"))
        assert browser.execute_script(shown) == 0
    finally:
        browser.execute_cdp_cmd(touch, {"enabled": False})


def test_what_was_sent_comes_into_sight_on_a_phone(browser: WebDriver, server: str) -> None:
    resize(browser, *PHONE)
    open_page(browser, server)
    press_generate(browser)
    visible(browser, f"{STRIP} [data-testid=stProgress]")
    wait(browser, lambda d: 60 <= box(d, STRIP)[0] < PHONE[1] / 2)
    assert visible(browser, STRIP).is_displayed()
    cancel_all(browser)


def test_the_menu_of_a_phone_goes_once_a_page_was_chosen(browser: WebDriver, server: str) -> None:
    resize(browser, *PHONE)
    open_page(browser, server)
    click(browser, "[data-testid=stExpandSidebarButton]")
    click(browser, "[data-testid=stSidebarNavLink]", "Gallery")
    visible(browser, "h1", "Gallery")
    wait(browser, lambda d: box(d, "[data-testid=stSidebar]")[3] <= 0)
    assert visible(browser, "h1", "Gallery").is_displayed()


def test_generate_covers_nothing_of_what_is_said_about_the_words(browser: WebDriver, server: str) -> None:
    resize(browser, *PHONE)
    open_page(browser, server)
    write_prompt(browser, "a {navy|red} cap")
    visible(browser, ".st-key-length", "2 prompts")
    settled(browser)
    for scrolled in (0, 150, 300, 2_000):
        browser.execute_script(
            "document.querySelector('[data-testid=stMain]').scrollTop = arguments[0]", scrolled
        )
        assert box(browser, ".st-key-length")[1] <= box(browser, GENERATE)[0]


def test_generate_is_reached_by_twelve_tab_stops(browser: WebDriver, server: str) -> None:
    open_page(browser, server)
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert "Skip to main content" in browser.switch_to.active_element.text
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    for _ in range(TAB_STOPS - 2):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        if "Generate" in browser.switch_to.active_element.text:
            return
    pytest.fail("Generate is further away")


def test_generate_is_reached_by_its_shortcut_from_a_field(browser: WebDriver, server: str) -> None:
    open_page(browser, server)
    field = visible(browser, ".st-key-composer input[role=combobox]")
    field.send_keys(Keys.CONTROL, Keys.ENTER)
    assert visible(browser, PROGRESS).is_displayed()
    cancel_all(browser)
