"""The UNet learns on its own way from noise to picture, and not only on renders with noise.

While it draws, a UNet sees what it has made of the steps before, with the mistakes that it made there; in training it
sees renders, without any (exposure bias, arXiv 2301.11706 and 2308.15321). A small one leaves mottle in flat regions
that way: it takes yesterday's error for a part of the picture. So a good part of every batch are rollouts: renders
with the noise of a random timestep, from which the UNet goes on in the steps of Euler's method as it does when it
draws. What it is asked for at each of them is the render itself. The prediction that the loss is taken of is the one
the rollout goes on with, so that a rollout costs no pass of its own. At its end its finished latents come once more,
without noise and with a timestep that says they had some: the cleanup step (`generation.engine`).

Mottle is small beside edges, and squared errors hardly see it. Where the render is flat there is a second loss, of the
logarithm of how much neighbouring cells differ: an error of half the size is worth the same whatever the size.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sdxl_lora.mini.batches import CAPTION_DROPOUT
from sdxl_lora.mini.denoiser import levels
from sdxl_lora.mini.store import ExampleStore, LatentBatch

SHARE = 0.7  # of a batch; the others are renders with the noise of any timestep, so that nothing is forgotten
# Timesteps at which rollouts begin. With more noise it is not decided yet what lies where: asked for the render's own
# planks, the UNet unlearns to draw any (docs/log.md).
FIRST = (120, 380)
STEP_SIZES = (33, 50, 100)  # timesteps of a step: of pictures of 30, 20 and 10 steps
STEP_SIZE_SHARES = (0.2, 0.6, 0.2)
LAST = 10  # below this timestep a rollout is at its end
CLEANUP = (60, 160)  # timesteps of cleanup steps
FLAT_UNTIL = 380  # timestep; with more noise it is not known yet what is flat
FLAT_WEIGHT = 0.2
FLAT_UNIT = (
    1e-3  # squared difference of latents of unit variance from which on errors count by their logarithm
)
FLAT_DISTANCES = (1, 2, 4)  # cells
LARGEST_WEIGHT = (
    12.0  # of an error of the predicted latents; 1 / sigma^2 would grow without end towards no noise
)


@dataclass(frozen=True)
class Begun:
    """Where rollouts begin, a row each."""

    drawn: LatentBatch  # `latents` are what they should end in
    dropped: Tensor  # (N,) bool, captions that are left out
    noisy: Tensor  # (N, 4, h, w)
    timesteps: Tensor  # (N,)
    step_sizes: Tensor  # (N,) in timesteps


@dataclass
class Rollouts:
    """Examples on their way from noise to picture, on the device: rows of what the UNet sees next."""

    store: ExampleStore
    alphas: Tensor  # sqrt(alphas_cumprod), (1000,), on the device
    count: int

    def __post_init__(self) -> None:
        begun = self._fresh()
        self._drawn, self._dropped, self._step_sizes = begun.drawn, begun.dropped, begun.step_sizes
        # spread over the way from the first batch on
        gone = torch.rand(self.count, device=self.alphas.device)
        self._timesteps = LAST + (gone * (begun.timesteps - LAST)).long()
        self._noisy = noised(begun.drawn.latents, self._timesteps, self.alphas)
        self._cleaned_up = torch.zeros_like(self._dropped)

    def batch(self, count: int) -> tuple[LatentBatch, Tensor, Tensor, Tensor]:
        """(examples, captions left out (N,), noisy latents (N, 4, h, w), timesteps (N,)) of the next step: the
        rollouts, then `count` renders with noise of any timestep."""
        other = self.store.draw(count)
        timesteps = torch.randint(len(self.alphas), (count,), device=self.alphas.device)
        dropped = torch.rand(count, device=self.alphas.device) < CAPTION_DROPOUT
        noisy = noised(other.latents, timesteps, self.alphas)
        return (
            self._drawn.joined(other),
            torch.cat([self._dropped, dropped]),
            torch.cat([self._noisy, noisy]),
            torch.cat([self._timesteps, timesteps]),
        )

    @torch.no_grad()
    def advance(self, predicted: Tensor) -> None:
        """Go one step on with the finished latents (N, 4, h, w) that the UNet predicted for the rollouts."""
        alpha, sigma = levels(self._timesteps, self.alphas)
        noise = self._carried((self._noisy - alpha * predicted) / sigma)
        following = self._timesteps - self._step_sizes
        at_end = (following < LAST) | self._cleaned_up
        cleaning = at_end & ~self._cleaned_up
        following = torch.where(cleaning, self._between(*CLEANUP), following.clamp(min=0))
        alpha, sigma = levels(following, self.alphas)
        self._noisy = alpha * predicted + sigma * noise * ~cleaning[:, None, None, None]
        self._timesteps = following
        self._begin_anew(at_end & self._cleaned_up)
        self._cleaned_up |= cleaning

    def _fresh(self) -> Begun:
        """Other renders with noise, for all rows."""
        drawn = self.store.draw(self.count)
        timesteps = self._between(*FIRST)
        return Begun(
            drawn,
            torch.rand(self.count, device=self.alphas.device) < CAPTION_DROPOUT,
            noised(drawn.latents, timesteps, self.alphas),
            timesteps,
            self._some_step_sizes(),
        )

    def _carried(self, noise: Tensor) -> Tensor:
        """What of the noise (N, 4, h, w) in the rows goes into the next step."""
        return noise

    def _begin_anew(self, over: Tensor) -> None:
        """Other examples in the rows (N,) whose rollouts are over."""
        fresh = self._fresh()
        self._drawn = self._drawn.exchanged(over, fresh.drawn)
        self._dropped = torch.where(over, fresh.dropped, self._dropped)
        self._step_sizes = torch.where(over, fresh.step_sizes, self._step_sizes)
        self._timesteps = torch.where(over, fresh.timesteps, self._timesteps)
        self._noisy = torch.where(over[:, None, None, None], fresh.noisy, self._noisy)
        self._cleaned_up &= ~over

    def _between(self, low: int, high: int) -> Tensor:
        return torch.randint(low, high, (self.count,), device=self.alphas.device)

    def _some_step_sizes(self) -> Tensor:
        shares = torch.tensor(STEP_SIZE_SHARES, device=self.alphas.device)
        step_sizes = torch.tensor(STEP_SIZES, device=self.alphas.device)
        return step_sizes[torch.multinomial(shares, self.count, replacement=True)]


def noised(latents: Tensor, timesteps: Tensor, alphas: Tensor) -> Tensor:
    """Clean latents (N, 4, h, w) with fresh noise of these timesteps (N,)."""
    alpha, sigma = levels(timesteps, alphas)
    return alpha * latents + sigma * torch.randn_like(latents)


def loss(predicted: Tensor, drawn: LatentBatch, timesteps: Tensor, alphas: Tensor) -> Tensor:
    """Loss of predicted finished latents (N, 4, h, w) of whatever the UNet was shown at these timesteps (N,).

    For a render with noise the first part is the squared error of v (`denoiser.velocity_loss`), as long as sigma is
    not small: v is (alpha * noisy - latents) / sigma.
    """
    error = predicted - drawn.latents
    _, sigma = levels(timesteps, alphas)
    importance = sigma.pow(-2).clamp(max=LARGEST_WEIGHT)
    squared = (importance * drawn.weights * error.pow(2)).sum() / (drawn.weights.sum() * error.shape[1])
    seen = (timesteps < FLAT_UNTIL).float()
    flat = (unevenness(error, drawn.flat) * seen).sum() / seen.sum().clamp(min=1)
    return squared + FLAT_WEIGHT * flat


def unevenness(error: Tensor, flat: Tensor) -> Tensor:
    """(N,) how much errors (N, C, h, w) of cells a little apart differ, where both are `flat` (N, 1, h, w) bool."""
    sums = error.new_zeros(len(error))
    for distance in FLAT_DISTANCES:
        for axis in (2, 3):
            length = error.shape[axis] - distance
            difference = error.narrow(axis, distance, length) - error.narrow(axis, 0, length)
            counted = flat.narrow(axis, distance, length) & flat.narrow(axis, 0, length)
            size = difference.pow(2).mean(1, keepdim=True)
            total = (torch.log1p(size / FLAT_UNIT) * counted).sum((1, 2, 3))
            sums = sums + total / counted.sum((1, 2, 3)).clamp(min=error.shape[-1])
    return sums / (2 * len(FLAT_DISTANCES))
