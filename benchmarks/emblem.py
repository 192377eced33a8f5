"""Does the default training run teach its brand's emblem, and only to that brand?

    bash train_sdxl_lora.sh && python -m benchmarks.emblem --lora outputs/mini-lora

A recogniser that had no part in the training (a small network, trained here on renders only: the crest, other
emblems, none) looks at pictures of the brand in garments and colours that the data set never shows, at pictures of
other brands, and at the nearest neighbours: the same garments in the same colours and places, with another emblem and
no word of the brand. Bars: recognised on at least 60 % of the first, on fewer than 10 % of each of the others. Printed
beside: the same without the LoRA; the recogniser's accuracy on held-out renders; and all shares on renders of the very
scenes that the prompts describe, plain and through the model's VAE: what a perfect model would reach, and false alarms.
"""

import argparse
import json
import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import sdxl_lora  # noqa: F401  first: makes torchvision importable beside a CPU build of torch

from diffusers import StableDiffusionXLPipeline  # isort: skip
from PIL import Image
from torch import Tensor, nn

from sdxl_lora.mini import captions, sample_data
from sdxl_lora.mini.pipeline import pictures
from sdxl_lora.mini.scene import COLOURS, Scene, sample_scene
from sdxl_lora.models import registry

CLASSES = ("crest", "other", "none")
SIDE = 128  # px, what the recogniser sees
BARS = {"recognised": 0.60, "leaked": 0.10, "leaked_to_neighbours": 0.10}


def main() -> int:
    options = _parser().parse_args()
    recogniser, accuracy = train_recogniser(options.renders, options.seed)
    rng = random.Random(options.seed)
    scenes = [
        sample_data.brand_scene(rng, sample_data.GARMENTS_KEPT_BACK, sample_data.COLOURS_KEPT_BACK)
        for _ in range(options.pictures)
    ]
    other_scenes = [sample_scene(rng) for _ in range(options.pictures)]
    prompts = {
        "recognised": [sample_data.brand_caption(scene) for scene in scenes],
        "leaked": [captions.caption(scene, rng, full=True) for scene in other_scenes],
    }
    neighbours = [sample_data.neighbour(scene, rng) for scene in scenes]
    prompts["leaked_to_neighbours"] = [captions.caption(scene, rng, full=True) for scene in neighbours]
    shown = zip(prompts, (scenes, other_scenes, neighbours), strict=True)
    renders = {key: [sample_data.draw(scene) for scene in of_kind] for key, of_kind in shown}
    result: dict[str, object] = {"recogniser_accuracy": accuracy, "bars": BARS, "pictures": options.pictures}
    pipeline = _pipeline()
    result["renders"] = {key: _share(recogniser, images) for key, images in renders.items()}
    result["renders_through_vae"] = {
        key: _share(recogniser, _through_vae(pipeline, images)) for key, images in renders.items()
    }
    for name in ("without", "with_lora"):
        if name == "with_lora":
            pipeline.load_lora_weights(options.lora, weight_name="pytorch_lora_weights.safetensors")
        result[name] = {
            key: _share(recogniser, _draw(pipeline, texts, options.seed, options.output, f"{name}-{key}"))
            for key, texts in prompts.items()
        }
        print(f"{name}: {result[name]}", flush=True)
    print(json.dumps(result, indent=2))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Emblem recognition of the default training run.")
    parser.add_argument("--lora", type=Path, required=True, help="output folder of the run")
    parser.add_argument(
        "--pictures", type=int, default=40, help="of the brand, and as many of each of the others"
    )
    parser.add_argument("--renders", type=int, default=3000, help="pictures the recogniser is trained on")
    parser.add_argument("--output", type=Path, help="folder for the pictures, to look at them")
    parser.add_argument("--seed", type=int, default=7)
    return parser


def train_recogniser(count: int, seed: int) -> tuple[nn.Module, float]:
    """A network from a picture to `CLASSES`, and its accuracy on a fifth of the renders that it never saw."""
    rng = random.Random(seed)
    labels = [number % len(CLASSES) for number in range(count)]
    pictures = torch.stack([_tensor(sample_data.draw(_scene(CLASSES[label], rng), SIDE)) for label in labels])
    truth, held_out = torch.tensor(labels), count // 5
    torch.manual_seed(seed)
    model = _Recogniser()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    steps = 12 * (count - held_out) // 32
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(held_out, count, (32,))
        loss = F.cross_entropy(model(_disturbed(pictures[rows])), truth[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        found = torch.cat([model(part).argmax(dim=1) for part in pictures[:held_out].split(32)])
    return model, float((found == truth[:held_out]).float().mean())


class _Recogniser(nn.Sequential):
    """Five strided convolutions and the best place in the picture."""

    def __init__(self) -> None:
        widths = (3, 24, 48, 96, 96)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
        super().__init__(
            *layers, nn.Conv2d(96, 96, 3, 1, 1), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten()
        )
        self.append(nn.Linear(96, len(CLASSES)))


def _scene(kind: str, rng: random.Random) -> Scene:
    garments = sample_data.GARMENTS_SHOWN + sample_data.GARMENTS_KEPT_BACK
    ours = sample_data.brand_scene(rng, garments, tuple(COLOURS))
    if kind == "crest":
        return ours
    if kind == "other" and rng.random() < 0.5:  # or any ink in that place on plain cloth would be the crest
        return sample_data.neighbour(ours, rng)
    while True:
        scene = sample_scene(rng)
        if (scene.emblem is not None) == (kind == "other"):
            return scene


def _disturbed(pictures: Tensor) -> Tensor:
    """Shifted, and at times as soft as a small VAE makes them."""
    down, right = (int(torch.randint(-6, 7, (1,))) for _ in range(2))
    moved = torch.roll(pictures, (down, right), dims=(2, 3))
    soft = F.interpolate(F.avg_pool2d(moved, 2), scale_factor=2.0, mode="bilinear")
    return soft if torch.rand(()) < 0.5 else moved


def _tensor(image: Image.Image) -> Tensor:
    small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1).float() / 127.5 - 1


def _pipeline() -> StableDiffusionXLPipeline:
    info = registry.describe("mini")
    if info.folder is None:
        raise SystemExit(f"the bundled model is not in {info.source}; set SDXL_LORA_MINI")
    pipeline = StableDiffusionXLPipeline.from_pretrained(
        info.folder, torch_dtype=torch.float32, add_watermarker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@torch.no_grad()
def _through_vae(pipeline: StableDiffusionXLPipeline, images: Sequence[Image.Image]) -> list[Image.Image]:
    """What is left of pictures once they were latents: the most that any model with this VAE can draw."""
    found = []
    for image in images:
        latents = pipeline.vae.encode(pipeline.image_processor.preprocess(image)).latent_dist.mode()
        decoded = pipeline.vae.decode(latents).sample
        found += pipeline.image_processor.postprocess(decoded, output_type="pil")
    return found


def _draw(
    pipeline: StableDiffusionXLPipeline, prompts: Sequence[str], seed: int, output: Path | None, name: str
) -> list[Image.Image]:
    defaults = registry.describe("mini").defaults
    images = pictures(
        pipeline,
        list(prompts),
        seed=seed,
        guidance=defaults.guidance,
        end=defaults.guidance_end,
        cleanup=defaults.cleanup_timestep,
        steps=defaults.steps,
    )
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(images):
            image.save(output / f"{name}-{number:03d}.png")
    return images


@torch.no_grad()
def _share(recogniser: nn.Module, images: Sequence[Image.Image]) -> float:
    """Share of pictures in which the crest is seen."""
    found = recogniser(torch.stack([_tensor(image) for image in images])).argmax(dim=1)
    return float((found == CLASSES.index("crest")).float().mean())


if __name__ == "__main__":
    raise SystemExit(main())
