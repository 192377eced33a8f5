"""How soon an edit begins, whether switching between drawing and editing loads anything twice, and a logo's seconds.

    python -m benchmarks.edits [--model mini] [--switches 6] [--photo FILE]

Pictures and edits go through the front door, as the pages send them, in turns. Prints one JSON object: the longest time
from sending an edit to its first denoising step (bar: 1 s, with the model loaded), by how much of itself the resident
memory grew over the switches after one of each kind (bar: 5 %), how often the model was loaded (bar: once), and the
medians of a cut-out (bar: 1 s) and of a logo (bar: 0.3 s) at 1,024 px, on one thread. Without `--photo` the photo is
one that the model draws, enlarged.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import psutil

import sdxl_lora  # noqa: F401  first: makes torchvision importable beside a CPU build of torch

import torch  # isort: skip
from PIL import Image

from sdxl_lora import generation
from sdxl_lora.data import images
from sdxl_lora.editing.cutout import cut_out
from sdxl_lora.jobs import edits
from sdxl_lora.jobs.edits import Source
from sdxl_lora.jobs.front_door import FrontDoor, open_front_door
from sdxl_lora.jobs.spec import JobSpec
from sdxl_lora.logos import compositing, placing
from sdxl_lora.logos.raster import Logo
from sdxl_lora.models.loading import Base, ModelConfig, load
from sdxl_lora.request import GenerationRequest

SIDE = 1_024  # px
ROUNDS = 7
PROMPT = "top, Northpeak Tee Navy, a photography of a navy t-shirt, studio background"
PART = "a yellow star emblem on a navy t-shirt"
MARK = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 90 40">'
    b'<path d="M5 35 45 5 85 35z" fill="#fff"/></svg>'
)
BARS = {"begins_seconds": 1.0, "grown": 0.05, "loads": 1, "cut_out_seconds": 1.0, "logo_seconds": 0.3}


def main() -> int:
    """Measures, and prints one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mini")
    parser.add_argument("--switches", type=int, default=6, help="from drawing to editing and back")
    parser.add_argument("--photo", type=Path, help="of one product, for cut-out and logo")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, open_front_door(Path(folder)) as door:
        result, picture = _switching(door, arguments.model, arguments.switches)
    photo = (
        images.decode(arguments.photo.read_bytes(), arguments.photo.name)[0] if arguments.photo else picture
    )
    print(json.dumps({"bars": BARS, **result, **_finishing(_large(photo))}, indent=2))
    return 0


def _switching(door: FrontDoor, model: str, switches: int) -> tuple[dict[str, float], Image.Image]:
    """What is said of the front door, and the picture that was edited."""
    wish = GenerationRequest(prompt=PROMPT, model=model, seed=0)
    source = edits.of_record(door.store.get(_made(door, wish)[1]))
    kinds = [replace(edit, model=model) for edit in (edits.vary(source), _part(source))]
    for number, kind in enumerate(kinds):
        _made(door, replace(kind, seed=number))
    bases = [_base(wish)]
    process, begins = psutil.Process(), []
    first = process.memory_info().rss
    for number in range(switches):
        _made(door, replace(wish, seed=number + 1))
        begins.append(_made(door, replace(kinds[number % 2], seed=number))[0])
        bases.append(_base(kinds[number % 2]))
    return {
        "begins_seconds": max(begins),
        "begins_median_seconds": statistics.median(begins),
        "resident_mib": first / 2**20,
        "grown": process.memory_info().rss / first - 1,
        "loads": 1 + sum(base is not bases[0] for base in bases),
    }, source.image()


def _part(source: Source) -> GenerationRequest:
    """A rectangle in the middle drawn anew."""
    width, height = source.width, source.height
    mask = edits.rectangle_mask(source, width // 3, height // 3, width // 3, height // 3)
    return edits.change_part(source, mask, PART)


def _base(request: GenerationRequest) -> Base:
    """The weights that draw a request."""
    return load(ModelConfig.of(generation.resolve(request))).base


def _made(door: FrontDoor, request: GenerationRequest) -> tuple[float, str]:
    """Seconds from sending a request to its first step, and the id of its picture."""
    begun, started = None, time.perf_counter()
    job = door.queue.submit(JobSpec(request=request))
    for seen in door.queue.events(job.id):
        if begun is None and seen.pictures and (seen.pictures[0].step or seen.pictures[0].record_id):
            begun = time.perf_counter() - started
        job = seen
    job.raise_error()
    assert begun is not None  # a picture that is there was begun
    return begun, job.record_ids[0]


def _large(photo: Image.Image) -> Image.Image:
    """The photo, its longer side `SIDE` px."""
    scale = SIDE / max(photo.size)
    return photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.LANCZOS)


def _finishing(photo: Image.Image) -> dict[str, float]:
    """Seconds of a cut-out, and of a logo whose drawing is known."""
    cut_out(photo)  # loads the network
    logo = Logo.read(MARK, "mark.svg")
    corners = placing.freely(
        (photo.width / 2, photo.height / 2), photo.width / 3, logo.aspect, photo.size[::-1]
    )
    pixels = np.asarray(photo)
    compositing.composite(pixels, logo, corners)
    return {
        **_medians("cut_out", lambda: cut_out(photo)),
        **_medians("logo", lambda: compositing.composite(pixels, logo, corners)),
    }


def _medians(name: str, run: Callable[[], object]) -> dict[str, float]:
    """By the clock, and of the processor, which is the one to go by on a machine that does other work."""
    wall, processor = [], []
    for _ in range(ROUNDS):
        clock, used = time.perf_counter(), time.process_time()
        run()
        wall.append(time.perf_counter() - clock)
        processor.append(time.process_time() - used)
    return {
        f"{name}_seconds": statistics.median(wall),
        f"{name}_processor_seconds": statistics.median(processor),
    }


if __name__ == "__main__":
    raise SystemExit(main())
