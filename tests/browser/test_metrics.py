"""The metrics page in a real browser: two evaluations side by side, down to one picture."""

import time
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver

from sdxl_lora.evaluation.engine import Settings, evaluate
from sdxl_lora.evaluation.pairing import pair_folders
from sdxl_lora.records.evaluations import EvaluationStore
from tests.browser.conftest import resize
from tests.browser.test_studio import PHONE, click, count, open_page, visible, wait
from tests.evaluation.drawing import noisy, save_all

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", autouse=True)
def runs(server: str, server_home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two evaluations of five pictures against the same photos, in the data folder of the server."""
    folder = tmp_path_factory.mktemp("runs")
    reference = save_all(folder / "photos", ((f"img_{i}.png", noisy(i)) for i in range(5)))
    rows = [f'{{"file_name": "img_{i}.png", "text": "jacket {i}", "brand": "Nike"}}' for i in range(5)]
    (folder / "captions.jsonl").write_text("\n".join(rows))
    with EvaluationStore(server_home) as store:
        for place, label in enumerate(("base", "with LoRA")):
            made = save_all(folder / label, ((f"img_{i}.png", noisy(100 * place + 50 + i)) for i in range(5)))
            pairing = pair_folders(made, reference, folder / "captions.jsonl")
            report = evaluate(pairing, Settings(resize=64, metrics=("psnr", "ssim", "fid")), label=label)
            store.add(report.to_dict(), {"generated": made, "reference": reference})


def test_two_runs_stand_side_by_side_and_a_picture_opens_with_everything(
    browser: WebDriver, server: str
) -> None:
    open_page(browser, server)
    open_page(browser, f"{server}/metrics")
    visible(browser, "h1", "Metrics")
    for label in ("base", "with LoRA"):
        visible(browser, "[data-testid=stMultiSelect]", label)
    visible(browser, "[data-testid=stDataFrame] canvas")
    cells = "return document.querySelector('[data-testid=stDataFrame] table')?.textContent"  # drawn a little later
    wait(browser, lambda d: "Δ" in str(d.execute_script(cells)) and "PSNR" in str(d.execute_script(cells)))
    visible(browser, "[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg")
    visible(browser, "summary", "metrics not computed, and why")
    wait(browser, lambda d: count(d, "[class*=st-key-grid-metrics] img") == 5)

    click(browser, "[class*=st-key-grid-metrics] button", "img_")
    visible(browser, "[role=dialog] code", "jacket")
    wait(browser, lambda d: count(d, "[role=dialog] img") == 2)
    click(browser, "[role=dialog] button", "Difference")
    visible(browser, "[role=dialog] [data-testid=stCaptionContainer]", "Colour distance of every pixel")
    click(browser, "[role=dialog] button", "Slider")
    visible(browser, "[role=dialog] [data-testid=stSlider]", "50 %")
    wait(browser, lambda d: count(d, "[role=dialog] img") == 1)
    assert visible(browser, "[role=dialog] code", "jacket").is_displayed()


def test_the_claims_of_the_original_are_shown_as_not_reproduced(browser: WebDriver, server: str) -> None:
    open_page(browser, f"{server}/metrics")
    click(browser, "summary", "What the original project claims")
    table = visible(browser, "[data-testid=stTable]", "9.8838")
    assert "Claimed, not reproduced" in str(table.get_attribute("textContent"))


def test_a_phone_never_scrolls_sideways(browser: WebDriver, server: str) -> None:
    resize(browser, *PHONE)
    open_page(browser, f"{server}/metrics")
    wait(browser, lambda d: d.find_elements(By.CSS_SELECTOR, "[class*=st-key-grid-metrics] img"))
    time.sleep(0.5)  # the layout's own transitions
    widths = browser.execute_script(
        "return [document.documentElement, document.querySelector('[data-testid=stMain]')].map(e => e.scrollWidth)"
    )
    assert widths == [PHONE[0], PHONE[0]]
