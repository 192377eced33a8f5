"""The loop as a person meets it: type, watch attempts, cancel, vote by keyboard, take a change, undo it."""

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from tests.browser.conftest import resize
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

PROMPT = "a photography of a navy cap with a white star logo, studio background"
FIELD = ".st-key-composer textarea[aria-label='What will be sent']"
SEGMENT = "[role=radio], [data-testid^=stBaseButton-segmented]"
FRAMED = "[class*=st-key-card-framed-]"
APPROVE = "[class*=st-key-votes-] [class*=-approve] button"
REJECT = "[class*=st-key-votes-] [class*=-reject] button"
TILE = "[class*=st-key-try-]"
CAPTION = "[data-testid=stCaptionContainer]"


def ask(browser: WebDriver, prompt: str, *, level: str, number: str) -> None:
    """Fills in the form as a person does, and sends it."""
    write_prompt(browser, prompt)
    click(browser, SEGMENT, level)
    settled(browser)
    click(browser, SEGMENT, number)
    settled(browser)
    press_generate(browser)


def press_key(browser: WebDriver, key: str) -> None:
    """A key for the page, not for a field of it."""
    settled(browser)
    browser.execute_script("document.activeElement.blur()")
    browser.find_element(By.TAG_NAME, "body").send_keys(key)


def text_of(browser: WebDriver, css: str) -> str:
    return str(browser.execute_script("return document.querySelector(arguments[0])?.textContent ?? ''", css))


def framed(browser: WebDriver) -> str:
    """Which picture the keys are for."""
    script = "return document.querySelector(arguments[0])?.className ?? ''"
    return str(browser.execute_script(script, FRAMED))


def field(browser: WebDriver) -> str:
    return str(browser.execute_script("return document.querySelector(arguments[0]).value", FIELD))


def test_the_length_of_the_prompt_follows_the_typing(browser: WebDriver, server: str) -> None:
    open_page(browser, server)
    click(browser, SEGMENT, "Expert")
    settled(browser)
    area = visible(browser, FIELD)
    area.send_keys(Keys.CONTROL, "a")
    area.send_keys("a navy cap")
    visible(browser, CAPTION, "10 of 77 tokens")  # the tiny model's tokens are bytes
    area.send_keys(" and a red one")
    visible(browser, CAPTION, "20 of 77 tokens")
    assert browser.switch_to.active_element == area  # counting takes nothing from who types
    area.send_keys(" of {wool|linen}")
    visible(browser, CAPTION, "2 prompts")


def test_attempts_appear_one_by_one_and_the_next_can_be_cancelled(browser: WebDriver, server: str) -> None:
    open_page(browser, server)
    ask(browser, PROMPT, level="Strict", number="8")
    visible(browser, PROGRESS)
    visible(browser, CAPTION, "attempt 1")
    wait(browser, lambda d: count(d, TILE) >= 1)
    seen = count(browser, TILE)
    wait(browser, lambda d: count(d, TILE) > seen)
    click(browser, "button", "Cancel")
    visible(browser, CAPTION, "Cancelled")
    wait(browser, lambda d: count(d, PROGRESS) == 0)
    assert seen < count(browser, TILE) < 8 * 8  # nothing was calibrated: uncancelled, all are made


def test_votes_by_keyboard_become_a_change_that_is_seen_taken_and_undone(
    browser: WebDriver, server: str
) -> None:
    open_page(browser, server)
    ask(browser, PROMPT, level="Draft", number="2")
    wait(browser, lambda d: count(d, FRAMED) == 1 and count(d, PROGRESS) == 0)
    first = framed(browser)
    assert "A" in text_of(browser, f"{APPROVE} kbd")  # the key stands on the button

    press_key(browser, "a")
    visible(browser, APPROVE, "Approved")
    press_key(browser, "f")
    visible(browser, "[class*=st-key-votes-] [class*=-favourite] button[kind=primary]")
    press_key(browser, "n")
    wait(browser, lambda d: framed(d) not in ("", first))
    press_key(browser, "x")
    visible(browser, REJECT, "Rejected")

    said = visible(browser, "input[aria-label='In your own words']")
    said.send_keys("make it red", Keys.ENTER)
    visible(browser, "[class*=st-key-wrong-]", "navy → red")
    assert field(browser) == PROMPT  # only proposed so far
    jobs = count(browser, "[class*=st-key-strip-]")
    click(browser, "[class*=st-key-wrong-] button", "Make it")
    wait(browser, lambda d: "a red cap" in field(d))
    wait(browser, lambda d: count(d, "[class*=st-key-strip-]") > jobs and count(d, PROGRESS) == 0)

    press_key(browser, "u")
    wait(browser, lambda d: field(d) == PROMPT)
    click(browser, ".st-key-history summary", "History")
    click(browser, "[class*=st-key-history-] button", "navy → red")
    wait(browser, lambda d: "a red cap" in field(d))


def test_letters_typed_into_a_field_are_no_votes(browser: WebDriver, server: str) -> None:
    open_page(browser, server)
    ask(browser, PROMPT, level="One shot", number="1")
    wait(browser, lambda d: count(d, FRAMED) == 1 and count(d, PROGRESS) == 0)
    write_prompt(browser, "axfunp")
    settled(browser)
    assert "Approved" not in text_of(browser, APPROVE)
    assert "Rejected" not in text_of(browser, REJECT)


def test_the_reasons_of_a_picture_open_and_can_be_read_on_a_phone(browser: WebDriver, server: str) -> None:
    resize(browser, *PHONE)
    open_page(browser, server)
    ask(browser, PROMPT, level="One shot", number="1")
    wait(browser, lambda d: count(d, FRAMED) == 1 and count(d, PROGRESS) == 0)
    click(browser, "[class*=-why] button")
    card = visible(browser, "[data-testid=stPopoverBody]", "What you asked for")
    box = card.rect
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE[0]
    assert visible(browser, GENERATE)
