"""How good the trained model is: one picture for each of 300 unseen scenes, judged and compared with renders.

The judge says how well pictures follow their prompts, `mini.gap` how far they are from renders. The scenes have
combinations that training never showed. Real renders of the same scenes are judged too: no model can
be expected to do better than those, and where they fail the judge is at fault, not the model.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionXLPipeline
from numpy.typing import NDArray
from tqdm import tqdm

from sdxl_lora.evaluation.statistics import wilson_ci95
from sdxl_lora.mini.attributes import CLASSES, NONE, targets
from sdxl_lora.mini.captions import caption
from sdxl_lora.mini.dataset import to_pixels
from sdxl_lora.mini.gap import Row, measure_gap
from sdxl_lora.mini.judge import Judge, load_judge
from sdxl_lora.mini.pipeline import pictures
from sdxl_lora.mini.renderer import render
from sdxl_lora.mini.scene import Scene, sample_scene
from sdxl_lora.mini.settings import BuildFolder, BuildSettings
from sdxl_lora.mini.sheets import CLEANUP, GUIDANCE, GUIDANCE_END, STEPS, save_sheet

PROMPT_SEED = 2026  # of the scenes that are judged
FORMS = {
    "share": "{:.1%}",
    "ratio": "{:.2f}",
    "number": "{:.3g}",
}  # unit of a row -> how its values are printed

# Row of the table -> least share. Emblem rows count pictures whose prompt asks for an emblem.
BARS = {
    "garment": 0.97,
    "colour": 0.97,
    "setting": 0.97,
    "pattern": 0.95,
    "presentation": 0.95,
    "emblem shape": 0.90,
    "emblem position": 0.95,
    "emblem colour": 0.92,
    "no emblem where none was asked": 0.97,
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
    cleanup: int = CLEANUP,
) -> dict[str, Row]:
    """Generate one picture per held-out scene, judge it and its real render, and measure how far they are apart.

    Writes `report.json` and the sheets `generated.jpg` and `critic.jpg`. Returns row -> `generated`, `renders`,
    `pictures`, and where there are any `unit` (`share` unless it is said), `ci95`, `bar` and `bar_is`, the least or
    the most. Besides generating it takes about two minutes on two cores.
    """
    stage, judge = folder.stage("evaluation"), load_judge(folder)
    scenes = judged_scenes(settings.judge_prompts)
    words = random.Random(PROMPT_SEED)
    prompts = [caption(scene, words, full=True) for scene in scenes]
    images = []
    for start in tqdm(range(0, len(prompts), 4), unit="batch", desc="judge", disable=None):
        part = prompts[start : start + 4]
        images += pictures(
            pipeline,
            part,
            seed=PROMPT_SEED + start,
            guidance=guidance,
            end=end,
            cleanup=cleanup,
            steps=STEPS,
        )
    save_sheet(images[:64], stage / "generated.jpg")
    made = np.stack([np.asarray(image) for image in images])
    renders = np.stack([render(scene, settings.size) for scene in scenes])
    table = {
        **_judged_rows(verdict(judge, made, scenes), verdict(judge, renders, scenes)),
        **measure_gap(judge, made, renders, scenes, stage),
    }
    report = {
        "guidance": guidance,
        "guidance_end": end,
        "cleanup_timestep": cleanup,
        "steps": STEPS,
        "prompts": len(prompts),
        "table": table,
    }
    report_path(folder).write_text(json.dumps(report, indent=2))
    return table


def _judged_rows(generated: Verdict, renders: Verdict) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for row, share in generated.shares.items():
        count = generated.counts[row]
        rows[row] = {
            "generated": round(share, 4),
            "renders": round(renders.shares[row], 4),
            "pictures": count,
        }
        if count:
            rows[row]["ci95"] = [round(end, 4) for end in wilson_ci95(round(share * count), count)]
        if row in BARS:
            rows[row] |= {"bar": BARS[row], "bar_is": "least"}
    return rows


def format_table(table: Mapping[str, Row]) -> str:
    """The report's table as Markdown; also of reports that an earlier version wrote, without intervals."""
    lines = [
        "| what | generated | 95 % interval | real renders | bar | pictures |",
        "|---|---|---|---|---|---|",
    ]
    for row, values in table.items():
        form = FORMS[str(values.get("unit", "share"))]
        ends = values.get("ci95")
        interval = " to ".join(form.format(end) for end in ends) if isinstance(ends, list) else ""
        renders = form.format(values["renders"]) if "renders" in values else ""
        bar = f"at {values.get('bar_is', 'least')} {form.format(values['bar'])}" if "bar" in values else ""
        lines.append(
            f"| {row} | {form.format(values['generated'])} | {interval} | {renders} | {bar} | {values['pictures']} |"
        )
    return "\n".join(lines)


def report_path(folder: BuildFolder) -> Path:
    """Where `evaluate` wrote its table."""
    return folder.stage("evaluation") / "report.json"
