"""A catalogue on the bundled model whose process is killed in the middle: is everything there, once, and how fast?

    python -m benchmarks.catalog 1000 --steps 4   # rows; 100 without

Begins the catalogue in a process of its own, ends it with SIGKILL when half of the pictures are there, goes on with
`--resume`, and counts: pictures in the folder, in the records, lines of the manifest. Prints what it found, and the
pictures per minute of both halves together with the time of starting anew.
"""

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from sdxl_lora.records import Store

ROOT = Path(__file__).parents[1]
COLOURS = ("navy", "red", "black", "white", "green", "beige", "grey", "yellow")
PRODUCTS = ("windbreaker jacket", "puffer jacket", "coat", "trench coat", "vest")


def table(path: Path, rows: int) -> None:
    """A table of so many products, no two alike."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["sku", "product", "colour"])
        for number in range(rows):
            product = PRODUCTS[number % len(PRODUCTS)]
            writer.writerow([f"SKU-{number:05}", product, COLOURS[number // len(PRODUCTS) % len(COLOURS)]])


def command(output: Path, steps: int, *words: str) -> list[str]:
    """The command line of the catalogue."""
    fixed = ["--template", "jacket", "--model", "mini", "--steps", str(steps), "--output", str(output)]
    return [sys.executable, "-m", "sdxl_lora", "catalog", *words, *fixed]


def killed(words: list[str], environment: dict[str, str], output: Path, enough: int) -> float:
    """Runs until so many pictures are there, then SIGKILL; seconds it ran."""
    started = time.perf_counter()
    child = subprocess.Popen(
        words, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while child.poll() is None and len(list(output.glob("*.png"))) < enough:
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    if child.wait() != -signal.SIGKILL:
        raise SystemExit(f"the catalogue ended by itself with {child.returncode} before it could be killed")
    return time.perf_counter() - started


def faults(output: Path, home: Path, rows: int) -> list[str]:
    """What is missing, too much or twice; nothing where all is well."""
    expected = {f"SKU-{number:05}.png" for number in range(rows)}
    there = {path.name for path in output.glob("*.png")}
    pictures = json.loads((output / "manifest.json").read_text(encoding="utf-8"))["pictures"]
    named = Counter(str(one["file"]) for one in pictures)
    records = Counter(str(one["record"]) for one in pictures)
    with Store(home) as store:
        drawn = store.count()
    found = [f"missing: {name}" for name in sorted(expected - there)]
    found += [f"too much: {name}" for name in sorted(there - expected)]
    found += [f"{count} times in the manifest: {name}" for name, count in named.items() if count != 1]
    found += [f"not in the manifest: {name}" for name in sorted(expected - set(named))]
    found += [f"{count} lines have one record: {name}" for name, count in records.items() if count != 1]
    return found if drawn == rows else [*found, f"{drawn} pictures in the records, {rows} wanted"]


def main() -> None:
    """Measures, prints, and ends with 1 where anything is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="?", type=int, default=100, help="products (100)")
    parser.add_argument("--steps", type=int, default=4, help="denoising steps (4)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        home, output, products = Path(place, "home"), Path(place, "out"), Path(place, "products.csv")
        table(products, arguments.rows)
        environment = {**os.environ, "SDXL_LORA_HOME": str(home)}
        words = command(output, arguments.steps, str(products))
        first = killed(words, environment, output, arguments.rows // 2)
        half = len(list(output.glob("*.png")))
        started = time.perf_counter()
        rest = subprocess.run(
            [*words, "--resume"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        second = time.perf_counter() - started
        if rest.returncode:
            raise SystemExit(rest.stderr)
        found = faults(output, home, arguments.rows)
    print(
        f"rows {arguments.rows}, steps {arguments.steps}: SIGKILL with {half} pictures there, after {first:.0f} s"
    )
    print(f"gone on: all there after another {second:.0f} s")
    print(f"{arguments.rows / (first + second) * 60:.1f} pictures a minute, both starts included")
    print("\n".join(found) or "none missing, none twice, manifest complete")
    raise SystemExit(1 if found else 0)


if __name__ == "__main__":
    main()
