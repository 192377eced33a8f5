"""The Edit page as a person uses it: a photo, a painted mask, before and after, the way back, a logo."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement

from sdxl_lora.records import Record
from sdxl_lora.records.store import Store
from sdxl_lora.ui.edit_tools import TOOLS
from tests.browser.conftest import resize
from tests.browser.test_accessibility import axe, scheme, violations
from tests.browser.test_loop import CAPTION, SEGMENT
from tests.browser.test_studio import PHONE, PROGRESS, click, count, open_page, settled, visible, wait

__all__ = ["axe"]
pytestmark = pytest.mark.browser

MAKE = ".st-key-edit-make button"
STAGE = ".st-key-edit-logo-stage"
MARK = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 10"><rect width="20" height="10" fill="#c00"/></svg>'
_IN_SHADOW = """
const root = document.querySelector(arguments[0])?.querySelector("[data-testid=stBidiComponentIsolated]")?.shadowRoot
    ?? [...(document.querySelector(arguments[0])?.querySelectorAll("*") ?? [])].find(e => e.shadowRoot)?.shadowRoot;
return root?.querySelector(arguments[1]) ?? null;
"""


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A blue garment before a light wall."""
    path = tmp_path_factory.mktemp("photos") / "garment.png"
    pixels = np.full((128, 96, 3), 230, np.uint8)
    pixels[24:112, 20:76] = (40, 70, 150)
    pixels += np.random.default_rng(0).integers(0, 8, pixels.shape, np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def within(browser: WebDriver, css: str, inner: str) -> WebElement:
    """An element of a component that keeps its elements to itself."""
    found = wait(browser, lambda d: d.execute_script(_IN_SHADOW, css, inner))
    assert isinstance(found, WebElement)
    return found


def begin(browser: WebDriver, server: str, photo: Path, tool: str) -> None:
    open_page(browser, f"{server}/edit")
    visible(browser, ".st-key-edit-file input[type=file]").send_keys(str(photo))
    click(browser, SEGMENT, tool)
    said = next(one.help for one in TOOLS if one.name == tool)
    visible(browser, CAPTION, said)
    settled(browser)


def newest(home: Path) -> Record:
    return Store(home).page()[0]


def make(browser: WebDriver) -> None:
    """Presses the button, and waits until the picture is there."""
    click(browser, f"{MAKE}:enabled")
    wait(browser, lambda d: "Step 2 of 2" in text(d) and count(d, PROGRESS) == 0)
    settled(browser)


def text(browser: WebDriver) -> str:
    return str(browser.execute_script("return document.querySelector('.st-key-composer').textContent"))


def test_what_is_painted_over_is_drawn_anew_and_undone_and_done_again(
    browser: WebDriver, server: str, server_home: Path, photo: Path, axe: str
) -> None:
    begin(browser, server, photo, "Change a part")
    canvas = within(browser, "[class*=st-key-canvas-]", "canvas.upper-canvas")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    strokes = ActionChains(browser).move_to_element(canvas).click_and_hold()
    strokes.move_by_offset(40, 0).move_by_offset(0, 40).move_by_offset(-40, 0).release().perform()
    area = visible(browser, ".st-key-composer textarea")
    area.send_keys("a star")
    browser.execute_script("arguments[0].blur()", area)  # which commits its text
    make(browser)

    made = newest(server_home)
    before = np.asarray(Image.open(photo).convert("RGB"))
    after = np.asarray(Image.open(made.path).convert("RGB"))
    changed = (before != after).any(axis=-1)
    rows, columns = np.nonzero(changed)
    assert 20 < changed.sum() < changed.size / 3
    assert 40 < rows.mean() < 90  # around the middle, where the stroke was
    assert 30 < columns.mean() < 70
    assert not changed[:20].any()

    slider = within(browser, "[class*=st-key-edit-1-]", "input[type=range]")
    browser.execute_script("arguments[0].value = 20; arguments[0].dispatchEvent(new Event('input'))", slider)
    uncovered = within(browser, "[class*=st-key-edit-1-]", "img.after").value_of_css_property("clip-path")
    assert uncovered == "inset(0px 0px 0px 20%)"
    for shade in ("light", "dark"):
        scheme(browser, shade)
        assert violations(browser, axe) == []

    click(browser, ".st-key-edit-undo button")
    visible(browser, CAPTION, "Step 1 of 2")
    wait(browser, lambda d: count(d, "[class*=st-key-edit-1-]") == 0)
    click(browser, ".st-key-edit-redo button")
    visible(browser, CAPTION, "Step 2 of 2")
    within(browser, "[class*=st-key-edit-1-]", "input[type=range]")


@pytest.mark.parametrize("tool", ["Vary", "Widen", "Background", "Logo"])
def test_no_tool_breaks_a_rule(browser: WebDriver, server: str, photo: Path, axe: str, tool: str) -> None:
    begin(browser, server, photo, tool)
    for shade in ("light", "dark"):
        scheme(browser, shade)
        assert violations(browser, axe) == []


def test_a_logo_is_printed_and_nothing_else_changes(
    browser: WebDriver, server: str, server_home: Path, photo: Path, tmp_path: Path
) -> None:
    logo_on_stage(browser, server, photo, tmp_path)
    make(browser)
    [spec] = newest(server_home).request.logos
    assert (spec.name, spec.at) == ("mark.svg", "chest")
    before = np.asarray(Image.open(photo).convert("RGB"))
    after = np.asarray(Image.open(newest(server_home).path).convert("RGB"))
    changed = (before != after).any(axis=-1)
    assert 50 < changed.sum() < changed.size / 4
    assert after[changed][:, 0].mean() > after[changed][:, 2].mean() + 40  # red


def placed(browser: WebDriver) -> dict[str, float]:
    """Where the handle stands on the picture: its centre and width in shares, and degrees."""
    box = within(browser, STAGE, ".box")
    script = "const s = arguments[0].style; return [s.left, s.top, s.width, s.transform]"
    left, top, width, transform = browser.execute_script(script, box)
    turn = float(transform.split("rotate(")[1].split("deg")[0])
    return {"x": float(left[:-1]), "y": float(top[:-1]), "width": float(width[:-1]), "angle": turn}


def logo_on_stage(browser: WebDriver, server: str, photo: Path, folder: Path) -> WebElement:
    """The page with a logo on the photo; the part of it that is dragged."""
    mark = folder / "mark.svg"
    mark.write_text(MARK)
    begin(browser, server, photo, "Logo")
    visible(browser, ".st-key-edit-logo-file input[type=file]").send_keys(str(mark))
    wait(browser, lambda d: count(d, f"{MAKE}:enabled") == 1)
    settled(browser)
    found = within(browser, STAGE, ".mark")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
    return found


def told(browser: WebDriver, name: str) -> float:
    """What a slider of the form says."""
    slider = visible(browser, f".st-key-edit-logo-{name} [role=slider], .st-key-edit-logo-{name} input")
    return float(slider.get_attribute("aria-valuenow") or slider.get_attribute("value") or "nan")


def test_a_logo_is_dragged_sized_and_turned_with_the_mouse_and_printed_there(
    browser: WebDriver, server: str, server_home: Path, photo: Path, tmp_path: Path, axe: str
) -> None:
    mark = logo_on_stage(browser, server, photo, tmp_path)
    before = placed(browser)
    stage = within(browser, STAGE, ".stage").rect
    ActionChains(browser).drag_and_drop_by_offset(mark, 0, round(0.2 * stage["height"])).perform()
    wait(browser, lambda d: count(d, ".st-key-edit-logo-y") == 1)
    settled(browser)
    assert told(browser, "y") == pytest.approx(before["y"] + 20, abs=1.5)
    assert told(browser, "x") == pytest.approx(before["x"], abs=1)

    size = within(browser, STAGE, ".size")
    ActionChains(browser).drag_and_drop_by_offset(size, -12, -6).perform()
    wait(browser, lambda d: told(d, "width") < before["width"] - 1)
    settled(browser)
    turn = within(browser, STAGE, ".turn")
    ActionChains(browser).drag_and_drop_by_offset(turn, 20, 10).perform()
    wait(browser, lambda d: 15 < told(d, "angle") < 75)
    settled(browser)
    assert placed(browser)["angle"] == told(browser, "angle")
    assert violations(browser, axe) == []
    make(browser)
    [spec] = newest(server_home).request.logos
    assert spec.at == "free"
    assert (spec.x, spec.y, spec.width, spec.angle) == pytest.approx(
        (
            told(browser, "x") / 100,
            told(browser, "y") / 100,
            told(browser, "width") / 100,
            told(browser, "angle"),
        )
    )


def test_a_logo_is_moved_with_the_keyboard_and_keeps_the_focus(
    browser: WebDriver, server: str, photo: Path, tmp_path: Path
) -> None:
    mark = logo_on_stage(browser, server, photo, tmp_path)
    before = placed(browser)
    browser.execute_script("arguments[0].focus()", mark)
    ActionChains(browser).send_keys(Keys.DOWN * 3, Keys.LEFT, "-", ".").perform()
    wait(browser, lambda d: count(d, ".st-key-edit-logo-y") == 1)
    settled(browser)
    now = [told(browser, name) for name in ("x", "y", "width", "angle")]
    assert now == pytest.approx([before["x"] - 1, before["y"] + 3, before["width"] - 1, 2], abs=0.1)
    ActionChains(browser).send_keys(Keys.DOWN).perform()  # the handle is still the one that is meant
    wait(browser, lambda d: told(d, "y") > now[1] + 0.5)


def test_a_logo_that_was_dragged_off_the_picture_is_refused_and_can_be_dragged_back(
    browser: WebDriver, server: str, photo: Path, tmp_path: Path
) -> None:
    mark = logo_on_stage(browser, server, photo, tmp_path)
    stage = within(browser, STAGE, ".stage").rect
    ActionChains(browser).drag_and_drop_by_offset(mark, round(0.48 * stage["width"]), 0).perform()
    visible(browser, "[data-testid=stAlert]", "sticks out of the picture")
    assert count(browser, f"{MAKE}:enabled") == 0
    ActionChains(browser).drag_and_drop_by_offset(
        within(browser, STAGE, ".mark"), -round(0.45 * stage["width"]), 0
    ).perform()
    wait(browser, lambda d: count(d, f"{MAKE}:enabled") == 1)
    assert count(browser, "[data-testid=stAlert]") == 0


def test_a_logo_is_dragged_with_a_finger_on_a_phone(
    browser: WebDriver, server: str, photo: Path, tmp_path: Path
) -> None:
    resize(browser, *PHONE)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        mark = logo_on_stage(browser, server, photo, tmp_path)
        before = placed(browser)
        centre = (
            "const b = arguments[0].getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]"
        )
        x, y = browser.execute_script(centre, mark)
        for kind, points in (
            ("touchStart", [{"x": x, "y": y}]),
            ("touchMove", [{"x": x, "y": y + 30}]),
            ("touchMove", [{"x": x, "y": y + 60}]),
            ("touchEnd", []),
        ):
            browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        wait(browser, lambda d: count(d, ".st-key-edit-logo-y") == 1)
        settled(browser)
        height = within(browser, STAGE, ".stage").rect["height"]
        assert told(browser, "y") == pytest.approx(before["y"] + 6000 / height, abs=2)
    finally:
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
