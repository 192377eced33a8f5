"""Fills a build folder from a finished model, so that a build goes on from it instead of from nothing.

The stages whose results are taken over count as done, with a note of where they came from. The UNet is where training
starts. Heads, optimizers and the judge are not part of a model: the judge is trained again. Whoever wants the picture
tower of the scoring CLIP or the VAE's decoder trained further removes `vision/done.json` or `vae/done.json`.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPModel, CLIPProcessor, CLIPTextModel, CLIPTextModelWithProjection

from sdxl_lora.errors import DataError
from sdxl_lora.mini.package import EARLIER, HISTORY
from sdxl_lora.mini.settings import TOLD, BuildFolder, BuildSettings

TAKEN_OVER = ("tokenizers", "clip", "vae", "vision")


def start_from(model: Path, folder: BuildFolder) -> None:
    """Take over tokenizers, text encoders, VAE, scoring CLIP and UNet of the pipeline folder `model`.

    What the build folder already has stays. Raises `DataError` if `model` is not such a folder.
    """
    if not (model / "model_index.json").is_file() or not (model / HISTORY).is_file():
        raise DataError(
            f"{model} is not a model that build-mini made; name one, for example sdxl_lora/assets/mini"
        )
    if any((folder.stage(name) / "done.json").exists() for name in TAKEN_OVER):
        return
    for name in ("tokenizer", "tokenizer_2"):
        shutil.copytree(model / name, folder.stage("tokenizers") / name, dirs_exist_ok=True)
    single = {"dtype": torch.float32}
    clip = folder.stage("clip")
    CLIPTextModel.from_pretrained(model / "text_encoder", **single).save_pretrained(clip / "text_encoder")
    second = CLIPTextModelWithProjection.from_pretrained(model / "text_encoder_2", **single)
    second.save_pretrained(clip / "text_encoder_2")
    scorer = CLIPModel.from_pretrained(model / "clip", **single)
    for stage in ("clip", "vision"):
        target = folder.stage(stage) / "clip"
        scorer.save_pretrained(target)
        CLIPProcessor.from_pretrained(model / "clip").save_pretrained(target)
    AutoencoderKL.from_pretrained(model / "vae").save_pretrained(folder.stage("vae") / "vae")
    UNet2DConditionModel.from_pretrained(model / "unet").save_pretrained(folder.stage("unet") / "unet")
    for name, runs in json.loads((model / HISTORY).read_text()).items():
        if name in (*TAKEN_OVER, "unet"):
            (folder.stage(name) / EARLIER).write_text(json.dumps(runs))
        if timed := [run for run in runs if run.get("timed")]:  # a build within minutes can go on from it
            (folder.stage(name) / TOLD).write_text(json.dumps({**timed[-1], "taken_over_from": str(model)}))
    scaling = AutoencoderKL.load_config(model / "vae")["scaling_factor"]
    (folder.stage("latents") / "scaling.json").write_text(json.dumps({"scaling_factor": scaling}))
    for name in TAKEN_OVER:
        (folder.stage(name) / "done.json").write_text(json.dumps({"taken_over_from": str(model)}))


def shaped_like(folder: BuildFolder, settings: BuildSettings) -> BuildSettings:
    """`settings` with the channels of the VAE and UNet that were taken over, so that their weights fit."""
    vae = AutoencoderKL.load_config(folder.stage("vae") / "vae")
    unet = UNet2DConditionModel.load_config(folder.stage("unet") / "unet")
    return replace(
        settings,
        vae_channels=tuple(vae["block_out_channels"]),
        unet_channels=tuple(unet["block_out_channels"]),
    )
