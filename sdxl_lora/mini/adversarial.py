"""Rollouts of pictures that the UNet began itself, from pure noise, and finishes against a critic.

The first part of the way is drawn ahead, as for a user: with guidance, in the steps of the default. Its end are the
prefix latents, from which rollouts go on with gradients. There is no render that they should become. What is asked
of them is that a critic cannot tell them from renders (`mini.latent_critic`), and that they stay, coarsely, what the
UNet made of the same prefix when it was drawn: otherwise they could turn into any picture that looks like a render.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from torch.nn import functional as F

from sdxl_lora.mini.adversary import Adversary
from sdxl_lora.mini.denoiser import CaptionEncoder, levels, predicted_velocity, split
from sdxl_lora.mini.pipeline import make_scheduler
from sdxl_lora.mini.rollouts import Begun, Rollouts
from sdxl_lora.mini.sheets import CLEANUP, GUIDANCE, GUIDANCE_END, STEPS
from sdxl_lora.mini.store import ExampleStore, LatentBatch

SHARE = 0.45  # of a batch; another part are rollouts of renders, so that flat regions stay flat
RENDERS_SHARE = 0.2
PREFIXES = 4  # times as many are drawn ahead as rollouts go on at a time
USES = 8  # of each prefix on average; then others are drawn
HEAD_START = 500  # steps that the critic learns alone, on finished pictures
CRITIC_BATCH = 12
ANCHOR_CELLS = 4  # a side, over which finished latents are averaged before they are compared
ANCHOR_WEIGHT = 30.0
# Of the noise's variance, at some steps: no prefix ends in the same picture again and again.
FRESH_NOISE, FRESH_NOISE_CHANCE = 0.1, 0.3


@dataclass(frozen=True)
class Prefixes:
    """Pictures that the UNet began, and what it made of them, on the device."""

    examples: LatentBatch  # whose captions they are of; `latents` are those that were finished
    noisy: Tensor  # (N, 4, h, w) at `timestep`
    timestep: int  # the first without guidance

    def __len__(self) -> int:
        return len(self.noisy)

    @classmethod
    @torch.no_grad()
    def drawn(
        cls,
        unet: UNet2DConditionModel,
        encode: CaptionEncoder,
        examples: LatentBatch,
        alphas: Tensor,
        sizes: Tensor,
    ) -> Self:
        """Draw a picture of each example's caption. `sizes`: (N, 6), see `Batch`."""
        everywhere = torch.ones(len(examples.ids), dtype=torch.long, device=alphas.device)
        text = encode.encode(examples.ids, examples.ids_2, everywhere == 0)
        empty = (torch.zeros_like(text[0]), torch.zeros_like(text[1]))

        def seen(noisy: Tensor, timestep: int, guidance: float = 1.0) -> tuple[Tensor, Tensor]:
            """(finished latents, noise) of noisy ones."""
            now = timestep * everywhere
            velocity = predicted_velocity(unet, noisy, now, text, sizes)
            if guidance != 1:
                unguided = predicted_velocity(unet, noisy, now, empty, sizes)
                velocity = unguided + guidance * (velocity - unguided)
            return split(noisy, velocity, *levels(now, alphas))

        scheduler = make_scheduler()
        scheduler.set_timesteps(STEPS)
        way = [int(timestep) for timestep in scheduler.timesteps]
        guided = round(GUIDANCE_END * STEPS)
        noisy = prefix = torch.randn_like(examples.latents)
        for step, timestep in enumerate(way):
            if step == guided:
                prefix = noisy
            finished, noise = seen(noisy, timestep, GUIDANCE if step < guided else 1.0)
            alpha, sigma = levels(everywhere * way[min(step + 1, STEPS - 1)], alphas)
            noisy = alpha * finished + sigma * noise
        alpha, _ = levels(CLEANUP * everywhere, alphas)
        cleaned_up, _ = seen(alpha * finished, CLEANUP)
        return cls(replace(examples, latents=cleaned_up), prefix, way[guided])


@dataclass
class AdversarialRollouts(Rollouts):
    """Rollouts that begin at prefix latents."""

    prefixes: Prefixes
    begun: int = 0  # rollouts so far

    @property
    def worn(self) -> bool:
        """Whether every prefix was used so often that others should be drawn."""
        return self.begun > USES * len(self.prefixes)

    def exchange(self, prefixes: Prefixes) -> None:
        """Begin later rollouts at these."""
        self.prefixes, self.begun = prefixes, 0

    def _fresh(self) -> Begun:
        chosen = torch.randint(len(self.prefixes), (self.count,), device=self.alphas.device)
        whole = torch.full_like(chosen, self.prefixes.timestep)
        return Begun(
            self.prefixes.examples.chosen(chosen),
            torch.zeros_like(chosen, dtype=torch.bool),
            self.prefixes.noisy[chosen],
            whole,
            torch.full_like(chosen, len(self.alphas) // STEPS),
        )

    def _begin_anew(self, over: Tensor) -> None:
        super()._begin_anew(over)
        self.begun += int(over.sum())

    def _carried(self, noise: Tensor) -> Tensor:
        """All of it, now and then with a little fresh noise in it."""
        fresh = (1 - FRESH_NOISE) ** 0.5 * noise + FRESH_NOISE**0.5 * torch.randn_like(noise)
        some = torch.rand(len(noise), device=noise.device) < FRESH_NOISE_CHANCE
        return torch.where(some[:, None, None, None], fresh, noise)


def head_start(adversary: Adversary, store: ExampleStore, prefixes: Prefixes) -> None:
    """Let the critic learn what tells finished pictures from renders, before the UNet listens to it."""
    finished = prefixes.examples.latents
    for _ in range(HEAD_START):
        chosen = torch.randint(len(finished), (CRITIC_BATCH,), device=finished.device)
        adversary.learn(store.draw(CRITIC_BATCH).latents, finished[chosen])


def anchor_loss(predicted: Tensor, finished: Tensor) -> Tensor:
    """How far finished latents (N, 4, h, w) are, coarsely, from those they should stay like."""
    ours, theirs = (F.avg_pool2d(latents, ANCHOR_CELLS) for latents in (predicted, finished))
    return ANCHOR_WEIGHT * F.mse_loss(ours, theirs)
