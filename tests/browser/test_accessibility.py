"""No page breaks a rule of axe-core, in the light and in the dark, empty or with pictures."""

from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from tests.browser.test_loop import FRAMED, ask
from tests.browser.test_studio import PROGRESS, click, count, open_page, settled, visible, wait

pytestmark = pytest.mark.browser

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
PROMPT = "a photography of a navy cap with a white star logo, studio background"
PAGES = (
    "",
    "/edit",
    "/gallery",
    "/catalog",
    "/templates",
    "/brand",
    "/products",
    "/metrics",
    "/compare",
    "/verify",
    "/training",
)
DARK = "rgb(22, 20, 18)"  # the background then
_RUN = "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then(r => done(r.violations))"


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core; skips without it."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed; with npm: npm ci --prefix tests/browser")
    return AXE.read_text(encoding="utf-8")


def violations(browser: WebDriver, axe: str) -> list[str]:
    """What breaks a rule in the page as it stands: rule, element, why."""
    settled(browser)
    browser.execute_script(axe)
    found: list[dict[str, Any]] = browser.execute_async_script(_RUN)
    broken = ((rule["id"], node) for rule in found for node in rule["nodes"])
    return [f"{rule}: {node['html'][:120]} {node['failureSummary']}" for rule, node in broken]


def scheme(browser: WebDriver, name: str) -> None:
    """Light or dark, as the system would say; waits until the page that is open has followed."""
    feature = {"name": "prefers-color-scheme", "value": name}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    shown = "return getComputedStyle(document.querySelector('.stApp')).backgroundColor"
    wait(browser, lambda d: (d.execute_script(shown) == DARK) == (name == "dark"))


@pytest.mark.parametrize("page", PAGES)
def test_no_page_breaks_a_rule(browser: WebDriver, server: str, axe: str, page: str) -> None:
    open_page(browser, server + page)
    for shade in ("light", "dark"):
        scheme(browser, shade)
        assert violations(browser, axe) == []


def test_pictures_their_votes_and_their_details_break_no_rule(
    browser: WebDriver, server: str, axe: str
) -> None:
    open_page(browser, server)
    ask(browser, PROMPT, level="Draft", number="2")
    wait(browser, lambda d: count(d, FRAMED) == 1 and count(d, PROGRESS) == 0)
    for shade in ("light", "dark"):
        scheme(browser, shade)
        assert violations(browser, axe) == []
    scheme(browser, "light")
    click(browser, "[class*=-reject] button")
    visible(browser, "[class*=st-key-wrong-]")
    assert violations(browser, axe) == []
    click(browser, "[class*=-details] button")
    visible(browser, "[role=dialog] button", "Use these settings")
    for shade in ("light", "dark"):
        scheme(browser, shade)
        assert violations(browser, axe) == []
