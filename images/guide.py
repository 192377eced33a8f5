"""Takes the pictures of the README and of `docs/guide/` from the running studio: `.venv/bin/python images/guide.py`.

Serves the studio on a free port with an empty data folder and walks through it in a headless Chromium, as the guide
tells it; a catalogue and a product set are made by the command line first. Needs requirements-dev.txt,
Chromium and its driver.
"""

import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "guide"
README = ROOT / "images"
SIZE = (1280, 1000)  # px of the window
WIDTH = 960  # px of a picture
PATIENCE = 300.0  # seconds for a picture on a busy machine
TILE = (800, 400)  # px of the README's small pictures
TABLE = """sku,product,colour,logo
TEE-01,t-shirt,teal,star
TEE-02,t-shirt,navy,circle
TEE-03,t-shirt,olive,triangle
TEE-04,t-shirt,burgundy,star
TEE-05,t-shirt,grey,bar
TEE-06,t-shirt,black,ring
"""
WHY = "[class*='.why'] button, [class*='-why'] button"
COLOURS = ("#1F2A44", "#C3272B", "#2E6F40", "#D9A441")
SCENES = ("white", "in a forest")
JACKET = "a navy windbreaker jacket with a white triangle logo on the chest, white background"


@contextmanager
def studio(home: Path) -> Iterator[str]:
    """Address of a studio with this data folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    command += ["--server.port", str(port), "--server.address", "127.0.0.1"]
    environment = {**os.environ, "SDXL_LORA_HOME": str(home)}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/_stcore/health")
        yield address
    finally:
        process.terminate()
        process.wait()


def wait_for(address: str) -> None:
    """Until it answers. Raises `TimeoutError`."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (URLError, TimeoutError):
            time.sleep(0.5)
    raise TimeoutError(f"{address} does not answer")


@contextmanager
def chromium() -> Iterator[WebDriver]:
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument(f"--window-size={SIZE[0]},{SIZE[1]}")
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    browser = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(shutil.which("chromedriver") or "")
    )
    try:
        yield browser
    finally:
        browser.quit()


def settled(browser: WebDriver, text: str) -> None:
    """Until the page shows `text`, runs no script, and has loaded its pictures."""
    wait = WebDriverWait(browser, PATIENCE)
    wait.until(lambda b: text in b.find_element(By.TAG_NAME, "body").text)
    wait.until(lambda b: not b.find_elements(By.CSS_SELECTOR, "[data-testid=stStatusWidget]"))
    wait.until(lambda b: b.execute_script("return [...document.images].every(i => i.complete)"))
    time.sleep(1.5)  # seconds in which things fade in


def click(browser: WebDriver, css: str) -> None:
    """The first element of that selector, once it is there."""
    element = WebDriverWait(browser, PATIENCE).until(lambda b: b.find_element(By.CSS_SELECTOR, css))
    browser.execute_script("arguments[0].click()", element)


def window(browser: WebDriver) -> Image.Image:
    return Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")


def take(browser: WebDriver, name: str) -> None:
    """The window as a small JPEG."""
    whole = window(browser)
    height = round(whole.height * WIDTH / whole.width)
    whole.resize((WIDTH, height), Image.Resampling.LANCZOS).save(
        TARGET / f"{name}.jpg", quality=80, optimize=True
    )


def tile(whole: Image.Image, left: int, top: int, name: str) -> None:
    """A part of a window, from there to its right edge, as one of the README's small pictures."""
    width = whole.width - left
    part = whole.crop((left, top, whole.width, top + width * TILE[1] // TILE[0]))
    part.resize(TILE, Image.Resampling.LANCZOS).save(README / f"{name}.jpg", quality=85, optimize=True)


def make(home: Path, *words: str | Path) -> None:
    """Runs a verb of the command line with this data folder."""
    subprocess.run(
        [sys.executable, "-m", "sdxl_lora", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "SDXL_LORA_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def fill(home: Path) -> None:
    """A catalogue, to be shown on its page."""
    table = home / "spring.csv"
    table.write_text(TABLE, encoding="utf-8")
    make(
        home,
        "catalog",
        table,
        "--template",
        "t-shirt",
        "--seed",
        "7",
        "--output",
        home / "catalogs" / "spring",
    )


def product_set(home: Path) -> None:
    """One product in four colours, on white and in a scene, side by side, as `set make` makes it."""
    make(
        home,
        "generate",
        JACKET,
        "--model",
        "mini",
        "--seed",
        "7",
        "--upscale",
        "4",
        "--output",
        home / "photo",
    )
    [photo] = (home / "photo").glob("*.png")
    colours = [word for colour in COLOURS for word in ("--colour", colour)]
    scenes = [word for scene in SCENES for word in ("--background", scene)]
    make(home, "set", "make", photo, *colours, *scenes, "--output", home / "shots")
    whole, side = Image.new("RGB", TILE, "white"), TILE[0] // len(COLOURS)
    for place, path in enumerate(sorted((home / "shots").glob("*.png"))):
        with Image.open(path) as picture:
            small = picture.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
        whole.paste(small, (place // len(SCENES) * side, place % len(SCENES) * side))
    whole.save(README / "sets.jpg", quality=88, optimize=True)


def for_readme(address: str, browser: WebDriver) -> None:
    """The studio with four pictures, what is said of one, and a catalogue under review."""
    browser.get(address)
    settled(browser, "Generate")
    click(browser, ".st-key-create-count button:nth-of-type(4)")
    click(browser, ".st-key-composer-generate button")
    settled(browser, "The keys are for the framed picture")  # all four are there
    window(browser).save(README / "studio.png", optimize=True)
    click(browser, WHY)
    settled(browser, "What you asked for")
    tile(window(browser), 550, 190, "why")
    browser.set_window_size(SIZE[0], SIZE[1] + 400)
    browser.get(f"{address}/catalog?catalogue=spring")
    settled(browser, "Look through")
    tile(window(browser), 0, 340, "catalogue")


def exact_logos() -> None:
    """The first eight pictures of `benchmarks.logos`, four in a row."""
    with Image.open(README / "logos.jpg") as sheet:
        side = sheet.width // 6
        part = sheet.crop((0, 0, 4 * side, 2 * side))
    part.resize(TILE, Image.Resampling.LANCZOS).save(README / "exact.jpg", quality=88, optimize=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as home, chromium() as browser:
        exact_logos()
        product_set(Path(home))
        fill(Path(home))
        with studio(Path(home)) as address:
            for_readme(address, browser)
    with tempfile.TemporaryDirectory() as home, studio(Path(home)) as address, chromium() as browser:
        browser.get(address)
        settled(browser, "Generate")
        take(browser, "start")
        click(browser, ".st-key-composer-generate button")
        settled(browser, "More like this")
        take(browser, "made")
        click(browser, WHY)
        settled(browser, "What you asked for")
        take(browser, "why")
        browser.get(f"{address}/gallery")
        settled(browser, "Gallery")
        take(browser, "gallery")
        browser.get(f"{address}/templates")
        settled(browser, "Templates")
        take(browser, "templates")
        browser.get(f"{address}/compare")
        settled(browser, "Compare")
        take(browser, "compare")


if __name__ == "__main__":
    main()
