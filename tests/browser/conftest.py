"""A real server and a headless Chromium. Skipped, with the reason, where one of the two parts is missing."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

import pytest
from selenium import webdriver
from selenium.webdriver.remote.webdriver import WebDriver

from tests.stand_in import tiny_mini

__all__ = ["tiny_mini"]

ROOT = Path(__file__).parents[2]
START_TIMEOUT = 300.0  # seconds; Streamlit and torch on a busy machine
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # needed as root, as in containers
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On a busy machine a browser now and then drops an event; a test that waited in vain gets one more try.

    Only a wait that ran out is tried again, never a wrong result, and the summary lists every second try.
    """
    for item in items:
        if Path(item.path).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=["TimeoutException"]))


@pytest.fixture(scope="session")
def chromium() -> tuple[str, str]:
    """Paths of Chromium and its driver; skips without them."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        missing = "Chromium" if browser is None else "chromedriver"
        pytest.skip(f"{missing} is not installed; on Debian: apt-get install chromium chromium-driver")
    return browser, driver


@pytest.fixture(scope="session")
def server_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of the server."""
    return tmp_path_factory.mktemp("server-home")


@pytest.fixture(scope="session")
def server(
    chromium: tuple[str, str], tiny_mini: Path, server_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Address of the studio that the tests share."""
    with serving(tmp_path_factory.mktemp("server"), server_home, tiny_mini) as address:
        yield address


@contextmanager
def serving(folder: Path, home: Path, model: Path) -> Iterator[str]:
    """Address of the studio, served as `make run` does, on a free port and with a data folder of its own."""
    slow = shutil.copytree(model, folder / "mini")
    (slow / "studio.json").write_text('{"steps": 30, "guidance": 3.0}')  # long enough for progress to be seen
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    command += ["--server.port", str(port), "--server.address", "127.0.0.1"]
    environment = {**os.environ, "SDXL_LORA_HOME": str(home), "SDXL_LORA_MINI": str(slow)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            _wait_until_healthy(address, process, folder / "log")
            yield address
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_healthy(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"the studio did not start: {log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def browser(chromium: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """A Chromium with a profile of its own, in which the studio keeps nothing but who votes."""
    options = webdriver.ChromeOptions()
    options.binary_location = chromium[0]
    for argument in (*_ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromium[1]))
    yield driver
    driver.quit()


@pytest.fixture(autouse=True)
def desktop(browser: WebDriver) -> None:
    """Every test starts at desktop size, in the light."""
    resize(browser, 1360, 900)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def resize(browser: WebDriver, width: int, height: int) -> None:
    """Emulates a screen of that many CSS px; a narrow one is a phone."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
    )
