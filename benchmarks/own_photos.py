"""Real photos of clothes, through everything a seller does with one: cut out, on white, in a new scene, with a logo.

    python -m benchmarks.own_photos --photos train.parquet --number 10 --output DIR

Every photo takes the way of the page Edit and of `edit`: a request, the bundled model, the chain after decoding.
Writes one contact sheet, `DIR/sheet.jpg` (photo, cut-out, white, scene, logo on the photo, logo on white), and every
picture at its own size beside it, to be looked at; prints how each cut-out was found, where the logo went, what
`score --logo` says of it, how exact it is (as `benchmarks.logos` measures it), and seconds. Photos are never
committed. Logos take turns, as positions do; a garment without that position says so, and gets its logo elsewhere.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.editing import photos
from benchmarks.logos import MARKS, colour_error, ssim, unwarped
from sdxl_lora import inputs
from sdxl_lora.errors import StudioError
from sdxl_lora.jobs import edits
from sdxl_lora.jobs.edits import Source
from sdxl_lora.jobs.events import Recorded
from sdxl_lora.jobs.studio import Studio
from sdxl_lora.logos import asked, keeping, positions
from sdxl_lora.logos.raster import Logo
from sdxl_lora.request import GenerationRequest, LogoSpec
from sdxl_lora.scoring import logo_check

TILE = 300  # px
SIDE = 768  # px, the longer side of a photo, as it comes from a shop
POSITIONS = ("left-chest", "chest", "chest", "left-chest", "chest")
ELSEWHERE = ("chest", "front", "left-thigh", "hem")  # where a garment has no such place
SCENES = ("wooden floor", "in a street", "studio background", "in front of a wall")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True, help="a folder, or a parquet file")
    parser.add_argument("--number", type=int, default=10, help="photos that are looked at")
    parser.add_argument("--step", type=int, default=97, help="take every so-manyth")
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for the pictures; keep it out of commits"
    )
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    rows, tiles = [], []
    with tempfile.TemporaryDirectory() as home:
        os.environ["SDXL_LORA_HOME"] = home
        studio = Studio(Path(home))
        for number, (name, photo) in enumerate(photos(options.photos, options.number, options.step)):
            row, pictures = _way_of(studio, number, name, photo)
            rows.append(row)
            tiles.append(pictures)
            for what, picture in pictures.items():
                picture.save(options.output / f"{name}-{what.replace(' ', '-')}.png")
            print(json.dumps(row), flush=True)
    sheet(tiles).save(options.output / "sheet.jpg", quality=90)
    verdicts = [row["verdict"] for row in rows]
    found = {
        "photos": len(rows),
        "matches": verdicts.count("match"),
        "placed": sum("at" in row for row in rows),
        "least_ssim": min((row["ssim"] for row in rows if "ssim" in row), default=None),
        "most_colour": max((row["colour"] for row in rows if "colour" in row), default=None),
        "median_seconds": statistics.median(row["seconds"] for row in rows),
    }
    print(json.dumps(found, indent=1))
    return 0


def _way_of(
    studio: Studio, number: int, name: str, photo: Image.Image
) -> tuple[dict[str, Any], dict[str, Image.Image]]:
    """What is said of one photo, and its pictures."""
    scale = SIDE / max(photo.size)
    size = round(photo.width * scale), round(photo.height * scale)
    photo = photo.resize(size, Image.Resampling.LANCZOS)
    file = Path(os.environ["SDXL_LORA_HOME"]) / f"{name}.png"
    photo.save(file)
    source = edits.of_file(file)
    row: dict[str, Any] = {"photo": name}
    began = time.perf_counter()
    pictures = {"photo": photo}
    alone, row["cut_out"] = edits.product(source)
    pictures["cut out"] = _checked(alone)
    pictures["white"] = _made(studio, edits.finish(source, background="white", shadow=True), row)
    product = inputs.keep(alone, alpha=True)
    scene = GenerationRequest(
        prompt=SCENES[number % len(SCENES)],
        model="mini",
        seed=number,
        upscale=2,
        product=product.hash,
        fill=80,
        shadow=True,
    )
    pictures["scene"] = _made(studio, scene, row)
    logo = Logo.open(sorted(MARKS.glob("*.svg"))[number % 6])
    spec = _placed(source, logo, POSITIONS[number % len(POSITIONS)], row)
    if spec is not None:
        pictures["logo"] = _made(studio, edits.finish(source, logos=(spec,)), row)
        there = asked.corners_on(photo, spec)
        seen = logo_check.check(pictures["logo"], logo, near=there, bare=photo)
        row |= {"verdict": seen.verdict, "reason": seen.reason, "likeness": round(seen.likeness, 3)}
        straight = unwarped(np.asarray(pictures["logo"]), np.asarray(photo), there, logo)
        row |= {"ssim": round(ssim(*straight[:2]), 3), "colour": round(colour_error(*straight), 2)}
        after = edits.finish(source, logos=(spec,), background="white", shadow=True)
        pictures["logo on white"] = _made(studio, after, row)
    row["seconds"] = round(time.perf_counter() - began, 2)
    return row, pictures


def _placed(source: Source, logo: Logo, wanted: str, row: dict[str, Any]) -> LogoSpec | None:
    """The logo at that position, or at one that the garment has."""
    kept = keeping.keep(logo.data, logo.name)
    for at in dict.fromkeys((wanted, *ELSEWHERE)):
        spec = LogoSpec(hash=kept.hash, name=logo.name, at=at)
        try:
            asked.corners_on(source.image(), spec)
        except StudioError as error:
            row["refused"] = f"{positions.POSITIONS[at].label}: {error}"
            continue
        row |= {"logo": logo.name, "at": at}
        return spec
    row["verdict"] = "no place"
    return None


def _made(studio: Studio, request: GenerationRequest, row: dict[str, Any]) -> Image.Image:
    [done] = [event for event in studio.run(request) if isinstance(event, Recorded)]
    if done.notice:
        row["notice"] = done.notice
    return Image.open(done.record.path).convert("RGB")


def _checked(alone: Image.Image) -> Image.Image:
    """A product on nothing, before grey squares."""
    rows, columns = np.mgrid[: alone.height, : alone.width] // 16
    squares = np.where((rows + columns) % 2, 205, 240).astype(np.uint8)
    ground = Image.fromarray(squares).convert("RGB")
    ground.paste(alone.convert("RGB"), mask=alone.getchannel("A"))
    return ground


def sheet(tiles: list[dict[str, Image.Image]]) -> Image.Image:
    """One row for every photo."""
    columns = max(map(len, tiles))
    whole = Image.new("RGB", (columns * TILE, len(tiles) * TILE), "white")
    for y, pictures in enumerate(tiles):
        for x, (what, picture) in enumerate(pictures.items()):
            small = picture.copy()
            small.thumbnail((TILE - 4, TILE - 4), Image.Resampling.LANCZOS)
            whole.paste(small, (x * TILE + (TILE - small.width) // 2, y * TILE + (TILE - small.height) // 2))
            ImageDraw.Draw(whole).text((x * TILE + 6, y * TILE + 4), what, fill=(90, 90, 90))
    return whole


if __name__ == "__main__":
    raise SystemExit(main())
