"""What the UNet of a build within minutes is trained on, in three parts of its time.

First renders with the noise of any timestep; then rollouts of renders (`mini.rollouts`); last rollouts of pictures that
it began itself, against a critic (`mini.adversarial`), where there is time for the critic to learn.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from sdxl_lora.mini import adversarial, latent_critic, rollouts
from sdxl_lora.mini.adversarial import AdversarialRollouts, Prefixes
from sdxl_lora.mini.batches import CAPTION_DROPOUT, Batch
from sdxl_lora.mini.denoiser import CaptionEncoder, levels, predicted_velocity, split, velocity_loss
from sdxl_lora.mini.rollouts import Rollouts
from sdxl_lora.mini.settings import TimedSettings
from sdxl_lora.mini.store import ExampleStore, LatentBatch

Objective = Callable[[nn.Module], Tensor]  # the UNet, which may be compiled -> loss of the next batch


@dataclass(frozen=True)
class Course:
    """The objectives, one after the other, and what all of them need."""

    unet: UNet2DConditionModel
    encode: CaptionEncoder
    store: ExampleStore
    alphas: Tensor  # sqrt(alphas_cumprod), (1000,), on the device
    settings: TimedSettings

    def parts(self, seconds: float) -> list[tuple[float, Callable[[], Objective]]]:
        """(share of the time at which it begins, how to begin it), in order, for a training of so many seconds."""
        settings = self.settings
        parts: list[tuple[float, Callable[[], Objective]]] = [
            (0.0, lambda: self.noised_renders),
            (1 - settings.unet_rollouts, lambda: _OnRollouts(self)),
        ]
        if settings.unet_adversarial * seconds >= settings.least_adversarial_seconds:
            last = 1 - settings.unet_adversarial
            parts = [part for part in parts if part[0] < last]
            parts.append((last, lambda: _AgainstCritic(self)))
        return parts

    def noised_renders(self, model: nn.Module) -> Tensor:
        """Squared error of v on renders with the noise of any timestep."""
        count, device = self.settings.unet_batch, self.settings.device
        drawn = self.store.draw(count)
        dropped = torch.rand(count, device=device) < CAPTION_DROPOUT
        text = self.encode.encode(drawn.ids, drawn.ids_2, dropped)
        batch = Batch(
            drawn.latents,
            drawn.weights,
            [],
            self.sizes(count),
            torch.randn_like(drawn.latents),
            torch.randint(0, len(self.alphas), (count,), device=device),
        )
        return velocity_loss(model, batch, text, self.alphas)

    def predicted(
        self, model: nn.Module, drawn: LatentBatch, dropped: Tensor, noisy: Tensor, timesteps: Tensor
    ) -> Tensor:
        """Finished latents (N, 4, h, w) that the UNet sees in noisy ones."""
        text = self.encode.encode(drawn.ids, drawn.ids_2, dropped)
        velocity = predicted_velocity(model, noisy, timesteps, text, self.sizes(len(noisy)))
        return split(noisy, velocity, *levels(timesteps, self.alphas))[0]

    def sizes(self, count: int) -> Tensor:
        """SDXL's size conditioning of whole pictures, (count, 6)."""
        return whole_picture_sizes(count, self.settings.size, self.settings.device)

    def rows(self, share: float) -> int:
        """This share of a batch, at least one row."""
        return max(1, round(self.settings.unet_batch * share))


class _OnRollouts:
    """Batches of which a good part are rollouts of renders."""

    def __init__(self, course: Course) -> None:
        self.course = course
        self.rollouts = Rollouts(course.store, course.alphas, course.rows(rollouts.SHARE))

    def __call__(self, model: nn.Module) -> Tensor:
        count = self.course.settings.unet_batch - self.rollouts.count
        drawn, dropped, noisy, timesteps = self.rollouts.batch(count)
        predicted = self.course.predicted(model, drawn, dropped, noisy, timesteps)
        self.rollouts.advance(predicted[: self.rollouts.count].detach())
        return rollouts.loss(predicted, drawn, timesteps, self.course.alphas)


class _AgainstCritic:
    """Batches of which a good part are pictures that the UNet began itself; a critic learns beside it."""

    def __init__(self, course: Course) -> None:
        self.course = course
        own = course.rows(adversarial.SHARE)
        prefixes = self._prefixes(adversarial.PREFIXES * own)
        self.own = AdversarialRollouts(course.store, course.alphas, own, prefixes)
        self.rollouts = Rollouts(course.store, course.alphas, course.rows(adversarial.RENDERS_SHARE))
        self.adversary = latent_critic.unet_adversary(course.settings.device)
        adversarial.head_start(self.adversary, course.store, prefixes)

    def __call__(self, model: nn.Module) -> Tensor:
        course, count = self.course, self.own.count
        if self.own.worn:
            self.own.exchange(self._prefixes(len(self.own.prefixes)))
        own = self.own.batch(0)
        renders = self.rollouts.batch(course.settings.unet_batch - count - self.rollouts.count)
        conditions = (torch.cat(pair) for pair in zip(own[1:], renders[1:], strict=True))
        predicted = course.predicted(model, own[0].joined(renders[0]), *conditions)
        finished, others = predicted[:count], predicted[count:]
        self.own.advance(finished.detach())
        self.rollouts.advance(others[: self.rollouts.count].detach())
        self.adversary.learn(course.store.draw(count).latents, finished)
        loss = rollouts.loss(others, renders[0], renders[3], course.alphas)
        loss = loss + adversarial.anchor_loss(finished, own[0].latents)
        return loss + self.adversary.loss(finished, loss, predicted)

    def _prefixes(self, count: int) -> Prefixes:
        """Drawn with the UNet itself: a compiled one would be compiled again for another number of pictures."""
        course = self.course
        examples = course.store.draw(count)
        return Prefixes.drawn(course.unet, course.encode, examples, course.alphas, course.sizes(count))


def whole_picture_sizes(count: int, size: int, device: str) -> Tensor:
    """(count, 6) of SDXL's size conditioning for uncropped pictures (arXiv 2307.01952, section 2.2)."""
    return torch.tensor([[size, size, 0, 0, size, size]], dtype=torch.float32, device=device).expand(
        count, -1
    )
