"""The bars of speed on a processor, each measured and compared, in one go: `python -m benchmarks.bars [--rounds 5]`

Wants a quiet machine of two cores, and at most ten minutes; `--parts help page pictures` chooses. Pictures by the
bundled model, one and four at a time, against the stock pipeline in fp32 with the same steps and guidance
(`benchmarks.generation`): at least 3 times as fast and 30 dB. The first page in a headless Chromium against an empty
Streamlit page, each from its server's start and when it is loaded again, in turns: less than twice the time until its
button is there; when the prompt's field is, too, is printed without a bar. `--help`: less than half a second.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EMPTY = "import streamlit as st\n\nst.button('Generate')\n"
SHOWN = "//button[.//text()[contains(., 'Generate')]]"
FIELD = "//textarea"  # the prompt's
_PATIENCE = 120.0  # seconds
_PICTURES = 150.0  # seconds after which no other round of pictures begins


def main() -> int:
    options = _parser().parse_args()
    held = [held for part in options.parts for held in PARTS[part](options.rounds)]
    return 0 if all(held) else 1


def _say(what: str, found: str, bar: str, held: bool) -> bool:
    print(f"{what:<44}{found:>30}   bar {bar:<16}{'held' if held else 'MISSED'}", flush=True)
    return held


def _help(rounds: int) -> Iterator[bool]:
    times = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "sdxl_lora", "--help"], cwd=ROOT, check=True, capture_output=True
        )
        times.append(time.perf_counter() - began)
    median = statistics.median(times[1:])
    yield _say("--help", f"{median:.2f} s", "under 0.5 s", median < 0.5)


def _pictures(rounds: int) -> Iterator[bool]:
    for count in (1, 4):
        command = [sys.executable, "-m", "benchmarks.generation", "--json", "--seconds", str(_PICTURES)]
        command += ["--count", str(count), "--rounds", str(rounds)]
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        rows: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])["results"]
        rows.pop("stock diffusers")
        name, row = max(rows.items(), key=lambda item: item[1]["times_as_fast"])
        found = f"{row['times_as_fast']:.2f}x, {row['worst_psnr'] or 99:.1f} dB ({name})"
        held = row["times_as_fast"] >= 3 and (row["worst_psnr"] or 99) >= 30
        yield _say(f"{count} picture{'s' if count > 1 else ''} at a time", found, "3x, 30 dB", held)


def _page(rounds: int) -> Iterator[bool]:
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.py"
        empty.write_text(EMPTY)
        started: dict[str, list[float]] = {"empty": [], "ours": []}
        again: dict[str, list[float]] = {"empty": [], "ours": []}
        fields: dict[str, list[float]] = {"server just started": [], "loaded again": []}
        with _browser() as browser:
            for _ in range(max(2, rounds // 2)):
                for name, page in (("empty", empty), ("ours", ROOT / "app.py")):
                    with _server(page, Path(folder) / "home") as (address, began):
                        for load in range(4):
                            since = time.perf_counter() if load else began
                            (again if load else started)[name].append(_shown(browser, address, since))
                            if name == "ours":
                                field = _seen(browser, FIELD, since)
                                fields["loaded again" if load else "server just started"].append(field)
    for what, times in (("first page, server just started", started), ("first page, loaded again", again)):
        empty_s, ours_s = (statistics.median(times[name]) for name in ("empty", "ours"))
        found = f"{ours_s:.2f} s of {empty_s:.2f} s: {ours_s / empty_s:.2f}x"
        yield _say(what, found, "under 2x", ours_s < 2 * empty_s)
    for when, seconds in fields.items():
        print(f"  its prompt field, {when}: {statistics.median(seconds):.2f} s", flush=True)


def _shown(browser: Any, address: str, began: float) -> float:
    """Seconds from `began` until the page shows its button."""
    browser.get(address)
    return _seen(browser, SHOWN, began)


def _seen(browser: Any, what: str, began: float) -> float:
    """Seconds from `began` until there is `what`, an XPath."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, _PATIENCE, poll_frequency=0.02).until(
        lambda driver: driver.find_elements(By.XPATH, what)
    )
    return time.perf_counter() - began


@contextmanager
def _browser() -> Iterator[Any]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(word)
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        raise SystemExit("there is no Chromium; on Debian: apt-get install chromium chromium-driver")
    options.binary_location = chromium
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield browser
    finally:
        browser.quit()


@contextmanager
def _server(page: Path, home: Path) -> Iterator[tuple[str, float]]:
    """(address, when it was started) of a page that answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(page), "--server.headless=true"]
    command += [f"--server.port={port}", "--server.address=127.0.0.1", "--browser.gatherUsageStats=false"]
    environment = {**os.environ, "SDXL_LORA_HOME": str(home)}
    began = time.perf_counter()
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=quiet, stderr=quiet)
    try:
        _answered(f"http://127.0.0.1:{port}/_stcore/health", began)
        yield f"http://127.0.0.1:{port}", began
    finally:
        process.kill()
        process.wait()


def _answered(address: str, began: float) -> None:
    while time.perf_counter() - began < _PATIENCE:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:  # also a slow answer
            time.sleep(0.05)
    raise SystemExit(f"{address} does not answer")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="The bars of speed on a processor.")
    parser.add_argument("--rounds", type=int, default=5, help="counted turns of each, at most (default: 5)")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    return parser


PARTS: dict[str, Callable[[int], Iterator[bool]]] = {"help": _help, "page": _page, "pictures": _pictures}


if __name__ == "__main__":
    raise SystemExit(main())
