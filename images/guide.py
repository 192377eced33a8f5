"""Takes the pictures of `docs/guide/` from the running studio: `.venv/bin/python images/guide.py`.

Serves the studio on a free port with an empty data folder and walks through it in a headless Chromium, as the guide
tells it. Needs requirements-dev.txt, Chromium and its driver.
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
SIZE = (1280, 1000)  # px of the window
WIDTH = 960  # px of a picture
PATIENCE = 300.0  # seconds for a picture on a busy machine


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


def take(browser: WebDriver, name: str) -> None:
    """The window as a small JPEG."""
    whole = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    height = round(whole.height * WIDTH / whole.width)
    whole.resize((WIDTH, height), Image.Resampling.LANCZOS).save(
        TARGET / f"{name}.jpg", quality=80, optimize=True
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as home, studio(Path(home)) as address, chromium() as browser:
        browser.get(address)
        settled(browser, "Generate")
        take(browser, "start")
        click(browser, ".st-key-composer-generate button")
        settled(browser, "More like this")
        take(browser, "made")
        click(browser, "[class*='.why'] button, [class*='-why'] button")
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
