"""Writes the finished model folder: what `sdxl_lora/assets/mini` holds, with its model card.

Everything is stored in fp16, the UNet with the precision of bf16. The text encoders' configurations name float32,
because transformers loads in the type the configuration names while diffusers loads UNet and VAE as fp32, and a
pipeline of both kinds could not run.
"""

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import nn
from transformers import CLIPModel, CLIPProcessor, PreTrainedModel

from sdxl_lora.mini import captions
from sdxl_lora.mini.autoencoder import held_out_psnr
from sdxl_lora.mini.pipeline import make_pipeline
from sdxl_lora.mini.scene import GARMENTS, sample_scene
from sdxl_lora.mini.settings import TOLD, BuildFolder, BuildSettings
from sdxl_lora.mini.sheets import CLEANUP, GUIDANCE, GUIDANCE_END, STEPS
from sdxl_lora.mini.verdict import format_table, report_path
from sdxl_lora.models.capabilities import split

HISTORY = "build.json"  # in the finished model: how every part of it came about
EARLIER = "earlier.json"  # in a stage's folder: the runs of the model that a build started from

CAPTIONS_HEARD = 20_000  # more have no word that these have not
SHOWN_PHOTOS = ("clip", "vision", "vae")  # stages that also train on real photos, where some were given

CARD = """---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
---
# mini: a miniature SDXL for clothing pictures

Same classes as SDXL (`StableDiffusionXLPipeline`: two CLIP text encoders, UNet with `text_time`, `AutoencoderKL`,
Euler), {size}x{size} px, trained from nothing by this project on pictures its own renderer draws. It knows
{garments} garments, {colours} colours, {patterns} patterns, {emblems} emblems and {settings} settings, and ignores
words it does not know. It is made to try every feature of the studio without a GPU or a download, not to replace SDXL:
its pictures are drawings of garments, not photographs, and it draws no people's faces, no text and no real brand.

Made by `python -m sdxl_lora build-mini {how}` with seed {seed}; {pictures} rendered pictures{photos}.

| stage | minutes | machine | steps |
|---|---|---|---|
{stages}

A stage that stands here twice was trained on from an earlier model (`--start-from`). Minutes are wall clock,
interrupted runs added up; for the bundled weights `docs/log.md` says what else the machine did meanwhile, and what was
changed on the way.

VAE: {psnr:.2f} dB PSNR on held-out renders.

## How well it follows prompts
A classifier that was trained on other renders only, and had no part in making the model, judged one picture for each of
{prompts} prompts with combinations that training never showed ({steps} steps, guidance {guidance} on the first
{end:.0%} of the way, cleaned up at timestep {cleanup}).
`python -m sdxl_lora build-mini --evaluate` prints this table.

{table}

Frechet distance and KID are to be read against the column of renders only (the same scenes with other seeds): sets that
show the same scenes are no independent samples.
"""


def package(folder: BuildFolder, settings: BuildSettings) -> None:
    """Write the pipeline, the scoring CLIP, `studio.json` (defaults and capabilities) and the model card."""
    target = folder.model
    unet = UNet2DConditionModel.from_pretrained(folder.stage("unet") / "unet")
    pipeline = make_pipeline(folder, unet)
    pipeline.save_pretrained(target)
    for name in ("text_encoder", "text_encoder_2"):
        save_half_loaded_as_single(getattr(pipeline, name), target / name)
    round_weights(pipeline.unet)
    pipeline.unet.to(torch.float16).save_pretrained(target / "unet")
    pipeline.vae.to(torch.float16).save_pretrained(target / "vae")
    CLIPModel.from_pretrained(folder.stage("vision") / "clip").half().save_pretrained(target / "clip")
    CLIPProcessor.from_pretrained(folder.stage("vision") / "clip").save_pretrained(target / "clip")
    defaults = {
        "steps": STEPS,
        "guidance": GUIDANCE,
        "guidance_end": GUIDANCE_END,
        "cleanup_timestep": CLEANUP,
        "width": settings.size,
        "height": settings.size,
        "capabilities": capabilities(),
    }
    (target / "studio.json").write_text(json.dumps(defaults, indent=2) + "\n")
    history = build_history(folder)
    (target / HISTORY).write_text(json.dumps(history, indent=1) + "\n")
    (target / "README.md").write_text(model_card(folder, settings, history))
    for path in target.rglob("config.json"):
        forget_origin(path)


def forget_origin(path: Path) -> None:
    """Leave out of a configuration where on the building machine its weights were loaded from."""
    config = json.loads(path.read_text())
    if config.pop("_name_or_path", None) is not None:
        path.write_text(json.dumps(config, indent=2) + "\n")


def capabilities() -> dict[str, Any]:
    """What the model can do (see `models.capabilities`): the words of its captions, the garments of its scenes."""
    rng = random.Random(0)
    heard = (captions.caption(sample_scene(rng), rng, full=i % 5 == 0) for i in range(CAPTIONS_HEARD))
    words = {word for sentence in heard for word in split(sentence)}
    products = {
        garment: sorted(
            {name.lower() for kind in captions.GARMENT_WORDS[garment] for name in kind} - {garment}
        )
        for garment in GARMENTS
    }
    return {
        "letters": False,
        "people": False,
        "products_per_picture": 1,
        "judge": "clip",
        "products": products,
        "words": sorted(words),
    }


@torch.no_grad()
def round_weights(module: nn.Module) -> None:
    """Leave the weights 8 significant bits, as bf16 has them and as the studio runs the UNet on CPUs.

    Stored in fp16 the lowest bits are then zeros, which a repository packs: 24 instead of 29 MB for each new UNet.
    """
    for weights in module.parameters():
        weights.copy_(weights.to(torch.bfloat16))


def save_half_loaded_as_single(model: PreTrainedModel, folder: Path) -> None:
    """Save weights in fp16 that a plain `from_pretrained` gives back as fp32."""
    model.half().save_pretrained(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "dtype": "float32"}, indent=2) + "\n")


def build_history(folder: BuildFolder) -> dict[str, list[dict[str, Any]]]:
    """Stage -> the runs that made what it is, oldest first: those of the model it started from, then this build's.

    VAE and UNet of a build within minutes are new, whatever model gave it its text encoders. Raises
    `FileNotFoundError` if a stage did not run.
    """
    history = {}
    photos = any((folder.pictures / "photos").glob("*.npy"))
    timed = (folder.stage("unet") / TOLD).exists()
    for name in ("pictures", "tokenizers", "clip", "vision", "vae", "judge", "latents", "unet"):
        stage = folder.stage(name)
        done = stage / "done.json"
        shown = {"photos": True} if photos and name in SHOWN_PHOTOS else {}
        note = json.loads(done.read_text()) if done.exists() else {}
        trained_in_steps = note and "taken_over_from" not in note
        told = json.loads((stage / TOLD).read_text()) if (stage / TOLD).exists() else {}
        if told and "taken_over_from" not in told and not trained_in_steps:
            counted = {key: told[key] for key in ("steps", "examples", "shards", "photos") if key in told}
            run = {"seconds": told["seconds"], "machine": told["machine"], "timed": True, **counted, **shown}
            history[name] = [run]
            continue
        if not note and not (timed and name == "latents"):  # encoded as they came
            raise FileNotFoundError(done)
        history[name] = json.loads((stage / EARLIER).read_text()) if (stage / EARLIER).exists() else []
        if trained_in_steps:
            steps = note["settings"].get(f"{name}_steps")
            counted = {} if steps is None else {"steps": steps}
            history[name].append({"seconds": note["seconds"], "machine": note["machine"], **counted, **shown})
    return history


def model_card(
    folder: BuildFolder, settings: BuildSettings, history: Mapping[str, Sequence[Mapping[str, Any]]]
) -> str:
    """The card, from what the stages noted; raises `FileNotFoundError` if one of them did not run."""
    from sdxl_lora.mini import scene

    report = json.loads(report_path(folder).read_text())
    rows = [
        f"| {name} | {run['seconds'] / 60:.0f} | {run['machine']} | {run.get('steps', '')} |"
        for name, runs in history.items()
        for run in runs
    ]
    photos = any(run.get("photos") for runs in history.values() for run in runs)
    how, pictures = f"--profile {_profile_name(settings)}", settings.pictures
    if (told := folder.stage("unet") / TOLD).exists():
        note = json.loads(told.read_text())
        taken_over = "taken_over_from" in note  # a model from its minutes, trained on
        how = "--start-from MODEL" if taken_over else f"--minutes {note['settings']['minutes']:g}"
        pictures = note["examples"]
    return CARD.format(
        size=settings.size,
        garments=len(scene.GARMENTS),
        colours=len(scene.COLOURS),
        patterns=len(scene.PATTERNS),
        emblems=len(scene.EMBLEMS),
        settings=len(scene.SETTINGS),
        how=how,
        seed=settings.seed,
        pictures=f"{pictures:,}",
        photos=" and real CC0 photos (for VAE and CLIP)" if photos else "",
        stages="\n".join(rows),
        psnr=held_out_psnr(folder, settings),
        prompts=settings.judge_prompts,
        steps=report["steps"],
        guidance=report["guidance"],
        end=report["guidance_end"],
        cleanup=report["cleanup_timestep"],
        table=format_table(report["table"]),
    )


def _profile_name(settings: BuildSettings) -> str:
    return "gpu" if settings.device == "cuda" else "cpu"


def folder_bytes(folder: Path) -> int:
    """Size of all files under `folder`, in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
