"""What step caching costs and saves: `python -m benchmarks.step_cache [--number 20] [--intervals 2 3] [--json]`

Every prompt is drawn with every interval, in turns, by the torch engine, in the model's own precision and from the same
seed; prompts are those of `benchmarks.precision`. Printed per interval: PSNR against the picture whose steps are all
computed whole (mean, and the worst), the mean CLIP score by the model's own judge and its change, and seconds of
processor time and wall time per picture (medians; the first picture of each warms up and is not timed).
"""

import argparse
import json
from dataclasses import replace

import sdxl_lora  # noqa: F401  first: makes torchvision importable beside a CPU build of torch

import torch  # isort: skip

from benchmarks import precision
from sdxl_lora.models.device import choose_device
from sdxl_lora.models.precision import choose_precision
from sdxl_lora.scoring.base import scorer_for


def main() -> None:
    options = _parser().parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    chosen = choose_precision(options.precision, choose_device())
    model, scorer = precision.load(options.model, chosen, ()), scorer_for(options.model)
    found = {interval: precision.Found() for interval in (1, *options.intervals)}
    for request in precision.requests(options.model, options.number, options.seed, ()):
        drawn = {
            interval: precision.draw(model, replace(request, cache_interval=interval), own)
            for interval, own in found.items()
        }
        for interval, picture in drawn.items():
            found[interval].psnr.append(precision.psnr(picture, drawn[1]))
            found[interval].scores += scorer.score([picture], [request.prompt])
    rows = {str(interval): precision.row(own, found[1]) for interval, own in found.items()}
    if options.json:
        print(json.dumps({"model": options.model, "precision": chosen, "results": rows}))
        return
    print(f"{options.model} in {chosen}, {options.number} prompts, {torch.get_num_threads()} threads")
    precision.print_table("interval", "of 1", rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Pictures with step caching against those without.")
    parser.add_argument("--model", default="mini", help="name, folder or hub id (default: mini)")
    parser.add_argument("--number", type=int, default=20, help="prompts (default: 20)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--intervals", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "fp16", "bf16", "int8"])
    parser.add_argument("--threads", type=int, help="threads of torch (default: torch's own choice)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    return parser


if __name__ == "__main__":
    main()
