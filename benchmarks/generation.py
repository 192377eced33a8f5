"""Seconds per picture: this project's `generate` against the stock diffusers pipeline, in turns.

    python -m benchmarks.generation [--model mini] [--steps N] [--count 1] [--rounds 3] [--threads N] [--json]

Both draw the same pictures: same model folder, prompt, steps, guidance, size and seeds, `count` pictures per
round, taking turns so that whatever else the machine does falls on both. The stock pipeline is what
`from_pretrained` gives: single precision, one picture after the other, prompt encoded anew each time. Ours repeats
its prompt, as a user does who asks for more of the same, and draws its previews. The first round of each warms up
and is not counted. Loading is not timed.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import sdxl_lora  # noqa: F401  first: makes torchvision importable beside a CPU build of torch

import torch  # isort: skip
from diffusers import AutoPipelineForText2Image, DiffusionPipeline  # isort: skip

from sdxl_lora.generation import PictureDone, generate, resolve
from sdxl_lora.models import registry
from sdxl_lora.models.loading import ModelConfig, load
from sdxl_lora.models.precision import dtype_of
from sdxl_lora.request import GenerationRequest

PROMPT = (
    "outer, Northpeak Windbreaker Navy, a photography of a navy windbreaker jacket"
    " with a white triangle logo on the chest, studio background"
)


def main() -> None:
    options = _parse()
    if options.threads:
        torch.set_num_threads(options.threads)
    request = resolve(
        GenerationRequest(
            prompt=PROMPT,
            model=options.model,
            steps=options.steps,
            guidance_end=1.0,  # as the stock pipeline has it
            seed=1,
            count=options.count,
            precision=options.precision,
        )
    )
    runs = {"stock diffusers": _stock(request), f"sdxl_lora ({request.precision})": _ours(request)}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(options.rounds + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run(turn)
            if turn:
                seconds[name].append((time.perf_counter() - started) / options.count)
    _report(options.json, request, seconds)


def _stock(request: GenerationRequest) -> Callable[[int], object]:
    """Draws pictures one by one with the pipeline as diffusers loads it."""
    folder = registry.fetch(request.model).folder
    pipeline: DiffusionPipeline = AutoPipelineForText2Image.from_pretrained(
        folder, use_safetensors=True, **_stock_precision(request)
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to("cuda" if torch.cuda.is_available() else "cpu")
    assert request.seed is not None  # resolved

    def run(turn: int) -> object:
        seeds = [request.for_picture(turn * request.count + index).seed for index in range(request.count)]
        return [
            pipeline(
                request.prompt,
                num_inference_steps=request.steps,
                guidance_scale=request.guidance,
                width=request.width,
                height=request.height,
                generator=torch.Generator("cpu").manual_seed(seed),
            ).images[0]
            for seed in seeds
        ]

    return run


def _stock_precision(request: GenerationRequest) -> dict[str, Any]:
    """On a GPU the stock pipeline is given our precision; on a processor it is as diffusers loads it, in fp32."""
    return {"dtype": dtype_of(request.precision)} if torch.cuda.is_available() else {}


def _ours(request: GenerationRequest) -> Callable[[int], object]:
    """Draws the same pictures with `generate`."""
    model = load(ModelConfig.of(request))

    def run(turn: int) -> object:
        seed = request.for_picture(turn * request.count).seed
        return [
            event for event in generate(model, replace(request, seed=seed)) if isinstance(event, PictureDone)
        ]

    return run


def _report(as_json: bool, request: GenerationRequest, seconds: dict[str, list[float]]) -> None:
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    stock = next(iter(medians.values()))
    if as_json:
        rows = {
            name: {"seconds_per_picture": median, "all": seconds[name], "times_as_fast": stock / median}
            for name, median in medians.items()
        }
        settings = {
            "model": request.model,
            "steps": request.steps,
            "count": request.count,
            "size": [request.width, request.height],
            "threads": torch.get_num_threads(),
        }
        print(json.dumps({"settings": settings, "results": rows}))
        return
    threads = torch.get_num_threads()
    print(f"{request.model}, {request.steps} steps, {request.width} x {request.height}, {threads} threads")
    print(f"{'':<24}{'s / picture':>12}{'fastest':>10}{'times as fast':>15}")
    for name, median in medians.items():
        print(f"{name:<24}{median:>12.2f}{min(seconds[name]):>10.2f}{stock / median:>15.2f}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Seconds per picture against the stock pipeline.")
    parser.add_argument("--model", default="mini", help="name, folder or hub id (default: mini)")
    parser.add_argument("--steps", type=int, help="denoising steps (default: the model's)")
    parser.add_argument("--count", type=int, default=1, help="pictures per request (default: 1)")
    parser.add_argument("--rounds", type=int, default=3, help="counted requests of each (default: 3)")
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "fp16", "bf16"])
    parser.add_argument("--threads", type=int, help="threads of torch (default: torch's own choice)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    return parser.parse_args()


if __name__ == "__main__":
    main()
