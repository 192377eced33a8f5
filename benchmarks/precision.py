"""What each precision does to a model's pictures: `python -m benchmarks.precision [--number 50] [--lora FILE] [--json]`

Every prompt is drawn in every precision, in turns, by the torch engine, from the same seed; prompts are the shipped
templates' with values drawn from `--seed`. Printed per precision: PSNR against fp32 (mean, and the worst picture),
the mean CLIP score and its change against fp32, with the model's own judge or the general one, and seconds of
processor time and wall time per picture (medians; the first picture of each warms up and is not timed).
"""

import argparse
import json
import math
import random
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import sdxl_lora  # noqa: F401  first: makes torchvision importable beside a CPU build of torch

import torch  # isort: skip
from PIL import Image  # isort: skip

from sdxl_lora import prompts
from sdxl_lora.generation import PictureDone, generate, resolve
from sdxl_lora.models import identity, registry
from sdxl_lora.models.building import build
from sdxl_lora.models.device import choose_device
from sdxl_lora.models.loading import LoadedModel, wrap
from sdxl_lora.request import GenerationRequest, LoraSpec, ResolvedRequest
from sdxl_lora.scoring.base import scorer_for
from sdxl_lora.search.calibrating import varied_requests

REFERENCE = "fp32"


@dataclass(kw_only=True)
class Found:
    """What one precision gave, picture by picture."""

    psnr: list[float] = field(default_factory=list)  # dB against fp32
    scores: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)  # s
    wall: list[float] = field(default_factory=list)  # s


def main() -> None:
    options = _parser().parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    loras = tuple(LoraSpec.parse(text) for text in options.lora)
    models = {name: load(options.model, name, loras) for name in (REFERENCE, *options.precisions)}
    scorer = scorer_for(options.model)
    found = {name: Found() for name in models}
    for request in requests(options.model, options.number, options.seed, loras):
        drawn = {name: draw(model, request, found[name]) for name, model in models.items()}
        for name, picture in drawn.items():
            found[name].psnr.append(psnr(picture, drawn[REFERENCE]))
            found[name].scores += scorer.score([picture], [request.prompt])
    rows = {name: row(own, found[REFERENCE]) for name, own in found.items()}
    if options.json:
        print(json.dumps({"model": options.model, "pictures": options.number, "results": rows}))
        return
    print(f"{options.model}, {options.number} prompts, {torch.get_num_threads()} threads")
    print_table("", "of fp32", rows)


def print_table(what: str, share: str, rows: Mapping[str, Mapping[str, float]]) -> None:
    """One line for each of `rows`; `share`: whose processor time is 1."""
    print(
        f"{what:<9}{'PSNR':>8}{'worst':>8}{'CLIP':>9}{'change':>9}{'processor s':>13}{share:>9}{'wall s':>9}"
    )
    for name, found in rows.items():
        print(
            f"{name:<9}{found['psnr']:>8.1f}{found['worst_psnr']:>8.1f}{found['clip']:>9.4f}"
            f"{found['clip_change']:>9.2%}{found['processor']:>13.2f}{found['processor_share']:>9.2f}{found['wall']:>9.2f}"
        )


def load(name: str, precision: Any, loras: tuple[LoraSpec, ...]) -> LoadedModel:
    info = registry.fetch(name)
    assert info.folder is not None
    model = wrap(build(info, info.folder, choose_device(), precision), info, precision)
    return replace(model, config=replace(model.config, loras=identity.pinned(loras)))


def requests(model: str, number: int, seed: int, loras: tuple[LoraSpec, ...]) -> list[ResolvedRequest]:
    names, rng = list(prompts.templates()), random.Random(seed)
    found = []
    for index in range(number):
        start = GenerationRequest(
            prompt="x", model=model, seed=rng.randrange(2**31), engine="torch", loras=loras
        )
        [request] = varied_requests(names[index % len(names)], start, 1)
        found.append(replace(resolve(request), model_sha256=""))
    return found


def draw(model: LoadedModel, request: ResolvedRequest, found: Found) -> Image.Image:
    processor, wall = time.process_time(), time.perf_counter()
    wish = replace(request, precision=model.precision)
    picture = next(event.image for event in generate(model, wish) if isinstance(event, PictureDone))
    found.processor.append(time.process_time() - processor)
    found.wall.append(time.perf_counter() - wall)
    return picture


def row(own: Found, reference: Found) -> dict[str, float]:
    clip, before = statistics.mean(own.scores), statistics.mean(reference.scores)
    processor = statistics.median(own.processor[1:] or own.processor)
    return {
        "psnr": statistics.mean(min(value, 99.0) for value in own.psnr),
        "worst_psnr": min(min(own.psnr), 99.0),
        "clip": clip,
        "clip_change": clip / before - 1,
        "processor": processor,
        "processor_share": processor / statistics.median(reference.processor[1:] or reference.processor),
        "wall": statistics.median(own.wall[1:] or own.wall),
    }


def psnr(one: Image.Image, other: Image.Image) -> float:
    error = np.mean((np.asarray(one, np.float64) - np.asarray(other, np.float64)) ** 2)
    return 10 * math.log10(255**2 / error) if error else math.inf


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Pictures in every precision against fp32's.")
    parser.add_argument("--model", default="mini", help="name, folder or hub id (default: mini)")
    parser.add_argument("--number", type=int, default=50, help="prompts (default: 50)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lora", action="append", default=[], metavar="PATH[:WEIGHT]", help="repeatable")
    parser.add_argument("--precisions", nargs="+", default=["bf16", "int8"], help="besides fp32")
    parser.add_argument("--threads", type=int, help="threads of torch (default: torch's own choice)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    return parser


if __name__ == "__main__":
    main()
