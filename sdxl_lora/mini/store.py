"""Training examples on the device, as a build within minutes keeps them: pictures first, latents once there is a VAE.

New examples replace the oldest when the store is full, so that a long build never shows a fixed set; from then on one
renderer is enough. Everything a training step draws comes from here without a copy from the host.
"""

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sdxl_lora.mini.gap import PLAIN_GRADIENT
from sdxl_lora.mini.loss_weights import EMBLEM_WEIGHT
from sdxl_lora.mini.optimisation import autocast
from sdxl_lora.mini.stream import CELL, WEIGHT_SCALE, Examples, ExampleStream

EMBLEM_SHARE = 0.7  # of a UNet batch: shapes of emblems are learned last, so they are shown more
ENCODED_AT_ONCE = 32  # pictures


@dataclass(frozen=True)
class LatentBatch:
    """One batch for the UNet, on the device."""

    latents: Tensor  # (N, 4, h, w), unit variance
    weights: Tensor  # (N, 1, h, w)
    flat: Tensor  # (N, 1, h, w) bool, see `flat_cells`
    ids: Tensor  # (N, 77) of the first tokenizer
    ids_2: Tensor  # (N, 77) of the second

    def joined(self, other: "LatentBatch") -> "LatentBatch":
        """Both, one after the other."""
        return LatentBatch(*(torch.cat(pair) for pair in zip(self._tensors(), other._tensors(), strict=True)))

    def exchanged(self, rows: Tensor, other: "LatentBatch") -> "LatentBatch":
        """With the rows (N,) bool of `other`, which is as long."""
        pairs = zip(self._tensors(), other._tensors(), strict=True)
        return LatentBatch(
            *(torch.where(rows.view(-1, *[1] * (mine.ndim - 1)), theirs, mine) for mine, theirs in pairs)
        )

    def chosen(self, rows: Tensor) -> "LatentBatch":
        """These rows (M,), in this order."""
        return LatentBatch(*(tensor[rows] for tensor in self._tensors()))

    def _tensors(self) -> tuple[Tensor, ...]:
        return self.latents, self.weights, self.flat, self.ids, self.ids_2


class ExampleStore:
    """Holds up to `capacity` examples of `size` px; pictures only until `encode_with` has a VAE to encode them."""

    def __init__(self, stream: ExampleStream, *, device: str, capacity: int) -> None:
        self.stream, self.device, self.capacity = stream, device, capacity
        self.count = 0  # examples held
        self.seen = 0  # examples taken over in all
        self.latents: Tensor | None = None
        self.scaling = 1.0  # latents are multiplied by it
        self._vae: AutoencoderKL | None = None
        self._pictures: list[Tensor] = []
        self._centres: list[NDArray[np.float32]] = []
        self._weights: Tensor | None = None
        self._flat: Tensor | None = None
        self._tokens: Tensor | None = None
        self._emblem = np.zeros(capacity, bool)
        self._with_emblem = self._plain = torch.zeros(0, dtype=torch.long)

    def fill(self, least: int = 0) -> None:
        """Wait until `least` examples are held (at most `capacity`), and take over what is ready."""
        self.take()
        while self.count < min(least, self.capacity):
            self.stream.wait()
            self.take()

    def take(self, seconds: float = math.inf) -> None:
        """Take over what is ready, and no more once `seconds` have passed."""
        began, before = time.monotonic(), self.seen
        for examples in self.stream.ready():
            self._add(examples)
            if time.monotonic() - began > seconds:
                break
        if self.seen == before:
            return
        held = self._emblem[: self.count]
        self._with_emblem = torch.from_numpy(np.flatnonzero(held)).to(self.device)
        self._plain = torch.from_numpy(np.flatnonzero(~held)).to(self.device)
        if self.count == self.capacity:
            self.stream.ease()

    def pictures(self) -> tuple[Tensor, NDArray[np.float32]]:
        """All pictures (N, H, W, 3) uint8, and the emblems' centres (N, 2) as (row, column) in px, NaN without one."""
        return torch.cat(self._pictures), np.concatenate(self._centres)

    def encode_with(self, vae: AutoencoderKL, scaling: float | None = None) -> None:
        """From now on keep latents, of the pictures held and of all that come, and no pictures.

        `scaling`: what a UNet already knows; None: such that the latents have unit variance.
        """
        self._vae = vae
        encoded = torch.cat([self._encode(chunk) for chunk in self._pictures])
        self.scaling = scaling or 1 / float(encoded.float().std())
        self._pictures, self._centres = [], []
        shape = (self.capacity, *encoded.shape[1:])
        self.latents = torch.empty(shape, dtype=torch.float16, device=self.device)
        self.latents[: self.count] = encoded * self.scaling

    def draw(self, count: int) -> LatentBatch:
        """A random batch; `EMBLEM_SHARE` of it shows an emblem."""
        if self.latents is None or self._weights is None or self._flat is None or self._tokens is None:
            raise RuntimeError("the store has no latents yet; call encode_with first")
        marked = round(count * EMBLEM_SHARE)
        chosen = torch.cat([_pick(self._with_emblem, marked), _pick(self._plain, count - marked)])
        caption = torch.randint(self._tokens.shape[1], (count,), device=self.device)
        tokens = self._tokens[chosen, caption].long()
        weights = self._weights[chosen].float()[:, None] / WEIGHT_SCALE
        flat = self._flat[chosen].float()
        latents = self.latents[chosen].float()
        return LatentBatch(
            latents,
            F.interpolate(weights, size=latents.shape[-2:]),
            F.interpolate(flat, size=latents.shape[-2:]) > 0,
            tokens[:, 0],
            tokens[:, 1],
        )

    def _add(self, examples: Examples) -> None:
        """Append, or replace the oldest."""
        pictures = torch.from_numpy(examples.pictures).to(self.device)
        flat = flat_cells(pictures, CELL)
        if self._weights is None or self._flat is None or self._tokens is None:
            self._weights = _room_for(examples.weights, self.capacity, self.device)
            self._flat = torch.empty((self.capacity, *flat.shape[1:]), dtype=torch.bool, device=self.device)
            self._tokens = _room_for(examples.tokens, self.capacity, self.device)
        if self._vae is None and self.count + len(pictures) > self.capacity:
            return  # full before there is a VAE: the pictures held are plenty
        start = self.seen % self.capacity
        place = torch.arange(start, start + len(pictures)) % self.capacity
        there = place.to(self.device)
        self._flat[there] = flat
        self._weights[there] = torch.from_numpy(examples.weights).to(self.device)
        self._tokens[there] = torch.from_numpy(examples.tokens).to(self.device)
        self._emblem[place.numpy()] = examples.emblem
        if self._vae is None or self.latents is None:
            self._pictures.append(pictures)
            self._centres.append(emblem_centres(examples.weights))
        else:
            self.latents[there] = self._encode(pictures) * self.scaling
        self.seen += len(pictures)
        self.count = min(self.capacity, self.count + len(pictures))

    @torch.no_grad()
    def _encode(self, pictures: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 -> (N, 4, h, w) float16 means of the posterior, not scaled."""
        if self._vae is None:
            raise RuntimeError("no VAE")
        means = []
        for part in pictures.split(ENCODED_AT_ONCE):
            with autocast(self.device):
                means.append(self._vae.encode(pixels_of(part)).latent_dist.mode())
        return torch.cat(means).half()


def pixels_of(pictures: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float32 in -1..1, channels last."""
    return pictures.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def flat_cells(pictures: Tensor, cell: int, steepest: float = PLAIN_GRADIENT) -> Tensor:
    """(N, 1, H / cell, W / cell) bool: cells of pictures (N, H, W, 3) uint8 with hardly a gradient, in sRGB steps per
    px on average; the same as `mini.gap` counts as plain."""
    grey = pictures.float().mean(3)[:, None]
    across = grey.new_tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])[None, None] / 8
    padded = F.pad(grey, (1, 1, 1, 1), mode="reflect")
    slope = torch.hypot(F.conv2d(padded, across), F.conv2d(padded, across.mT))
    return F.avg_pool2d(slope, cell) < steepest


def emblem_centres(weights: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 2) centre (row, column), in px, of the cells that weigh as an emblem's box does; NaN where none does."""
    heavy = weights == round(EMBLEM_WEIGHT * WEIGHT_SCALE)
    centres = np.full((len(weights), 2), np.nan, np.float32)
    for i in np.flatnonzero(heavy.any((1, 2))):
        centres[i] = CELL * (np.argwhere(heavy[i]).mean(0) + 0.5)
    return centres


def _pick(pool: Tensor, count: int) -> Tensor:
    return pool[torch.randint(len(pool), (count,), device=pool.device)]


def _room_for(example: NDArray[np.generic], capacity: int, device: str) -> Tensor:
    like = torch.from_numpy(example[:1])
    return torch.empty((capacity, *example.shape[1:]), dtype=like.dtype, device=device)
