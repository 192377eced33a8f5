"""Training speed and memory, ours against diffusers' SDXL LoRA script, in turns on the same model, pictures
and steps.

    python -m benchmarks.training --peer PATH/train_text_to_image_lora_sdxl.py            # mini, on this machine
    python -m benchmarks.training --peer PATH --size full --precision bf16 --steps 60     # SDXL's real size, on a GPU

Every run is a process of its own. Steady state: pictures over the median time of an update after the first
fifth. End to end: from start to finished LoRA, loading, caching and saving included. The same is printed in
pictures per second of processor time, which other work on the machine disturbs less, and for the update that was
disturbed least. With the defaults, two runs of 500 updates each, a quiet machine needs some six minutes.
`--size full` has SDXL's configuration with random weights: speed and memory do not depend on what they are. The
peer's script is run as it is, not copied; only its logging call is watched, and its check for a development
version of diffusers is skipped.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
_WATCH = """
import json, resource, runpy, sys, time
began = time.perf_counter()
import sdxl_lora
import accelerate, diffusers, torch
moments = []
def now():
    return time.perf_counter(), time.process_time()
accelerate.Accelerator.log = lambda self, values, step=None, log_kwargs=None: moments.append(now())
diffusers.utils.check_min_version = lambda version: None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
_OURS = """
import json, resource, sys, time
began = time.perf_counter()
from sdxl_lora.training import flags, loop, setup
import torch
moments = []
for event in loop.train(setup.prepare(flags.parse(sys.argv[1:]), print)):
    if isinstance(event, loop.StepRecord):
        moments.append((time.perf_counter(), time.process_time()))
"""
_REPORT = """
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
if torch.cuda.is_available():
    peak = torch.cuda.max_memory_allocated()
spent = [time.perf_counter() - began, time.process_time()]
print("RESULT " + json.dumps({"spent": spent, "moments": moments, "peak": peak}))
"""


def main() -> int:
    options = _parser().parse_args()
    from benchmarks import full_size  # imports torch

    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        model = full_size.make(work / "model") if options.size == "full" else _mini()
        resolution = options.resolution or (1024 if options.size == "full" else 256)
        data = _pictures(work / "data", options.pictures, resolution)
        runs: dict[str, list[dict[str, float]]] = {"ours": [], "peer": []}
        for number in range(options.rounds):
            for who in ("ours", "peer") if options.peer else ("ours",):
                result = _run(who, options, model, data, resolution, work / f"{who}-{number}")
                runs[who].append(result)
                print(f"{who:5} {_line(result)}", flush=True)
        summary = _summary(runs, options, resolution)
        if options.size == "full":
            extra = [f"--{flag}" for flag in options.extra]
            summary["floor"] = _floor([*_flags(options, model, data, resolution, work / "floor"), *extra])
            summary["share_of_floor"] = summary["ours"]["steady"] / summary["floor"]
    print(json.dumps(summary, indent=2) if options.json else "\n".join(_table(summary)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Training speed and memory, ours against diffusers' script.")
    parser.add_argument(
        "--peer", type=Path, help="diffusers' train_text_to_image_lora_sdxl.py; none: ours alone"
    )
    parser.add_argument("--size", choices=("mini", "full"), default="mini")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--resolution", type=int, help="px; default 256 for mini, 1024 for full")
    parser.add_argument("--precision", choices=("no", "fp16", "bf16"), default="no")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each, in turns")
    parser.add_argument("--gradient_checkpointing", action="store_true", help="for both")
    parser.add_argument(
        "--extra", nargs="*", default=[], help="flags for ours alone, for example base_precision=int8"
    )
    parser.add_argument("--json", action="store_true")
    return parser


def _flags(options: argparse.Namespace, model: Path, data: Path, resolution: int, output: Path) -> list[str]:
    """What both understand."""
    flags = [
        f"--pretrained_model_name_or_path={model}",
        f"--train_data_dir={data}",
        f"--output_dir={output}",
        f"--resolution={resolution}",
        "--center_crop",
        f"--train_batch_size={options.batch}",
        f"--max_train_steps={options.steps}",
        "--checkpointing_steps=100000",
        "--learning_rate=1e-4",
        "--lr_warmup_steps=0",
        "--seed=0",
        f"--mixed_precision={options.precision}",
    ]
    return flags + (["--gradient_checkpointing"] if options.gradient_checkpointing else [])


def _run(
    who: str, options: argparse.Namespace, model: Path, data: Path, resolution: int, output: Path
) -> dict[str, float]:
    flags = _flags(options, model, data, resolution, output)
    if who == "ours":
        own = [*(f"--{flag}" for flag in options.extra), f"--training_cache_dir={output}-cache"]
        command = [sys.executable, "-c", _OURS + _REPORT, *flags, *own]
    else:
        command = [sys.executable, "-c", _WATCH + _REPORT, str(options.peer), *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise SystemExit(f"{who} failed:\n{done.stderr[-3000:]}")
    found = json.loads(lines[0].removeprefix("RESULT "))
    result = {"peak": found["peak"]}
    for clock, prefix in enumerate(("", "cpu_")):
        moments = [moment[clock] for moment in found["moments"]]
        steps = [after - before for before, after in pairwise(moments)][len(moments) // 5 :]
        result[f"{prefix}steady"] = options.batch / median(steps)
        result[f"{prefix}least"] = options.batch / min(steps)
        result[f"{prefix}end_to_end"] = options.batch * options.steps / found["spent"][clock]
    return result


def _summary(
    runs: dict[str, list[dict[str, float]]], options: argparse.Namespace, resolution: int
) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "settings": {
            "size": options.size,
            "steps": options.steps,
            "batch": options.batch,
            "resolution": resolution,
            "precision": options.precision,
            "extra": options.extra,
        }
    }
    for who, results in runs.items():
        if results:
            summary[who] = {key: median(result[key] for result in results) for key in results[0]}
    if runs["peer"]:
        for key in ("steady", "least", "end_to_end", "cpu_steady", "cpu_least", "cpu_end_to_end"):
            summary[f"{key}_ratio"] = summary["ours"][key] / summary["peer"][key]
    return summary


def _floor(flags: list[str]) -> float:
    """Pictures a second if only the arithmetic of an update counted, at the rate of this device's matrix products."""
    from sdxl_lora.training import estimates
    from sdxl_lora.training.flags import parse
    from sdxl_lora.training.setup import prepare

    prepared = prepare(parse([*flags, "--dry_run"]), lambda text: None)
    per_picture = estimates.estimate(prepared).flops
    return estimates.machine_rate(prepared.accelerator.device, prepared.dtype) / per_picture


def _line(result: dict[str, float]) -> str:
    return (
        f"steady {result['steady']:.3f} pictures/s, end to end {result['end_to_end']:.3f} pictures/s, "
        f"peak {result['peak'] / 1e9:.2f} GB; per second of processor time {result['cpu_steady']:.2f} and "
        f"{result['cpu_end_to_end']:.2f}; in the least disturbed update {result['cpu_least']:.2f}"
    )


def _table(summary: dict[str, Any]) -> list[str]:
    lines = [f"settings: {summary['settings']}"]
    lines += [f"{who:5} {_line(summary[who])}" for who in ("ours", "peer") if who in summary]
    if "steady_ratio" in summary:
        lines.append(
            f"ratio steady {summary['steady_ratio']:.2f}x, end to end {summary['end_to_end_ratio']:.2f}x; of "
            f"processor time {summary['cpu_steady_ratio']:.2f}x and {summary['cpu_end_to_end_ratio']:.2f}x; "
            f"least disturbed update against least disturbed {summary['cpu_least_ratio']:.2f}x"
        )
    if "floor" in summary:
        lines.append(f"floor {summary['floor']:.2f} pictures/s, reached {summary['share_of_floor']:.0%}")
    return lines


def _mini() -> Path:
    from sdxl_lora.models import registry

    info = registry.describe("mini")
    if info.folder is None:
        raise SystemExit(f"the bundled model is not in {info.source}; set SDXL_LORA_MINI")
    return info.folder


def _pictures(folder: Path, count: int, side: int) -> Path:
    """Smooth random pictures with captions in metadata.jsonl."""
    import numpy as np
    from PIL import Image

    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    rows = []
    for number in range(count):
        small = random.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
        rows.append({"file_name": f"{number}.png", "text": f"top, a photography of shirt number {number}"})
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


if __name__ == "__main__":
    raise SystemExit(main())
