"""What a run on a GPU measures: correctness on the bundled model, then speed and memory at SDXL's real size."""

import gc
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks import full_size
from benchmarks import training as bench
from benchmarks.gpu import profiling
from benchmarks.gpu.results import Run, peak_gb, synchronise
from sdxl_lora.generation import PictureDone, generate, resolve
from sdxl_lora.models import registry
from sdxl_lora.models.loading import ModelConfig, load, unload
from sdxl_lora.request import GenerationRequest, LoraSpec

ROOT = Path(__file__).parents[2]
# name -> flags of a LoRA training; the first three have a peer with the same batch
TRAINING = {
    "batch 1": ["--train_batch_size=1"],
    "batch 4": ["--train_batch_size=4"],
    "batch 8": ["--train_batch_size=8"],
    "batch 1, compiled": ["--train_batch_size=1", "--compile"],
    "batch 4, compiled": ["--train_batch_size=4", "--compile"],
    "batch 1, CUDA graphs": ["--train_batch_size=1", "--cuda_graphs"],
    "batch 1, int8": ["--train_batch_size=1", "--base_precision=int8"],
    "batch 1, checkpointing": ["--train_batch_size=1", "--gradient_checkpointing"],
}
# name -> fields of a request
WAYS: dict[str, dict[str, Any]] = {
    "torch": {"engine": "torch"},
    "compiled": {"engine": "compiled"},
    "cached": {"engine": "torch", "cache_interval": 2},  # another picture
}
WORK = Path("/tmp/benchmarks-gpu")
PROMPT = (
    "outer, Northpeak Windbreaker Navy, a photography of a navy windbreaker jacket"
    " with a white triangle logo on the chest, studio background"
)
PEER = ROOT / ".carry" / "train_text_to_image_lora_sdxl.py"  # diffusers' script, where it was carried
# of one picture: 416 TFLOP (30 guided steps at 1024 px, counted with torch.utils.flop_counter) at an H100's rate
FLOOR_SECONDS = 416 / 798


def machine(run: Run) -> None:
    """Which card, which versions, and its two ceilings."""
    import diffusers
    import peft
    import transformers

    side = 8192 if run.device == "cuda" else 512
    a, b = (torch.randn(side, side, device=run.device, dtype=torch.bfloat16) for _ in range(2))
    size = (4 << 30) if run.device == "cuda" else (16 << 20)
    big = torch.empty(size, dtype=torch.uint8, device=run.device)
    other = torch.empty_like(big)
    run.say(
        "machine",
        gpu=torch.cuda.get_device_name() if run.device == "cuda" else None,
        bf16_tflops=round(2 * side**3 / _seconds(lambda: a @ b) / 1e12, 1),
        copy_tb_s=round(2 * size / _seconds(lambda: other.copy_(big)) / 1e12, 2),
        versions={m.__name__: m.__version__ for m in (torch, diffusers, transformers, peft, np)},
    )


def mini_pictures(run: Run) -> None:
    """The same seeds on the processor in fp32 and on this device in every precision: PSNR in dB."""
    tf32 = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    reference = _draw("mini", "cpu", "fp32", count=2 if run.tiny else 4)
    for precision in ("fp32", "fp16", "bf16") if run.device == "cuda" else ("bf16",):
        found = _draw("mini", run.device, precision, count=len(reference))
        psnr = [_psnr(x, y) for x, y in zip(found, reference, strict=True)]
        run.say("mini_pictures", precision=precision, psnr_db=psnr)
    torch.backends.cudnn.allow_tf32 = tf32


def mini_training(run: Run) -> None:
    """20 updates from one seed: losses on this device against the processor's."""
    losses: dict[str, list[float]] = {}
    variants = {"cpu": ["--mixed_precision=no"], "fp32": ["--mixed_precision=no"]}
    variants["bf16"] = ["--mixed_precision=bf16"]
    for name, extra in variants.items():
        output = WORK / f"mini-{name}"
        hidden = {"CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "1"} if name == "cpu" else {}
        flags = [
            "--pretrained_model_name_or_path=mini",
            "--dataset_name=sdxl_lora/assets/sample_data/brand.jsonl",
            f"--max_train_steps={4 if run.tiny else 20}",
            "--train_batch_size=4",
            "--learning_rate=1e-3",
            "--rank=8",
            "--seed=0",
            "--center_crop",
            "--report_to=none",
            f"--output_dir={output}",
            f"--training_cache_dir={output}-cache",
            *extra,
        ]
        done = python(["train_text_to_image_lora.py", *flags], hidden)
        if done.returncode:
            run.say("mini_training", name=name, failed=done.stderr[-500:])
            continue
        rows = [json.loads(row) for row in (output / "metrics.jsonl").read_text().splitlines()]
        losses[name] = [row["loss"] for row in rows if "loss" in row]
    for name in set(losses) - {"cpu"}:
        pairs = list(zip(losses[name], losses.get("cpu", []), strict=False))
        worst = max((abs(a - b) / b for a, b in pairs), default=float("nan"))
        run.say("mini_training", name=name, worst_relative=round(worst, 5), updates=len(pairs))


def build_full(run: Run) -> None:
    """SDXL's real size with random weights, as a folder like any other."""
    full_size.make(WORK / "sdxl")


def generation(run: Run) -> None:
    """30 steps at 1024 px: ours in bf16 and fp16, the stock pipeline in fp16, batch 1 and 4."""
    model, side, steps = model_of(run), side_of(run), _steps(run)
    ways = [(p, way) for p in (run.precisions if run.device == "cuda" else ("bf16",)) for way in run.ways]
    for precision, way in ways:
        if run.left < 45:
            run.say("generation", who="ours", precision=precision, way=way, skipped=f"{run.left:.0f} s left")
            continue
        unload()
        gc.collect()
        peak_gb(reset=True)
        began = time.perf_counter()
        fields = WAYS[way]
        request = request_of(model, side, steps, precision, **fields)
        loaded = load(ModelConfig.of(request))
        synchronise()
        loading = time.perf_counter() - began
        began = time.perf_counter()
        list(generate(loaded, request_of(model, side, 2, precision, **fields)))
        first = time.perf_counter() - began  # with what is compiled and recorded
        each = [e.seconds for e in generate(loaded, request) if isinstance(e, PictureDone)]
        run.say(
            "generation",
            who="ours",
            precision=precision,
            way=way,
            load_s=round(loading, 1),
            first_s=round(first, 1),
            s_per_picture=round(statistics.median(each), 3),
            each=[round(s, 3) for s in each],
            peak_gb=peak_gb(reset=True),
            share_of_floor=round(FLOOR_SECONDS / statistics.median(each), 3),
        )
        if precision == "bf16":
            _profile(run, way, loaded, request_of(model, side, 4, precision, count=1, **fields))
        del loaded
    unload()
    gc.collect()
    _stock(run, model, side, steps)


def training(run: Run) -> None:
    """LoRA updates at SDXL's size: pictures a second and peak memory."""
    for name, extra in TRAINING.items():
        if name not in run.variants:
            continue
        if run.left < 35 or (run.tiny and name != "batch 1"):
            run.say("training", name=name, skipped=f"{run.left:.0f} s left")
            continue
        flags = [
            f"--pretrained_model_name_or_path={model_of(run)}",
            f"--train_data_dir={_pictures(run)}",
            f"--output_dir={WORK / 'lora' / name.replace(', ', '-').replace(' ', '-')}",
            f"--training_cache_dir={WORK / 'cache'}",
            f"--resolution={side_of(run)}",
            "--center_crop",
            f"--max_train_steps={4 if run.tiny else 25}",
            "--checkpointing_steps=100000",
            "--seed=0",
            "--report_to=none",
            "--mixed_precision=bf16",
            *extra,
        ]
        profiled = {"PROFILED_UPDATES": "2" if run.tiny else "5"}
        done = python(["-c", _TRAIN, *flags], profiled)
        rows = [row for row in done.stdout.splitlines() if row.startswith("RESULT ")]
        if not rows:
            run.say("training", name=name, failed=done.stderr[-500:])
            continue
        run.say("training", who="ours", name=name, **json.loads(rows[0].removeprefix("RESULT ")))


def peer(run: Run) -> None:
    """diffusers' own script on the same model and pictures."""
    if not PEER.exists() or run.tiny:
        run.say("peer", skipped=f"{PEER.name} is not in .carry" if not PEER.exists() else "a rehearsal")
        return
    for batch in (1, 4, 8):
        if f"batch {batch}" not in run.variants:
            continue
        if run.left < 35:
            run.say("peer", batch=batch, skipped=f"{run.left:.0f} s left")
            continue
        options = bench._parser().parse_args(
            ["--peer", str(PEER), "--batch", str(batch), "--steps", "20", "--precision", "bf16"]
        )
        found = bench._run(
            "peer", options, WORK / "sdxl", _pictures(run), side_of(run), WORK / f"peer-{batch}"
        )
        run.say("peer", batch=batch, pictures_per_s=round(found["steady"], 2), peak_gb=found["peak"] / 1e9)


def lora_generation(run: Run) -> None:
    """A picture with the LoRA that `training` made, against one without."""
    lora = LoraSpec(path=str(WORK / "lora" / "batch-1" / "pytorch_lora_weights.safetensors"))
    for loras in ((), (lora,)):
        request = request_of(model_of(run), side_of(run), _steps(run), "bf16", loras=loras)
        loaded = load(ModelConfig.of(request))
        each = [e.seconds for e in generate(loaded, request) if isinstance(e, PictureDone)]
        run.say("lora_generation", lora=bool(loras), each=[round(s, 3) for s in each])


_TRAIN = """
import json, os, statistics, sys, time
import sdxl_lora, torch
from benchmarks.gpu import profiling
from sdxl_lora.training import events, flags, loop, setup
began, times, caching, profiler, found = time.perf_counter(), [], 0, None, {}
profiled = int(os.environ["PROFILED_UPDATES"])
for event in loop.train(setup.prepare(flags.parse(sys.argv[1:]), print)):
    if isinstance(event, events.Started):
        total = event.total
        if torch.cuda.is_available():
            caching = torch.cuda.max_memory_allocated()
            torch.cuda.empty_cache(); torch.cuda.reset_peak_memory_stats()
    if isinstance(event, events.StepRecord):
        if profiler is None:
            times.append(event.seconds); pictures = event.pictures
            if event.step == total - profiled:
                profiler = profiling.started()
if profiler is not None:
    profiler.stop()
    found = profiling.summary(profiler, profiled)
steady = statistics.median(times[len(times) // 3 :])
peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
print("RESULT " + json.dumps({"pictures_per_s": round(pictures / steady, 2), "s_per_update": round(steady, 4),
    "first_update_s": round(times[0], 2), "peak_gb": round(peak / 1e9, 2), "caching_peak_gb": round(caching / 1e9, 2),
    "whole_s": round(time.perf_counter() - began, 1), "profile_of_an_update": found}))
"""


def _stock(run: Run, model: str, side: int, steps: int) -> None:
    from diffusers import AutoPipelineForText2Image

    dtype = torch.float16 if run.device == "cuda" else torch.bfloat16
    folder = registry.fetch(model).folder
    pipeline = AutoPipelineForText2Image.from_pretrained(folder, torch_dtype=dtype, use_safetensors=True)
    pipeline.to(run.device)
    pipeline.set_progress_bar_config(disable=True)
    for batch in (1, 4):
        if run.left < 30:
            continue
        _stock_seconds(pipeline, 2, side, batch)
        seconds = statistics.median(_stock_seconds(pipeline, steps, side, batch) for _ in range(2))
        run.say(
            "generation",
            who="stock",
            dtype=str(dtype),
            batch=batch,
            s_per_picture=round(seconds / batch, 3),
            peak_gb=peak_gb(reset=True),
        )
    del pipeline
    gc.collect()
    peak_gb(reset=True)


def _stock_seconds(pipeline: Any, steps: int, side: int, batch: int) -> float:
    synchronise()
    began = time.perf_counter()
    pipeline(
        PROMPT,
        num_inference_steps=steps,
        guidance_scale=5.0,
        width=side,
        height=side,
        num_images_per_prompt=batch,
        generator=[torch.Generator("cpu").manual_seed(i) for i in range(batch)],
    )
    synchronise()
    return time.perf_counter() - began


def _profile(run: Run, way: str, loaded: Any, request: Any) -> None:
    """Why a step takes so long: the same picture without the profiler, then with it."""
    began = time.perf_counter()
    list(generate(loaded, request))
    synchronise()
    wall = time.perf_counter() - began
    profiler = profiling.started()
    list(generate(loaded, request))
    synchronise()
    profiler.stop()
    run.say(
        "generation",
        who=f"profile of {request.steps} steps and their decoding, each",
        way=way,
        wall_ms=round(1e3 * wall / request.steps, 1),
        **profiling.summary(profiler, request.steps),
    )


def _draw(model: str, device: str, precision: str, *, count: int) -> list[Image.Image]:
    unload()
    wish = GenerationRequest(prompt=PROMPT, model=model, seed=1, count=count, precision=precision)
    request = resolve(wish)
    if request.precision != precision:
        raise ValueError(f"asked for {precision}, got {request.precision}")
    loaded = load(ModelConfig.of(request, device=device))
    return [event.image for event in generate(loaded, request) if isinstance(event, PictureDone)]


def request_of(
    model: str,
    side: int,
    steps: int,
    precision: str,
    *,
    count: int = 3,
    loras: tuple[LoraSpec, ...] = (),
    **fields: Any,
) -> Any:
    return resolve(
        GenerationRequest(
            prompt=PROMPT,
            model=model,
            seed=1,
            count=count,
            steps=steps,
            width=side,
            height=side,
            guidance=5.0,
            guidance_end=1.0,
            cleanup_timestep=0,
            precision=precision,
            loras=loras,
            **fields,
        )
    )


def python(
    arguments: list[str], environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    path = f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", **(environment or {})},
        capture_output=True,
        text=True,
    )


def _pictures(run: Run) -> Path:
    folder = WORK / f"pictures-{side_of(run)}"
    return folder if folder.exists() else bench._pictures(folder, 8, side_of(run))


def model_of(run: Run) -> str:
    return "mini" if run.tiny else str(WORK / "sdxl")


def side_of(run: Run) -> int:
    return 256 if run.tiny else 1024


def _steps(run: Run) -> int:
    return 3 if run.tiny else 30


def _psnr(one: Image.Image, other: Image.Image) -> float:
    error = float(((np.asarray(one, float) - np.asarray(other, float)) ** 2).mean())
    return round(10 * float(np.log10(255**2 / max(error, 1e-9))), 1)


def _seconds(call: Any, count: int = 10) -> float:
    for _ in range(3):
        call()
    synchronise()
    began = time.perf_counter()
    for _ in range(count):
        call()
    synchronise()
    return (time.perf_counter() - began) / count
