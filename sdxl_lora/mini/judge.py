"""A judge of prompt following that has no part in making the model: a classifier trained on renders only.

Its pictures are drawn from another seed than the model's training set and show every combination, also those the model
is tested on; it shares no weights with the mini CLIP, and
its verdict on real renders of the same scenes is always printed beside its verdict on generated pictures: the ceiling.
"""

import itertools
import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionXLPipeline
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from sdxl_lora.mini.attributes import CLASSES, NONE, AttributeHeads, targets
from sdxl_lora.mini.captions import caption
from sdxl_lora.mini.dataset import RenderedSet, render_set, to_pixels
from sdxl_lora.mini.optimisation import (
    Reporter,
    autocast,
    clip_and_step,
    load_checkpoint,
    prepare_process,
    save_checkpoint,
    warmup_stable_decay,
)
from sdxl_lora.mini.pipeline import pictures
from sdxl_lora.mini.renderer import render
from sdxl_lora.mini.scene import Scene, sample_scene
from sdxl_lora.mini.settings import BuildFolder, BuildSettings
from sdxl_lora.mini.sheets import GUIDANCE, STEPS, save_sheet

BATCH = 32
LEARNING_RATE = 2e-3
JUDGE_SEED = 77  # of its own renders
PROMPT_SEED = 2026  # of the scenes that are judged

# Row of the table -> bar, as a share. Emblem rows count pictures whose prompt asks for an emblem.
BARS = {
    "garment": 0.95,
    "colour": 0.92,
    "setting": 0.95,
    "pattern": 0.88,
    "emblem shape": 0.75,
    "emblem position": 0.90,
}


class Judge(nn.Module):
    """Convolutional classifier of every attribute; about 1.3 M parameters."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 24, 48, 96, 160, 224)
        blocks: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            blocks += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
            if after >= 96:
                blocks += [nn.Conv2d(after, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        self.trunk = nn.Sequential(*blocks)
        self.heads = AttributeHeads(2 * widths[-1])

    def features(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) in -1..1 -> (N, 448): mean and maximum over the picture."""
        maps = self.trunk(pixels)
        return torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1)


def disturbed(pixels: Tensor, chance: np.random.Generator) -> Tensor:
    """Renders a little blurred, shifted in brightness and noisy, so that the judge does not hang on pixels."""
    if chance.random() < 0.5:
        small = F.interpolate(
            pixels, scale_factor=float(chance.uniform(0.5, 0.9)), mode="bilinear", antialias=True
        )
        pixels = F.interpolate(small, size=pixels.shape[-2:], mode="bilinear")
    pixels = pixels * float(chance.uniform(0.9, 1.1)) + float(chance.uniform(-0.05, 0.05))
    return pixels + float(chance.uniform(0, 0.05)) * torch.randn(pixels.shape, device=pixels.device)


def train_judge(folder: BuildFolder, settings: BuildSettings) -> None:
    """Render the judge's own pictures, train on them, and save it."""
    prepare_process()
    torch.manual_seed(JUDGE_SEED)
    stage, device = folder.stage("judge"), settings.device
    count = max(64, settings.pictures // 3)
    render_set(
        stage / "renders",
        count,
        size=settings.size,
        seed=JUDGE_SEED,
        workers=settings.workers,
        held_out=None,
    )
    rendered = RenderedSet.open(stage / "renders")
    judge = Judge().to(device)
    judge.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    optimizer = torch.optim.AdamW(judge.parameters(), weight_decay=0.02, foreach=True)
    start = 0
    if state := load_checkpoint(stage / "checkpoint.pt", device):
        judge.load_state_dict(state["judge"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
    report = Reporter("judge", stage, settings.judge_steps)
    parameters = list(judge.parameters())
    for step in range(start, settings.judge_steps):
        factor = warmup_stable_decay(
            step, total=settings.judge_steps, warmup=50, decay=settings.judge_steps // 2
        )
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * factor
        chance = np.random.default_rng((JUDGE_SEED, step))
        chosen = chance.integers(0, len(rendered), BATCH)
        pixels = to_pixels(rendered.batch(chosen)).to(device).contiguous(memory_format=torch.channels_last)
        wanted = {n: t.to(device) for n, t in targets([rendered.scenes[i] for i in chosen]).items()}
        with autocast(device):
            features = judge.features(disturbed(pixels, chance))
        loss = judge.heads.loss(features.float(), wanted)
        loss.backward()
        clip_and_step(parameters, optimizer, 1.0)
        report(step, loss=loss.item())
        if (step + 1) % 500 == 0 or step + 1 == settings.judge_steps:
            state = {"judge": judge.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            save_checkpoint(stage / "checkpoint.pt", state)
    torch.save(judge.to("cpu").state_dict(), stage / "judge.pt")


def load_judge(folder: BuildFolder) -> Judge:
    """The trained judge, on the CPU."""
    judge = Judge()
    judge.load_state_dict(torch.load(folder.stage("judge") / "judge.pt", weights_only=True))
    return judge.eval()


@dataclass(frozen=True)
class Verdict:
    """Row of the table -> share right, and how many pictures that row counts."""

    shares: dict[str, float]
    counts: dict[str, int]


@torch.no_grad()
def verdict(judge: Judge, images: NDArray[np.uint8], scenes: list[Scene]) -> Verdict:
    """Judge NxHxWx3 uint8 pictures against the scenes their prompts described."""
    parts = [judge.features(to_pixels(images[i : i + 25])) for i in range(0, len(images), 25)]
    seen = judge.heads.predict(torch.cat(parts))
    wanted = targets(scenes)
    asked = wanted["emblem"] != CLASSES["emblem"].index(NONE)
    everywhere = torch.ones_like(asked)
    rows = {
        "garment": ("garment", everywhere),
        "colour": ("colour", everywhere),
        "setting": ("setting", everywhere),
        "pattern": ("pattern", everywhere),
        "presentation": ("presentation", everywhere),
        "emblem shape": ("emblem", asked),
        "emblem position": ("emblem_position", asked),
        "emblem colour": ("emblem_colour", asked),
        "no emblem where none was asked": ("emblem", ~asked),
    }
    shares, counts = {}, {}
    for row, (name, counted) in rows.items():
        right = seen[name].eq(wanted[name])[counted]
        counts[row] = int(counted.sum())
        shares[row] = right.float().mean().item() if counts[row] else float("nan")
    return Verdict(shares, counts)


def judged_scenes(count: int) -> list[Scene]:
    """Scenes with combinations that training never showed; always the same ones."""
    rng = random.Random(PROMPT_SEED)
    return [sample_scene(rng, held_out=True) for _ in range(count)]


def evaluate(
    folder: BuildFolder,
    settings: BuildSettings,
    pipeline: StableDiffusionXLPipeline,
    *,
    guidance: float = GUIDANCE,
) -> dict[str, dict[str, float]]:
    """Generate one picture per held-out scene, judge it and its real render; writes `report.json` and two sheets."""
    stage, judge = folder.stage("evaluation"), load_judge(folder)
    scenes = judged_scenes(settings.judge_prompts)
    words = random.Random(PROMPT_SEED)
    prompts = [caption(scene, words, full=True) for scene in scenes]
    images = []
    for start in tqdm(range(0, len(prompts), 4), unit="batch", desc="judge", disable=None):
        part = prompts[start : start + 4]
        images += pictures(pipeline, part, seed=PROMPT_SEED + start, guidance=guidance, steps=STEPS)
    renders = np.stack([render(scene, settings.size) for scene in scenes])
    generated = verdict(judge, np.stack([np.asarray(image) for image in images]), scenes)
    ceiling = verdict(judge, renders, scenes)
    table = {
        row: {
            "generated": round(generated.shares[row], 4),
            "renders": round(ceiling.shares[row], 4),
            "pictures": generated.counts[row],
            **({"bar": BARS[row]} if row in BARS else {}),
        }
        for row in generated.shares
    }
    (stage / "report.json").write_text(
        json.dumps({"guidance": guidance, "steps": STEPS, "table": table}, indent=2)
    )
    save_sheet(images[:64], stage / "generated.jpg")
    return table


def format_table(table: dict[str, dict[str, float]]) -> str:
    """The judge's table as Markdown."""
    lines = ["| attribute | generated | real renders | bar | pictures |", "|---|---|---|---|---|"]
    for row, values in table.items():
        bar = f"{values['bar']:.0%}" if "bar" in values else ""
        lines.append(
            f"| {row} | {values['generated']:.1%} | {values['renders']:.1%} | {bar} | {values['pictures']} |"
        )
    return "\n".join(lines)


def report_path(folder: BuildFolder) -> Path:
    """Where `evaluate` wrote its table."""
    return folder.stage("evaluation") / "report.json"
