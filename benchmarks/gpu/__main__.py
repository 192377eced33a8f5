"""`python -m benchmarks.gpu OUT [--tiny] [--seconds 500] [--parts machine,generation]`."""

import argparse
import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("SDXL_LORA_HOME", "/tmp/benchmarks-gpu/home")

import sdxl_lora  # noqa: F401  first: makes torchvision importable beside a CPU build of torch

from benchmarks.gpu import parts, small  # isort: skip
from benchmarks.gpu.results import Run  # isort: skip

# part, seconds that must be left for it to begin; in the order of what is worth knowing
PARTS = {
    "machine": (parts.machine, 10),
    "mini_pictures": (parts.mini_pictures, 20),
    "build_full": (parts.build_full, 60),
    "generation": (parts.generation, 60),
    "training": (parts.training, 40),
    "saving": (small.saving, 30),
    "tests": (small.tests, 60),
    "peer": (parts.peer, 40),
    "lora_generation": (parts.lora_generation, 20),
    "mini_training": (parts.mini_training, 60),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("out", type=Path, help="folder of results.jsonl")
    parser.add_argument("--tiny", action="store_true", help="rehearse with the bundled model, on any machine")
    parser.add_argument("--seconds", type=float, default=500)
    parser.add_argument("--parts", default=",".join(PARTS), help="comma-separated, in this order")
    parser.add_argument("--precisions", default="bf16,fp16", help="of our generation")
    parser.add_argument("--ways", default="torch,compiled", help=f"any of: {', '.join(parts.WAYS)}")
    parser.add_argument(
        "--training", default="batch 1;batch 4", help=f"variants, any of: {'; '.join(parts.TRAINING)}"
    )
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    run = Run(
        out=options.out,
        seconds=options.seconds,
        tiny=options.tiny,
        precisions=tuple(options.precisions.split(",")),
        ways=tuple(options.ways.split(",")),
        variants=tuple(options.training.split(";")),
    )
    for name in options.parts.split(","):
        if not (options.tiny and name == "build_full"):
            run.part(*PARTS[name])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
