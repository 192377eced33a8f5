"""What int8 saves, and what loading it takes: `python -m benchmarks.memory [--size mini|full] [--work DIR] [--json]`

A model folder is quantised as `models quantise` does it and loaded again, each in a process of its own whose peak
of resident memory is read from the kernel, above what the process held before. `full` is SDXL's configuration with
random weights in bf16 (7 GB), which are made first, part by part, in `--work`: it needs 12 GB of disk and of memory.
"Used" is what is resident after every weight was read once: mapped files count when they are used.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import sdxl_lora  # noqa: F401  first: makes torchvision importable beside a CPU build of torch

from benchmarks import full_size  # isort: skip
from sdxl_lora.models import hub, quantising, registry
from sdxl_lora.models.building import PARTS, build


def main() -> int:
    options = _parser().parse_args()
    if options.step:
        print(
            json.dumps(
                _quantise(*options.step[1:]) if options.step[0] == "quantise" else _load(options.step[1])
            )
        )
        return 0
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        work = Path(name)
        source = str(full_size.make(work / "plain")) if options.size == "full" else "mini"
        quantising_took = _in_a_process("quantise", source, str(work / "int8"))
        found = _in_a_process("load", str(work / "int8")) | {"quantising": quantising_took}
    if options.json:
        print(json.dumps(found))
        return 0
    print(f"{found['parameters']:,} parameters; in fp32 {_gb(found['fp32'])}")
    print(f"int8 weights in memory {_gb(found['memory'])}, {found['memory'] / found['fp32']:.4f} of fp32")
    print(f"int8 folder {_gb(found['file'])}, {found['file'] / found['fp32']:.4f} of fp32")
    print(
        f"peak while loading it {_gb(found['peak'])}, {found['peak'] / found['file']:.2f} of its size;"
        f" used {_gb(found['used'])}, {found['used'] / found['file']:.2f}; {found['seconds']:.1f} s"
    )
    print(f"peak while quantising {_gb(quantising_took['peak'])}; {quantising_took['seconds']:.0f} s")
    return 0


def _quantise(source: str, target: str) -> dict[str, float]:
    before = _restart_peak()
    began = time.perf_counter()
    quantising.quantise(source, Path(target))
    return {"peak": _peak() - before, "seconds": time.perf_counter() - began}


def _load(folder: str) -> dict[str, float]:
    info = registry.describe(folder)
    assert info.folder is not None
    assert info.architecture is not None
    before = _restart_peak()
    began = time.perf_counter()
    pipeline = build(info, info.folder, "cpu", "int8")
    seconds, peak = time.perf_counter() - began, _peak() - before
    parts = [getattr(pipeline, name) for name in PARTS[info.architecture]]
    tensors = [tensor for part in parts for tensor in part.state_dict().values()]
    for tensor in tensors:
        tensor.amax()  # reads it, and copies nothing
    return {
        "parameters": sum(parameter.numel() for part in parts for parameter in part.parameters()),
        "fp32": 4 * sum(parameter.numel() for part in parts for parameter in part.parameters()),
        "memory": sum(tensor.nbytes for tensor in tensors),
        "file": sum(_weights(info.folder / name).stat().st_size for name in PARTS[info.architecture]),
        "peak": peak,
        "used": _status("VmRSS") - before,
        "seconds": seconds,
    }


def _weights(part: Path) -> Path:
    file = hub.int8_weights(part)
    assert file is not None
    return file


def _in_a_process(*step: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", "--step", *step],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _restart_peak() -> int:
    """Resident bytes now, from which the kernel counts the peak anew."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])


def _gb(count: float) -> str:
    return f"{count / 1e9:.3f} GB"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Bytes of int8 weights, and peaks of making and loading them."
    )
    parser.add_argument(
        "--size", choices=["mini", "full"], default="mini", help="full: SDXL's, random weights"
    )
    parser.add_argument(
        "--work", type=Path, help="folder for what is made on the way (default: the temporary one)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    parser.add_argument(
        "--step", nargs="+", help=argparse.SUPPRESS
    )  # one measurement, in a process of its own
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
