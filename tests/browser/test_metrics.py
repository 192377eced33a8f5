"""The metrics page in a real browser: two evaluations side by side, down to one picture."""

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver

from sdxl_lora.evaluation.engine import Settings, evaluate
from sdxl_lora.evaluation.pairing import pair_folders
from sdxl_lora.records.evaluations import EvaluationStore
from sdxl_lora.ui.evaluation_plots import RUNS
from tests.browser.conftest import resize
from tests.browser.test_studio import PHONE, click, count, open_page, settled, visible, wait
from tests.evaluation.drawing import noisy, save_all

pytestmark = pytest.mark.browser


GRID = "[class*=st-key-grid-metrics]"
PLOT = "[data-testid=stVegaLiteChart]"


@pytest.fixture(scope="module", autouse=True)
def reports(
    server: str, server_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """Two evaluations of five pictures against the same photos, in the data folder of the server."""
    folder = tmp_path_factory.mktemp("runs")
    reference = save_all(folder / "photos", ((f"img_{i}.png", noisy(i)) for i in range(5)))
    rows = [
        {"file_name": f"img_{i}.png", "text": f"jacket {i}", "brand": ("Nike", "Puma")[i % 2]}
        | {"garment": "jacket", "colour": ("red", "navy", "olive")[i % 3]}
        for i in range(5)
    ]
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found: dict[str, dict[str, Any]] = {}
    with EvaluationStore(server_home) as store:
        for place, label in enumerate(("base", "with LoRA")):
            made = save_all(folder / label, ((f"img_{i}.png", noisy(100 * place + 50 + i)) for i in range(5)))
            pairing = pair_folders(made, reference, folder / "captions.jsonl")
            settings = Settings(resize=64, metrics=("psnr", "ssim", "fid"))
            found[label] = evaluate(pairing, settings, label=label).to_dict()
            store.add(found[label], {"generated": made, "reference": reference})
    return found


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
    visible(browser, f"{PLOT} svg")
    visible(browser, "summary", "1 metric not computed, and why")
    wait(browser, lambda d: count(d, f"{GRID} img") == 5)

    click(browser, f"{GRID} button", "img_")
    visible(browser, "[role=dialog] code", "jacket")
    wait(browser, lambda d: count(d, "[role=dialog] img") == 2)
    click(browser, "[role=dialog] button", "Difference")
    visible(browser, "[role=dialog] [data-testid=stCaptionContainer]", "Colour distance of every pixel")
    click(browser, "[role=dialog] button", "Slider")
    visible(browser, "[role=dialog] [data-testid=stSlider]", "50 %")
    wait(browser, lambda d: count(d, "[role=dialog] img") == 1)
    assert visible(browser, "[role=dialog] code", "jacket").is_displayed()


def test_a_click_on_a_point_of_the_plot_opens_its_picture(
    browser: WebDriver, server: str, reports: dict[str, dict[str, Any]]
) -> None:
    open_page(browser, f"{server}/metrics")
    plotted(browser)
    values = reports["with LoRA"]["metrics"]["psnr"]["per_image"]  # the newest run is the first
    lowest = min(range(len(values)), key=values.__getitem__)
    place = wait(browser, leftmost_point)
    click_at(browser, place)
    visible(browser, "[role=dialog] strong", f"img_{lowest}")
    assert visible(browser, "[role=dialog] code", f"jacket {lowest}").is_displayed()
    click(browser, "[role=dialog] [aria-label=Close]")
    wait(browser, lambda d: count(d, "[role=dialog]") == 0)
    plotted(browser)
    click_at(browser, wait(browser, leftmost_point))  # the same point once more
    visible(browser, "[role=dialog] strong", f"img_{lowest}")


def test_the_worst_pictures_come_first(
    browser: WebDriver, server: str, reports: dict[str, dict[str, Any]]
) -> None:
    open_page(browser, f"{server}/metrics")
    plotted(browser)
    for label in ("base", "with LoRA"):
        click(browser, ".st-key-metrics-run button", label)
        values = reports[label]["metrics"]["psnr"]["per_image"]
        worst_first = [f"img_{i} · {values[i]:.4f}" for i in sorted(range(5), key=values.__getitem__)]
        assert wait(browser, partial(shows, "[class*=st-key-metrics-open] button", worst_first))


def test_a_row_of_the_table_opens_where_its_numbers_come_from(browser: WebDriver, server: str) -> None:
    open_page(browser, f"{server}/metrics")
    table = visible(browser, "[data-testid=stDataFrame] canvas")
    settled(browser)
    click_at(browser, {"x": table.rect["x"] + 16, "y": table.rect["y"] + 35 + 17})  # the box of the first row
    drawer = visible(browser, "[data-testid=stExpander]", "Provenance: psnr")
    wait(browser, lambda _: "formula" in str(drawer.get_attribute("textContent")))
    for fact in ("weights_sha256", "prompts_sha256", "files_sha256", "packages", "ci95", "resize"):
        assert fact in str(drawer.get_attribute("textContent")), fact


@pytest.mark.parametrize(("column", "entries"), [("brand", 4), ("garment", 2), ("colour", 6)])
def test_numbers_are_sliced_by_what_is_known_of_the_pictures(
    browser: WebDriver, server: str, column: str, entries: int
) -> None:
    open_page(browser, f"{server}/metrics")
    plotted(browser)
    click(browser, ".st-key-metrics-slice button", column)
    rows = (
        "return [...document.querySelectorAll('[data-testid=stDataFrame] table')]"
        ".filter(t => t.textContent.startsWith(arguments[0])).map(t => t.querySelectorAll('tbody tr').length)"
    )
    assert wait(browser, lambda d: d.execute_script(rows, column) == [entries])  # one per value and run


def plotted(browser: WebDriver) -> None:
    """Waits for the plot and the pictures; they are of PSNR where no metric of another kind leads."""
    visible(browser, f"{PLOT} svg")
    wait(browser, lambda d: count(d, f"{GRID} img") == 5)
    settled(browser)


def shows(css: str, expected: list[str], browser: WebDriver) -> bool:
    """Whether exactly these texts are there, in this order."""
    return texts(browser, css) == expected


def texts(browser: WebDriver, css: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)"
    found: list[str] = browser.execute_script(script, css)
    return found


def leftmost_point(browser: WebDriver) -> dict[str, float] | None:
    """Where (CSS px) the first run's point furthest to the left is drawn."""
    script = """
        const marks = `${arguments[0]} .mark-symbol.role-mark path[fill="${arguments[1]}"]`
        const points = [...document.querySelectorAll(marks)]
        if (points.length < 5) return null
        points[0].scrollIntoView({block: 'center', behavior: 'instant'})
        const boxes = points.map(point => point.getBoundingClientRect()).sort((a, b) => a.x - b.x)
        return {x: boxes[0].x + boxes[0].width / 2, y: boxes[0].y + boxes[0].height / 2}
    """
    found: dict[str, float] | None = browser.execute_script(script, PLOT, RUNS[0])
    return found


def click_at(browser: WebDriver, place: object) -> None:
    """A mouse moves there and clicks, as the plot and the table, which draw themselves, need it."""
    assert isinstance(place, dict)
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
        browser.execute_cdp_cmd(
            "Input.dispatchMouseEvent", {"type": kind, "x": place["x"], "y": place["y"], **button}
        )


def test_the_claims_of_the_original_are_shown_as_not_reproduced(browser: WebDriver, server: str) -> None:
    open_page(browser, f"{server}/metrics")
    click(browser, "summary", "What the original project claims")
    table = visible(browser, "[data-testid=stTable]", "9.8838")
    assert "Claimed, not reproduced" in str(table.get_attribute("textContent"))


def test_a_phone_never_scrolls_sideways(browser: WebDriver, server: str) -> None:
    resize(browser, *PHONE)
    open_page(browser, f"{server}/metrics")
    wait(browser, lambda d: d.find_elements(By.CSS_SELECTOR, f"{GRID} img"))
    time.sleep(0.5)  # the layout's own transitions
    widths = browser.execute_script(
        "return [document.documentElement, document.querySelector('[data-testid=stMain]')].map(e => e.scrollWidth)"
    )
    assert widths == [PHONE[0], PHONE[0]]
