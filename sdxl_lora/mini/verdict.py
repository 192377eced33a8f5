"""How well the trained model follows prompts: the judge's verdict on one picture for each of 300 unseen scenes.

The scenes have combinations that training never showed. Real renders of the same scenes are judged too: no model can
be expected to do better than those, and where they fail the judge is at fault, not the model.
"""

import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionXLPipeline
from numpy.typing import NDArray
from tqdm import tqdm

from sdxl_lora.mini.attributes import CLASSES, NONE, targets
from sdxl_lora.mini.captions import caption
from sdxl_lora.mini.dataset import to_pixels
from sdxl_lora.mini.judge import Judge, load_judge
from sdxl_lora.mini.pipeline import pictures
from sdxl_lora.mini.renderer import render
from sdxl_lora.mini.scene import Scene, sample_scene
from sdxl_lora.mini.settings import BuildFolder, BuildSettings
from sdxl_lora.mini.sheets import GUIDANCE, GUIDANCE_END, STEPS, save_sheet

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


@dataclass(frozen=True)
class Verdict:
    """Row of the table -> share right, and how many pictures that row counts."""

    shares: dict[str, float]
    counts: dict[str, int]


@torch.no_grad()
def verdict(judge: Judge, images: NDArray[np.uint8], scenes: list[Scene]) -> Verdict:
    """Judge NxHxWx3 uint8 pictures against the scenes their prompts described."""
    parts = [judge.predict(to_pixels(images[i : i + 25])) for i in range(0, len(images), 25)]
    seen = {name: torch.cat([part[name] for part in parts]) for name in CLASSES}
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
    end: float = GUIDANCE_END,
) -> dict[str, dict[str, float]]:
    """Generate one picture per held-out scene, judge it and its real render; writes `report.json` and two sheets."""
    stage, judge = folder.stage("evaluation"), load_judge(folder)
    scenes = judged_scenes(settings.judge_prompts)
    words = random.Random(PROMPT_SEED)
    prompts = [caption(scene, words, full=True) for scene in scenes]
    images = []
    for start in tqdm(range(0, len(prompts), 4), unit="batch", desc="judge", disable=None):
        part = prompts[start : start + 4]
        images += pictures(pipeline, part, seed=PROMPT_SEED + start, guidance=guidance, end=end, steps=STEPS)
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
        json.dumps({"guidance": guidance, "guidance_end": end, "steps": STEPS, "table": table}, indent=2)
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
