"""`python -m sdxl_lora build-mini`: makes the bundled model from nothing, stage by stage, resumable.

A stage that finished leaves `done.json` in its folder and is skipped the next time. CLIP, VAE and judge depend only
on the pictures, so on a CPU they train side by side, one process and one thread each.
"""

import argparse
import json
import multiprocessing
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel

from sdxl_lora.config import cores
from sdxl_lora.errors import UnknownNameError
from sdxl_lora.mini.autoencoder import train_autoencoder
from sdxl_lora.mini.clip import train_clip
from sdxl_lora.mini.dataset import import_photos, render_set
from sdxl_lora.mini.denoiser import train_denoiser
from sdxl_lora.mini.judge import train_judge
from sdxl_lora.mini.latents import encode_all
from sdxl_lora.mini.package import package
from sdxl_lora.mini.pipeline import make_pipeline
from sdxl_lora.mini.settings import PROFILES, TIMED, BuildFolder, BuildSettings, TimedSettings
from sdxl_lora.mini.sheets import renders_sheet
from sdxl_lora.mini.starting import shaped_like, start_from
from sdxl_lora.mini.timed_build import build_within
from sdxl_lora.mini.tokenizer import build_tokenizers
from sdxl_lora.mini.verdict import evaluate, format_table, report_path
from sdxl_lora.mini.vision import train_vision

Stage = Callable[[BuildFolder, BuildSettings], None]


def draw_pictures(folder: BuildFolder, settings: BuildSettings) -> None:
    """Render training and held-out pictures."""
    for name, count in (("held_out", settings.held_out_pictures), ("train", settings.pictures)):
        render_set(
            folder.pictures / name,
            count,
            size=settings.size,
            seed=settings.seed,
            workers=_processes(settings),
            held_out=name == "held_out",
        )
    renders_sheet(folder.pictures / "train", folder.pictures / "sheet.jpg")


def make_tokenizers(folder: BuildFolder, settings: BuildSettings) -> None:
    """Learn the vocabulary from captions."""
    build_tokenizers(folder.stage("tokenizers"), seed=settings.seed)


def judge_model(folder: BuildFolder, settings: BuildSettings) -> None:
    """Judge the trained UNet, measure how far its pictures are from renders, and print the table."""
    unet = UNet2DConditionModel.from_pretrained(folder.stage("unet") / "unet")
    pipeline = make_pipeline(folder, unet).to(settings.device)
    print(format_table(evaluate(folder, settings, pipeline)))


# Stages in one group do not depend on each other.
STAGES: tuple[dict[str, Stage], ...] = (
    {"pictures": draw_pictures},
    {"tokenizers": make_tokenizers},
    {"clip": train_clip, "vae": train_autoencoder, "judge": train_judge},
    {"vision": train_vision},
    {"latents": encode_all},
    {"unet": train_denoiser},
    {"evaluation": judge_model},
    {"mini": package},
)
STAGE_NAMES = tuple(name for group in STAGES for name in group)
# settings that have a flag of their own
ADJUSTABLE = (
    "pictures",
    "clip_steps",
    "vision_steps",
    "vae_steps",
    "unet_steps",
    "unet_decay_steps",
    "judge_steps",
    "judge_prompts",
)


def _processes(settings: BuildSettings) -> int:
    return settings.workers if settings.device == "cpu" else multiprocessing.cpu_count()


def _run_stage(name: str, stage: Stage, folder: BuildFolder, settings: BuildSettings) -> None:
    """Run one stage unless it is done, and note what it took, interrupted earlier runs of it included."""
    note = folder.stage(name) / "done.json"
    if note.exists():
        print(f"[{name}] already done", file=sys.stderr)
        return
    print(f"[{name}] started", file=sys.stderr, flush=True)
    spent = folder.stage(name) / "seconds.txt"
    earlier = float(spent.read_text()) if spent.exists() else 0.0
    started = time.time()
    try:
        stage(folder, settings)
    finally:
        spent.write_text(f"{earlier + time.time() - started:.1f}")
    machine = (
        torch.cuda.get_device_name() if settings.device == "cuda" else f"{settings.workers} cores of a CPU"
    )
    seconds = round(float(spent.read_text()))
    facts = {"seconds": seconds, "machine": machine, "system": platform.platform()}
    note.write_text(json.dumps({**facts, "settings": asdict(settings)}, indent=2))
    print(f"[{name}] done in {seconds / 60:.1f} min", file=sys.stderr, flush=True)


def _run_alone(name: str, stage: Stage, folder: BuildFolder, settings: BuildSettings) -> None:
    """In a process of its own: one thread, one worker."""
    torch.set_num_threads(1)
    _run_stage(name, stage, folder, replace(settings, workers=1))


def build(folder: BuildFolder, settings: BuildSettings, only: tuple[str, ...] = STAGE_NAMES) -> None:
    """Run the named stages in order; independent ones side by side on a CPU with several workers."""
    for group in STAGES:
        wanted = {name: stage for name, stage in group.items() if name in only}
        if len(wanted) < 2 or settings.workers == 1 or settings.device != "cpu":
            for name, stage in wanted.items():
                _run_stage(name, stage, folder, settings)
            continue
        context = multiprocessing.get_context("spawn")
        processes = [
            context.Process(target=_run_alone, args=(n, s, folder, settings)) for n, s in wanted.items()
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        if any(process.exitcode for process in processes):
            raise SystemExit("a stage failed; its message is above. Run the same command again to resume")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `build-mini`."""
    parser.add_argument(
        "--output", type=Path, default=Path("build/mini"), help="working folder, resumed if it exists"
    )
    parser.add_argument("--profile", choices=tuple(PROFILES), default="cpu", help="how much of everything")
    parser.add_argument(
        "--stages", default=",".join(STAGE_NAMES), help="comma-separated; default: all of them"
    )
    parser.add_argument(
        "--photos", type=Path, help="real photos: parquet (image, label) or folder of labelled folders"
    )
    parser.add_argument(
        "--start-from",
        type=Path,
        metavar="MODEL",
        help="go on from this finished model, for example sdxl_lora/assets/mini; only UNet and judge are trained",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="N",
        help="train VAE and UNet anew within N minutes of wall-clock time, on the text encoders of --start-from;"
        " a second call with the same --output goes on",
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything")
    for name in ADJUSTABLE:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, help="instead of the profile's")
    parser.add_argument("--no-compile", action="store_true", help="do not compile the UNet")
    parser.add_argument(
        "--freeze-lowest",
        action="store_true",
        help="with --start-from: train the UNet's finer levels and its attention only, a third of its weights",
    )
    parser.add_argument(
        "--evaluate",
        action="store_true",
        help="only judge the trained model, measure how far it is from renders, and print the table",
    )


def timed_settings(arguments: argparse.Namespace) -> TimedSettings:
    """What `--minutes` does on this machine."""
    settings = TIMED["cuda" if torch.cuda.is_available() else "cpu"]
    workers = max(1, cores() - 2 if settings.device == "cuda" else cores() - 1)
    compiled = settings.compile and not arguments.no_compile
    return replace(
        settings,
        minutes=arguments.minutes,
        seed=arguments.seed,
        workers=workers,
        compile=compiled,
        unet_freeze_lowest=arguments.freeze_lowest,
    )


def run(arguments: argparse.Namespace) -> int:
    """Build, or only evaluate; returns the exit code."""
    names = tuple(arguments.stages.split(","))
    for name in names:
        if name not in STAGE_NAMES:
            raise UnknownNameError("stage", name, STAGE_NAMES)
    settings = replace(PROFILES[arguments.profile], seed=arguments.seed)
    for name in ADJUSTABLE:
        if (value := getattr(arguments, name)) is not None:
            settings = replace(settings, **{name: value})
    if arguments.no_compile:
        settings = replace(settings, compile=False)
    if arguments.freeze_lowest:
        settings = replace(settings, unet_freeze_lowest=True)
    folder = BuildFolder(root=arguments.output)
    if arguments.photos:
        import_photos(arguments.photos, folder.pictures / "photos", size=settings.size)
    if arguments.start_from:
        start_from(arguments.start_from, folder)
        settings = shaped_like(folder, settings)
    if arguments.minutes:
        build_within(folder, timed_settings(arguments))
        return 0
    if arguments.evaluate:
        judge_model(folder, settings)
        print(f"written to {report_path(folder)}", file=sys.stderr)
        return 0
    build(folder, settings, names)
    return 0
