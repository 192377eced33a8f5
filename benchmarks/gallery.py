"""The gallery with 25,000 pictures: first page, searches, filters and memory, in a data folder of real records.

    python -m benchmarks.gallery [--pictures 25000] [--home FOLDER] [--json]

The folder is made at the first run, and used again where `--home` names one. Its pictures are real files with their
requests and scores inside, of 200 different contents, whose embeddings are true ones. Everything is measured through
the code that is in use; the page is run by Streamlit's AppTest, as a whole. Bars (issue "from one picture to a
catalogue"): first page under 1 s, text search under 0.5 s. The first figure of each is the first look of this process,
which opens the folder and loads the judge; then come the medians of the following ones, by the wall and of processors,
which are those to go by where the machine does other work.
"""

import argparse
import itertools
import json
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from sdxl_lora.looks.looking import Looks, usual_clip
from sdxl_lora.records import Database, layout, metadata
from sdxl_lora.records.reconcile import enter_rows, picture_values
from sdxl_lora.request import GenerationRequest, LoraSpec
from sdxl_lora.scoring.card import Finding, Gate, ScoreCard

ROOT = Path(__file__).parents[1]
COLOURS = {
    "navy": "#1f2a44",
    "red": "#b3202c",
    "olive": "#5f6b3a",
    "white": "#f4f1ea",
    "black": "#1a1a1a",
    "yellow": "#e5b82e",
    "teal": "#1f7f80",
    "pink": "#e58fa8",
    "grey": "#8c8c8c",
    "brown": "#6b4a32",
}
PRODUCTS = ("t-shirt", "hoodie", "jacket", "cap", "tote bag")
PLACES = ("studio background", "white background", "on a street", "on a wooden table")
BRANDS = ("Halden", "Northpeak", "Söder", "Rivièra")
DRAWN = 200
REPEATS = 5


def make(home: Path, pictures: int) -> None:
    """Writes the files and their records; a folder of that many is left as it is."""
    with Database(home) as database:
        rng = random.Random(17)
        kinds = list(itertools.islice(itertools.cycle(itertools.product(COLOURS, PRODUCTS, PLACES)), DRAWN))
        pixels = [_pixels(rng, *kind) for kind in kinds]
        first, values = datetime(2026, 1, 1, tzinfo=UTC), []
        for number in range(pictures):
            colour, product, place = kinds[number % DRAWN]
            made = first + timedelta(seconds=number * 900 + rng.randrange(600))
            request = _request(rng, number, colour, product, place)
            card = _card(rng, request, colour, product)
            identifier = made.strftime("%Y%m%d-%H%M%S-%f-") + f"{number:06x}"
            path = layout.picture_path(home, identifier)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_file(pixels[number % DRAWN], request, card, made))
            values.append(
                picture_values(
                    identifier,
                    created_at=made,
                    request=request.to_dict(),
                    scores=card.to_dict(),
                    seconds=2.0,
                    size=(128, 128),
                    session="benchmark",
                )
            )
        enter_rows(database, values)
        looks = Looks(database)
        seen = usual_clip().embed_images(pixels).numpy()
        ids = [str(one["id"]) for one in values]
        looks.embeddings.keep(looks.judge, {one: seen[n % DRAWN] for n, one in enumerate(ids)})


def _request(rng: random.Random, number: int, colour: str, product: str, place: str) -> GenerationRequest:
    brand = rng.choice(BRANDS)
    return GenerationRequest(
        prompt=f"top, {brand} {product}, a photography of a {colour} {product} with a star logo, {place}, lot {number}",
        negative_prompt="blurry, low quality",
        template="top",
        slots=(("brand", brand), ("product", product), ("colour", colour)),
        model=rng.choice(("mini", "mini", "mini", "sdxl")),
        steps=20,
        guidance=3.0,
        seed=rng.randrange(2**32),
        width=128,
        height=128,
        loras=(LoraSpec(path=f"loras/{brand.lower()}.safetensors"),) if number % 3 == 0 else (),
    )


def _card(rng: random.Random, request: GenerationRequest, colour: str, product: str) -> ScoreCard:
    """As much as a verifier says of a picture."""
    claims = (("colour", colour), ("garment", product), ("background", "studio"), ("logo", "star"))
    findings = tuple(
        Finding(
            attribute=name,
            wanted=wanted,
            probability=rng.random(),
            rival="another one",
            rival_probability=rng.random() / 2,
        )
        for name, wanted in claims
    )
    gates = tuple(
        Gate(name=name, passed=rng.random() < 0.9, reason="as it should be")
        for name in ("blank", "garment", "colour", "brand text", "white background", "sharpness")
    )
    score = rng.uniform(0.15, 0.4)
    return ScoreCard(
        score=score, scorer="mini-CLIP cosine", text=request.prompt, findings=findings, gates=gates
    )


def _pixels(rng: random.Random, colour: str, product: str, place: str) -> Image.Image:
    """A garment of flat colours: enough for a judge to tell one from another."""
    image = Image.new(
        "RGB", (128, 128), "#ffffff" if "white" in place else rng.choice(("#cfc8bb", "#b9c4cc"))
    )
    pen, left, top = ImageDraw.Draw(image), 20 + rng.randrange(10), 24 + rng.randrange(10)
    pen.rounded_rectangle(
        [left, top, left + 80, top + 78], 4 + 9 * PRODUCTS.index(product), fill=COLOURS[colour]
    )
    pen.regular_polygon((left + 40, top + 35, 10), 5, fill="#ffffff")
    return image


def _file(image: Image.Image, request: GenerationRequest, card: ScoreCard, made: datetime) -> bytes:
    return metadata.embed(image, request, card=card, seconds=2.0, created_at=made)


class Clock:
    """Seconds of the first time something is done, and the median of the following ones: by the wall, of processors."""

    def __init__(self) -> None:
        self.seconds: dict[str, tuple[float, float, float]] = {}

    def time(self, name: str, do: Callable[[], object]) -> None:
        """Does it, and again."""
        walls, processors = [], []
        for _ in range(REPEATS + 1):
            wall, processor = time.perf_counter(), time.process_time()
            do()
            walls.append(time.perf_counter() - wall)
            processors.append(time.process_time() - processor)
        self.seconds[name] = walls[0], statistics.median(walls[1:]), statistics.median(processors[1:])


def measure(pictures: int) -> dict[str, Any]:
    """Everything, in this process, on the folder of SDXL_LORA_HOME."""
    from streamlit.testing.v1 import AppTest

    from sdxl_lora.ui import shared

    clock = Clock()
    started = time.perf_counter()
    store = shared.store()
    opened = time.perf_counter() - started
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=600)
    at.run()
    at.switch_page("pages/gallery.py")
    clock.time("first page", at.run)
    middle, last = store.view("", pictures // 2).next, store.view("", pictures - 30).next
    for name, start in (("a page in the middle", middle), ("the last page", last)):
        at.query_params["from"] = start
        clock.time(name, at.run)
    del at.query_params["from"]
    words = itertools.cycle(("navy hoodie", "red cap street", "teal jacket", "lot 17", "oliv*", "submarine"))
    search = at.text_input(key="gallery.search")
    clock.time("text search, the page", lambda: search.set_value(next(words)).run())
    search.set_value("").run()
    clock.time("text search, the records", lambda: store.view(search=next(words)))
    by = at.selectbox(key="gallery.by")
    by.set_value("By its looks").run()
    shown = itertools.cycle(("a red cap", "a navy hoodie on white", "something olive"))
    clock.time("search by looks, the page", lambda: search.set_value(next(shown)).run())
    search.set_value("").run()
    by.set_value("By its words").run()
    looks = shared.front_door().looks
    clock.time("search by looks, the vectors", lambda: looks.of_words(next(shown)))
    clock.time("similar pictures, the vectors", lambda: looks.of_picture(middle))
    at.query_params["like"] = middle
    clock.time("similar pictures, the page", at.run)
    del at.query_params["like"]
    for name, filters in _FILTERS.items():
        clock.time(f"filter: {name}", lambda filters=filters: store.view(**filters))  # type: ignore[misc]
    clock.time("sorted by score", lambda: store.view(order="best"))
    clock.time("sorted by score, with words", lambda: store.view(order="best", search="navy"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {"pictures": store.count(), "open_seconds": opened, "peak_mib": peak, "seconds": clock.seconds}


_FILTERS: dict[str, Any] = {
    "brand": {"brand": "Halden"},
    "model": {"model": "sdxl"},
    "LoRA": {"lora": "loras/halden.safetensors"},
    "score": {"min_score": 0.35},
    "no verdict": {"verdict": "open"},
    "brand, LoRA, words, score": {
        "brand": "Halden",
        "lora": "loras/halden.safetensors",
        "search": "navy",
        "min_score": 0.3,
    },
}


def main() -> None:
    """Makes the folder if need be, measures, and prints a table or one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=25_000)
    parser.add_argument("--home", type=Path, help="keep the folder here, and use it again")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = arguments.home or Path(temporary)
        if not layout.database_path(home).is_file():
            started = time.perf_counter()
            make(home, arguments.pictures)
            print(
                f"made {arguments.pictures:,} pictures in {time.perf_counter() - started:.0f} s",
                file=sys.stderr,
            )
        os.environ["SDXL_LORA_HOME"] = str(home)
        found = measure(arguments.pictures)
    if arguments.json:
        print(json.dumps(found))
        return
    print(
        f"{found['pictures']:,} pictures; opened in {found['open_seconds']:.2f} s; peak {found['peak_mib']:.0f} MiB"
    )
    print(f"{'seconds':32} {'first':>8} {'then':>8} {'processor':>10}")
    for name, (first, then, processor) in found["seconds"].items():
        print(f"{name:32} {first:8.3f} {then:8.3f} {processor:10.3f}")


if __name__ == "__main__":
    main()
