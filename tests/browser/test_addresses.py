"""Addresses that people send each other open the whole studio, also as the first request of a fresh server."""

from pathlib import Path

from selenium.webdriver.remote.webdriver import WebDriver

from tests.browser.conftest import serving
from tests.browser.test_studio import open_page, visible


def test_a_page_opened_first_comes_with_the_navigation(
    browser: WebDriver, tiny_mini: Path, tmp_path: Path
) -> None:
    with serving(tmp_path, tmp_path / "home", tiny_mini) as address:
        open_page(browser, f"{address}/training")
        assert visible(browser, "h1", "Training").is_displayed()
        assert visible(browser, "header a", "Gallery").is_displayed()
