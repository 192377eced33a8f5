"""Cut-outs and enlarging on real photos: how fast, and how near to the original.

    python -m benchmarks.editing --photos DIR --number 10 --output DIR

Prints one JSON object: seconds of a cut-out at 1024 px, one thread (bar: under 1 s), which method did it and what was
found of the garment's colour; PSNR of pictures that were halved and enlarged again, by the bundled network and by
Lanczos (bar: better than Lanczos), with seconds from 256 to 512 px and from 256 to 1024 px. `--output` gets every photo
beside its product on white with a shadow, before a sky and recoloured, to be looked at. Photos are a folder, or a
parquet file with a column `image`.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

import sdxl_lora  # noqa: F401  first: makes torchvision importable beside a CPU build of torch

import torch  # isort: skip
from PIL import Image

from sdxl_lora.data import images
from sdxl_lora.data.folders import IMAGE_SUFFIXES
from sdxl_lora.data.parquet import Table
from sdxl_lora.editing import backgrounds, colour, framing, shadow
from sdxl_lora.editing.cutout import CutOut, cut_out
from sdxl_lora.editing.recolour import recolour
from sdxl_lora.editing.upscale import upscale
from sdxl_lora.errors import ImageError

SIDE = 1_024  # px
SMALL, LARGE = 256, 512  # px
NAVY = (31, 42, 68)
RED = (195, 39, 43)
BARS = {"cut_out_seconds": 1.0, "gain_over_lanczos_db": 0.0}


def main() -> int:
    options = _parser().parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    found = list(photos(options.photos, options.number, options.step))
    result = {"bars": BARS, "photos": len(found), "cut_out": _cut_outs(found, options.output)}
    result["upscale"] = _upscale(found)
    print(json.dumps(result, indent=2))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Cut-outs and enlarging on real photos.")
    parser.add_argument("--photos", type=Path, required=True, help="a folder, or a parquet file")
    parser.add_argument("--number", type=int, default=10, help="photos that are looked at")
    parser.add_argument("--step", type=int, default=7, help="take every so-manyth")
    parser.add_argument("--output", type=Path, help="folder for pictures to look at")
    return parser


def photos(source: Path, number: int, step: int) -> Iterator[tuple[str, Image.Image]]:
    """(name, RGB) of every `step`th photo."""
    if source.is_dir():
        paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        for path in paths[::step][:number]:
            yield path.stem, images.decode(path.read_bytes(), path.name)[0]
        return
    table = Table([source])
    read = table.reader("image")
    for row in range(0, len(table), step)[:number]:
        yield f"{row:05d}", images.decode(read(row), str(row))[0]


def _cut_outs(photos: list[tuple[str, Image.Image]], output: Path | None) -> dict[str, object]:
    seconds, said = [], {}
    cut_out(photos[0][1])  # loads the network
    for name, photo in photos:
        scale = SIDE / max(photo.size)
        large = photo.resize(
            (round(photo.width * scale), round(photo.height * scale)), Image.Resampling.LANCZOS
        )
        try:
            found, spent = _timed(large)
        except ImageError as error:
            said[name] = str(error)
            continue
        seconds.append(spent)
        check = colour.compare(found.image, NAVY)
        said[name] = f"{found.method}; {check.words}"
        if output is not None:
            _show(photo, found, output, name)
    return {
        "side": SIDE,
        "seconds": {"median": statistics.median(seconds), "most": max(seconds)},
        "found": said,
    }


def _timed(photo: Image.Image) -> tuple[CutOut, float]:
    """The cut-out and its seconds."""
    started = time.perf_counter()
    return cut_out(photo), time.perf_counter() - started


def _show(photo: Image.Image, found: CutOut, output: Path, name: str) -> None:
    """The photo, and its product on white with a shadow, on a picture, and in another colour."""
    output.mkdir(parents=True, exist_ok=True)
    framed = framing.frame(found.image, (SMALL * 2, SMALL * 2))
    standing = shadow.ground(framing.frame(found.image, (SMALL * 2, SMALL * 2), 0.8))
    sky = Image.linear_gradient("L").resize(framed.size)
    behind = Image.merge(
        "RGB",
        [
            sky.point([round(a + (b - a) * v / 255) for v in range(256)])
            for a, b in ((170, 225), (190, 215), (210, 200))
        ],
    )
    shown = [
        photo,
        backgrounds.on_colour(standing, backgrounds.WHITE),
        backgrounds.on_picture(standing, behind),
    ]
    if colour.garment_colour(framed).single:
        shown.append(backgrounds.on_colour(recolour(framed, RED), backgrounds.WHITE))
    sheet = Image.new("RGB", (4 * LARGE, LARGE), "grey")
    for place, image in enumerate(shown):
        small = image.copy()
        small.thumbnail((LARGE, LARGE))
        sheet.paste(small, (place * LARGE, 0))
    sheet.save(output / f"{name}.png")


def _upscale(photos: list[tuple[str, Image.Image]]) -> dict[str, object]:
    """Mean PSNR over the photos, each halved from at most `LARGE` px; seconds from `SMALL` px."""
    ours: list[float] = []
    lanczos: list[float] = []
    twice: list[float] = []
    four: list[float] = []
    for _, photo in photos:
        whole = photo.copy()
        whole.thumbnail((LARGE, LARGE))
        original = whole.crop((0, 0, whole.width // 2 * 2, whole.height // 2 * 2))
        small = original.resize((original.width // 2, original.height // 2), Image.Resampling.BICUBIC)
        ours.append(_psnr(upscale(small, 2), original))
        lanczos.append(_psnr(small.resize(original.size, Image.Resampling.LANCZOS), original))
        square = photo.resize((SMALL, SMALL))
        for factor, seconds in ((2, twice), (4, four)):
            started = time.perf_counter()
            upscale(square, factor)
            seconds.append(time.perf_counter() - started)
    gain = statistics.mean(ours) - statistics.mean(lanczos)
    return {
        "psnr_db": statistics.mean(ours),
        "lanczos_psnr_db": statistics.mean(lanczos),
        "gain_db": gain,
        "seconds_2x": statistics.median(twice),
        "seconds_4x": statistics.median(four),
    }


def _psnr(one: Image.Image, other: Image.Image) -> float:
    error = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    return float(10 * np.log10(255**2 / np.mean(error**2)))


if __name__ == "__main__":
    raise SystemExit(main())
