"""Batches for the UNet: cached latents, captions drawn afresh, noise. Everything is a function of (seed, step, worker).

Two kinds of steps take turns. In most a batch shows whole pictures; in every third it shows four times as many windows
of a quarter of the picture each, many of them with an emblem somewhere in them, at the same cost. A window says where
it was cut from in the way SDXL's size and crop conditioning has it (arXiv 2307.01952, section 2.2), so that at
generation, asked for an uncropped picture, the model draws one. Emblems are learned last; windows show them about
three times as often in a step. With windows in every other step garments learned nothing (docs/log.md).
"""

import random
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sdxl_lora.mini.captions import caption, photo_caption
from sdxl_lora.mini.dataset import open_photos
from sdxl_lora.mini.latents import load_latents, rendered_scenes
from sdxl_lora.mini.settings import BuildFolder, BuildSettings

CAPTION_DROPOUT = 0.1
FULL_CAPTIONS = 0.4  # share that names every attribute
EMBLEM_SHARE = 0.7  # of the renders in a batch: shapes of emblems are learned last, so they are shown more
AROUND_EMBLEM = (
    0.6  # of the windows hold the emblem; the others lie anywhere, or every part would learn to carry one
)
WINDOWS_EVERY = 3  # of so many steps one shows windows


@dataclass(frozen=True)
class Batch:
    """Clean latents (N, 4, h, w), loss weights (N, 1, h, w), captions, SDXL's six size numbers (N, 6) in px, and the
    noise of this step."""

    latents: Tensor
    weights: Tensor
    captions: list[str]
    sizes: Tensor
    noise: Tensor
    timesteps: Tensor


class BatchSource:
    """Draws batches from the cached latents of renders and photos."""

    def __init__(self, folder: BuildFolder, settings: BuildSettings) -> None:
        self.settings = settings
        self.latents, self.weights = load_latents(folder.stage("latents") / "train")
        self.photos, _ = load_latents(folder.stage("latents") / "photos")
        self.labels = open_photos(folder.pictures / "photos")[1]
        self.scenes = rendered_scenes(folder)
        marked = np.array([scene.emblem is not None for scene in self.scenes])
        self.with_emblem, self.plain = np.flatnonzero(marked), np.flatnonzero(~marked)
        self.factor = 1 / float(self.latents.astype(np.float32).std())

    def draw(self, step: int, rank: int, count: int) -> Batch:
        """The batch of this step and worker, the same whenever it is asked for: `count` pictures, or 4 x windows."""
        chance = np.random.default_rng((self.settings.seed, 3, step, rank))
        words = random.Random((self.settings.seed * 1_000_003 + step) * 64 + rank)
        whole = self.latents.shape[-1]
        windows = self.settings.unet_windows and step % WINDOWS_EVERY == WINDOWS_EVERY - 1
        side = whole // 2 if windows else whole
        latents, weights, captions, corners = [], [], [], []
        for _ in range(4 * count if windows else count):
            latent, weight, text = self._one(chance, words)
            around = chance.random() < AROUND_EMBLEM
            top, left = window_corner(weight if around else np.ones_like(weight), side, chance)
            latents.append(latent[:, top : top + side, left : left + side])
            weights.append(weight[top : top + side, left : left + side])
            captions.append("" if words.random() < CAPTION_DROPOUT else text)
            corners.append((top, left))
        generator = torch.Generator().manual_seed(int(chance.integers(2**62)))
        clean = torch.from_numpy(np.stack(latents)).float() * self.factor
        ends = [(whole, whole, top, left, side, side) for top, left in corners]
        return Batch(
            clean,
            torch.from_numpy(np.stack(weights)).float()[:, None],
            captions,
            torch.tensor(ends, dtype=torch.float32) * self.settings.vae_factor,
            torch.randn(clean.shape, generator=generator),
            torch.randint(0, 1000, (len(clean),), generator=generator),
        )

    def _one(
        self, chance: np.random.Generator, words: random.Random
    ) -> tuple[NDArray[np.float16], NDArray[np.float16], str]:
        """A latent (4, h, w), its weights (h, w) and a caption."""
        if self.labels and chance.random() < self.settings.photo_share:
            i = int(chance.integers(len(self.labels)))
            return self.photos[i], np.ones_like(self.weights[0]), photo_caption(self.labels[i], words)
        pool = self.with_emblem if chance.random() < EMBLEM_SHARE else self.plain
        i = int(chance.choice(pool))
        text = caption(self.scenes[i], words, full=words.random() < FULL_CAPTIONS)
        return self.latents[i], self.weights[i], text


def window_corner(weights: NDArray[np.float16], side: int, chance: np.random.Generator) -> tuple[int, int]:
    """(row, column) of a random window of `side` cells; one that holds all of the heaviest cells, unless all weigh 1.

    Where they do not fit into a window, it holds the first ones.
    """
    heaviest = weights.max()
    corner = []
    for axis, length in enumerate(weights.shape):
        heavy = np.flatnonzero(weights.max(axis=1 - axis) == heaviest) if heaviest > 1 else np.array([])
        lowest, highest = 0, length - side
        if len(heavy):
            highest = min(highest, int(heavy[0]))
            lowest = min(max(0, int(heavy[-1]) + 1 - side), highest)
        corner.append(int(chance.integers(lowest, highest + 1)))
    return corner[0], corner[1]
