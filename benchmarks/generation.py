"""Seconds per picture, wall and processor: this project's `generate` against the stock diffusers pipeline, in turns.

    python -m benchmarks.generation [--model mini] [--count 1] [--rounds 3] [--seconds 240] [--engines torch ...]

Both draw the same pictures: same model folder, prompt, steps, guidance, size and seeds, `count` pictures per
round, taking turns so that whatever else the machine does falls on both. The stock pipeline is what
`from_pretrained` gives: single precision, one picture after the other, prompt encoded anew each time; it gets the
number of threads that it is fastest with, because on cores that others use several threads wait for each other ten
times as long as they work. Ours repeats its prompt, as a user does who asks for more of the same, and draws its
previews. The first round of each warms up and is not counted. Loading is not timed. Rounds end at `--rounds`, or
earlier where another one would pass `--seconds`; there is always one. Seconds of processor time say what is saved
where other programs want the cores, too. PSNR is that of the worst of the counted pictures against the stock
pipeline's of the same seed.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import sdxl_lora  # noqa: F401  first: makes torchvision importable beside a CPU build of torch

import torch  # isort: skip
from diffusers import AutoPipelineForText2Image, DiffusionPipeline  # isort: skip
from PIL import Image

from sdxl_lora.generation import PictureDone, generate, resolve
from sdxl_lora.models import conversions, registry
from sdxl_lora.models.conversions import Conversion
from sdxl_lora.models.device import choose_device
from sdxl_lora.models.loading import ModelConfig, load
from sdxl_lora.models.precision import compute_dtype
from sdxl_lora.request import GenerationRequest, ResolvedRequest

PROMPT = (
    "outer, Northpeak Windbreaker Navy, a photography of a navy windbreaker jacket"
    " with a white triangle logo on the chest, studio background"
)


Draw = Callable[[int], Sequence[Image.Image]]  # number of the turn -> its pictures


@dataclass(kw_only=True)
class Times:
    """What the counted turns of one way to draw took, in seconds per picture, and how near they came to stock."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)  # of all threads of the process
    psnr: float = math.inf  # dB, of the worst picture; inf = all the same to the bit


def main() -> None:
    options = _parse()
    if options.threads:
        torch.set_num_threads(options.threads)
    request = resolve(
        GenerationRequest(
            prompt=PROMPT,
            model=options.model,
            steps=options.steps,
            guidance_end=1.0,  # as the stock pipeline has it, which cleans nothing up either
            cleanup_timestep=0,
            seed=1,
            count=options.count,
            precision=options.precision,
        )
    )
    began = time.perf_counter()
    stock_run, stock_threads = _stock(request)
    runs = {"stock diffusers": stock_run}
    for engine in options.engines:
        runs[f"{engine} {request.precision}"] = _ours(replace(request, engine=engine))
    for name, run in runs.items():
        if name != "stock diffusers":  # that one is warm from the choice of its threads
            run(0)
    times = {name: Times() for name in runs}
    for turn in range(1, options.rounds + 1):
        turn_began = time.perf_counter()
        _take_a_turn(turn, runs, times, options.count)
        now = time.perf_counter()
        if now - began + (now - turn_began) > options.seconds:
            break
    _report(options.json, request, times, stock_threads)


def _take_a_turn(turn: int, runs: dict[str, Draw], times: dict[str, Times], count: int) -> None:
    stock: Sequence[Image.Image] = ()
    for name, run in runs.items():
        wall, processor = time.perf_counter(), time.process_time()
        pictures = run(turn)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        stock = stock or pictures
        times[name].wall.append(wall / count)
        times[name].processor.append(processor / count)
        times[name].psnr = min(times[name].psnr, *map(_psnr, stock, pictures))


def _psnr(one: Image.Image, other: Image.Image) -> float:
    """Peak signal to noise ratio of two pictures in dB; infinite where they are the same."""
    error = np.mean((np.asarray(one, np.float64) - np.asarray(other, np.float64)) ** 2)
    return 10 * math.log10(255**2 / error) if error else math.inf


def _stock(request: ResolvedRequest) -> tuple[Draw, int]:
    """Draws pictures one by one with the pipeline as diffusers loads it, and with how many threads it does."""
    folder = registry.fetch(request.model).folder
    pipeline: DiffusionPipeline = AutoPipelineForText2Image.from_pretrained(
        folder, use_safetensors=True, **_stock_precision(request)
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to("cuda" if torch.cuda.is_available() else "cpu")

    def one(seed: int) -> Image.Image:
        picture: Image.Image = pipeline(
            request.prompt,
            num_inference_steps=request.steps,
            guidance_scale=request.guidance,
            width=request.width,
            height=request.height,
            generator=torch.Generator("cpu").manual_seed(seed),
        ).images[0]
        return picture

    all_threads = torch.get_num_threads()
    on_gpu = torch.cuda.is_available()
    threads = _fastest_threads(one, [all_threads] if on_gpu else sorted({1, all_threads}))

    def run(turn: int) -> Sequence[Image.Image]:
        torch.set_num_threads(threads)
        try:
            return [one(request.for_picture(turn * request.count + i).seed) for i in range(request.count)]
        finally:
            torch.set_num_threads(all_threads)

    return run, threads


def _fastest_threads(draw: Callable[[int], Any], choices: Sequence[int]) -> int:
    """Of several numbers of threads the one with which a picture takes least time; the first picture warms up."""
    before = torch.get_num_threads()
    taken = {}
    for number in (choices[0], *choices):
        torch.set_num_threads(number)
        began = time.perf_counter()
        draw(0)
        taken[number] = time.perf_counter() - began
    torch.set_num_threads(before)
    return min(taken, key=lambda number: taken[number])


def _stock_precision(request: ResolvedRequest) -> dict[str, Any]:
    """On a GPU the stock pipeline is given our precision; on a processor it is as diffusers loads it, in fp32."""
    return {"dtype": compute_dtype(request.precision, choose_device())} if torch.cuda.is_available() else {}


def _ours(request: ResolvedRequest) -> Draw:
    """Draws the same pictures with `generate`; OpenVINO's network is converted before, which is not timed."""
    model = load(ModelConfig.of(request))
    if request.engine == "openvino":
        conversion = Conversion.of(request)
        if not conversion.ready:
            conversions.begin(conversion)
            conversions.wait()
        if not conversion.ready:
            raise SystemExit(f"openvino: {conversion.failure}")

    def run(turn: int) -> Sequence[Image.Image]:
        seed = request.for_picture(turn * request.count).seed
        return [
            event.image
            for event in generate(model, replace(request, seed=seed))
            if isinstance(event, PictureDone) and event.engine == request.engine
        ]

    return run


def _report(as_json: bool, request: ResolvedRequest, times: dict[str, Times], stock_threads: int) -> None:
    stock = next(iter(times.values()))
    rows: dict[str, dict[str, Any]] = {}
    for name, taken in times.items():
        wall, processor = statistics.median(taken.wall), statistics.median(taken.processor)
        rows[name] = {
            "seconds_per_picture": wall,
            "all": taken.wall,
            "times_as_fast": statistics.median(stock.wall) / wall,
            "processor_seconds_per_picture": processor,
            "processor_times_as_fast": statistics.median(stock.processor) / processor,
            "worst_psnr": None if math.isinf(taken.psnr) else taken.psnr,
        }
    threads = torch.get_num_threads()
    if as_json:
        settings = {
            "model": request.model,
            "steps": request.steps,
            "count": request.count,
            "size": [request.width, request.height],
            "threads": threads,
            "stock_threads": stock_threads,
            "rounds": len(stock.wall),
        }
        print(json.dumps({"settings": settings, "results": rows}))
        return
    print(
        f"{request.model}, {request.steps} steps, {request.width} x {request.height}, {request.count} at once,"
        f" {threads} threads, {stock_threads} for the stock pipeline; {len(stock.wall)} rounds"
    )
    print(
        f"{'':<24}{'s / picture':>12}{'fastest':>10}{'times as fast':>15}"
        f"{'processor s':>13}{'times less':>12}{'PSNR':>8}"
    )
    for name, row in rows.items():
        psnr = "same" if row["worst_psnr"] is None else f"{row['worst_psnr']:.1f}"
        print(
            f"{name:<24}{row['seconds_per_picture']:>12.2f}{min(row['all']):>10.2f}{row['times_as_fast']:>15.2f}"
            f"{row['processor_seconds_per_picture']:>13.2f}{row['processor_times_as_fast']:>12.2f}{psnr:>8}"
        )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Seconds per picture against the stock pipeline.")
    parser.add_argument("--model", default="mini", help="name, folder or hub id (default: mini)")
    parser.add_argument("--steps", type=int, help="denoising steps (default: the model's)")
    parser.add_argument("--count", type=int, default=1, help="pictures per request (default: 1)")
    parser.add_argument("--rounds", type=int, default=3, help="counted requests of each (default: 3)")
    parser.add_argument(
        "--seconds", type=float, default=240, help="no round begins that would end later (default: 240)"
    )
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "fp16", "bf16", "int8"])
    parser.add_argument(
        "--engines",
        nargs="+",
        default=["torch", *(["openvino"] if conversions.version() else [])],
        help="engines of ours to time (default: all that are installed)",
    )
    parser.add_argument("--threads", type=int, help="threads of torch (default: torch's own choice)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    return parser.parse_args()


if __name__ == "__main__":
    main()
