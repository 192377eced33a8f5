"""Encodes every training picture once, so that UNet training never runs the VAE.

Beside each latent stands its weight map (`mini.loss_weights`).
"""

import json
import multiprocessing
import os
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from tqdm import tqdm

from sdxl_lora.mini.dataset import RenderedSet, to_pixels
from sdxl_lora.mini.loss_weights import loss_weights
from sdxl_lora.mini.optimisation import autocast, prepare_process
from sdxl_lora.mini.scene import Scene
from sdxl_lora.mini.settings import BuildFolder, BuildSettings


def _encode_shard(task: tuple[Path, Path, Path, str]) -> None:
    source, target, vae_folder, device = task
    prepare_process()
    torch.set_num_threads(1)
    vae = AutoencoderKL.from_pretrained(vae_folder).to(device).eval()
    pictures = np.load(source, mmap_mode="r")
    notes = json.loads(source.with_suffix(".json").read_text())
    means = []
    with torch.no_grad(), autocast(device):
        for start in range(0, len(pictures), 4):
            pixels = to_pixels(pictures[start : start + 4]).to(device, memory_format=torch.channels_last)
            means.append(vae.encode(pixels).latent_dist.mode().float().cpu())
    latents = torch.cat(means).numpy().astype(np.float16)
    side = latents.shape[-1]
    scenes = [Scene.from_dict(note) if "garment" in note else None for note in notes]
    plain = np.ones((side, side), np.float16)
    weights = np.stack([loss_weights(scene, side) if scene else plain for scene in scenes])
    temporary = target.with_suffix(".part")
    with temporary.open("wb") as file:
        np.savez(file, latents=latents, weights=weights)
    os.replace(temporary, target)


def encode_set(source: Path, target: Path, vae_folder: Path, *, device: str, workers: int) -> None:
    """Encode every shard of `source` into `NNNN.npz` (latents N x 4 x h x w and weights N x h x w, float16)."""
    target.mkdir(parents=True, exist_ok=True)
    tasks = []
    for path in sorted(source.glob("*.npy")):
        output = target / f"{path.stem}.npz"
        if not output.exists():
            tasks.append((path, output, vae_folder, device))
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        encoded = pool.imap_unordered(_encode_shard, tasks)
        for _ in tqdm(encoded, total=len(tasks), unit="shard", desc=f"encode {source.name}", disable=None):
            pass


def encode_all(folder: BuildFolder, settings: BuildSettings) -> None:
    """Encode renders and photos with the trained VAE; writes its scaling factor (1 / standard deviation)."""
    vae_folder = folder.stage("vae") / "vae"
    stage = folder.stage("latents")
    for name in ("train", "photos") if settings.photo_share else ("train",):
        source = folder.pictures / name
        if source.exists():
            encode_set(source, stage / name, vae_folder, device=settings.device, workers=settings.workers)
    latents, _ = load_latents(stage / "train")
    factor = 1 / float(latents.astype(np.float32).std())
    (stage / "scaling.json").write_text(json.dumps({"scaling_factor": factor}))


def load_latents(folder: Path) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """All latents (N, 4, h, w) and loss weights (N, h, w) of a set; both empty if it was not encoded."""
    archives = [np.load(path) for path in sorted(folder.glob("*.npz"))]
    if not archives:
        return np.zeros((0, 4, 1, 1), np.float16), np.zeros((0, 1, 1), np.float16)
    return np.concatenate([a["latents"] for a in archives]), np.concatenate([a["weights"] for a in archives])


def rendered_scenes(folder: BuildFolder) -> list[Scene]:
    """The scenes of the training renders, in the order of their latents."""
    return RenderedSet.open(folder.pictures / "train").scenes
