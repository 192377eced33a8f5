"""The compare page in a real browser: two folders, votes without names, one picture of everything."""

import time
from pathlib import Path

import pytest
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver

from sdxl_lora.comparing import columns, engine
from sdxl_lora.comparing.prompts import Row
from sdxl_lora.records.comparisons import ComparisonRecord, ComparisonStore
from tests.browser.conftest import resize
from tests.browser.test_studio import PHONE, click, count, open_page, visible, wait
from tests.evaluation.drawing import noisy, save_all

pytestmark = pytest.mark.browser

ROWS = (Row(key="a", prompt="a red hoodie on a hanger"), Row(key="b", prompt="a blue cap on a table"))


@pytest.fixture(scope="module")
def record(server: str, server_home: Path, tmp_path_factory: pytest.TempPathFactory) -> ComparisonRecord:
    """Two folders compared, as the command line does it, in the data folder of the server."""
    folder = tmp_path_factory.mktemp("folders")
    systems = []
    for place, name in enumerate(("Alpha", "Beta")):
        save_all(folder / name, ((f"{i + 1}.png", noisy(10 * place + i)) for i in range(2)))
        systems.append(columns.parse(f"{name}=pictures:{folder / name}", ROWS))
    with ComparisonStore(server_home) as store:
        return engine.begin(store, ROWS, systems)


def test_votes_are_cast_without_names_and_counted_with_them(
    browser: WebDriver, server: str, server_home: Path, record: ComparisonRecord
) -> None:
    open_page(browser, server)
    open_page(browser, f"{server}/compare?comparison={record.id}")
    visible(browser, "h1", "Compare")
    for number in range(2):
        visible(browser, "p", f"{number} of 2 rows")
        wait(browser, lambda d: count(d, "[class*=st-key-grid-ballot] img") == 2)
        ballot = browser.find_element(By.CSS_SELECTOR, "[class*=st-key-grid-ballot]").get_attribute(
            "outerHTML"
        )
        assert "Alpha" not in str(ballot)
        assert "Beta" not in str(ballot)
        sizes = {
            (image.size["width"], image.size["height"])
            for image in browser.find_elements(By.CSS_SELECTOR, "[class*=st-key-grid-ballot] img")
        }
        assert len(sizes) == 1
        click(browser, "button", "A is best")
    visible(browser, "[data-testid=stAlert]", "you have voted on every row")
    click(browser, "button", "Results")
    visible(browser, "[data-testid=stCaptionContainer]", "2 blind votes of 1 person")
    visible(browser, "[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg")
    wait(browser, lambda d: count(d, "[class*=st-key-grid-wall] img") == 4)
    with ComparisonStore(server_home) as store:
        assert len(store.votes(record.id)) == 2
    browser.switch_to.new_window("tab")  # the same browser, without the first tab's address
    open_page(browser, f"{server}/compare?comparison={record.id}")
    click(browser, "button", "Vote without names")
    visible(browser, "[data-testid=stAlert]", "you have voted on every row")


def test_everything_is_downloaded_as_one_picture(
    browser: WebDriver, server: str, record: ComparisonRecord, tmp_path: Path
) -> None:
    browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    open_page(browser, f"{server}/compare?comparison={record.id}")
    click(browser, "button", "Results")
    click(browser, "button", "One picture")
    path = tmp_path / f"comparison-{record.id}.png"
    wait(browser, lambda _: path.is_file())
    with Image.open(path) as image:
        assert image.width > 2 * 320


@pytest.mark.parametrize("view", ["Vote without names", "Results"])
def test_a_phone_never_scrolls_sideways(
    browser: WebDriver, server: str, record: ComparisonRecord, view: str
) -> None:
    resize(browser, *PHONE)
    open_page(browser, f"{server}/compare?comparison={record.id}")
    click(browser, "button", view)
    time.sleep(0.5)  # the layout's own transitions
    widths = browser.execute_script(
        "return [document.documentElement, document.querySelector('[data-testid=stMain]')].map(e => e.scrollWidth)"
    )
    assert widths == [PHONE[0], PHONE[0]]


def test_a_new_comparison_offers_the_five_prompts_and_two_systems(browser: WebDriver, server: str) -> None:
    open_page(browser, f"{server}/compare")
    click(browser, "button", "New comparison")
    area = visible(browser, "textarea[aria-label='Prompts, one per line']")
    wait(browser, lambda _: len(str(area.get_attribute("value")).splitlines()) == 5)
    assert count(browser, "[class*=st-key-system-]") == 2
    click(browser, "button", "Add a system")
    wait(browser, lambda d: count(d, "[class*=st-key-system-]") == 3)
