"""A critic: a small network that learns to tell generated pictures from renders of the same scenes.

Its accuracy on scenes it did not learn from says what no single measure does: whether anything tells the two apart.
50 % is chance. Two critics learn from one half of the scenes each and are examined on the other, so that every picture
is judged once, by a critic that saw neither it nor its counterpart. Knows nothing of models.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from sdxl_lora.evaluation.statistics import wilson_ci95
from sdxl_lora.mini.dataset import to_pixels
from sdxl_lora.mini.optimisation import clip_and_step
from sdxl_lora.mini.renderer import contact_sheet

Pictures = NDArray[np.uint8]  # (N, H, W, 3) sRGB

STEPS = 150  # of each of the two critics
BATCH = 24  # pictures, half of each kind
RATE = 2e-3
WINDOW = (
    0.5  # of a side: critics learn from windows of this size anywhere, and are asked about whole pictures
)
FINE = 8.0  # amplifies what differs from the mean of its neighbours, so that faint noise and blur are seen at once
SHOWN = 24  # pictures on the sheet
SEED = 16


@dataclass(frozen=True)
class Examination:
    """How well critics told two sets of pictures apart."""

    accuracy: float  # on held-out scenes
    ci95: tuple[float, float]  # Wilson's
    judged: int  # pictures, of both kinds
    logits: NDArray[np.float32]  # (N,) of the first set; above 0: taken for what it is
    saliency: NDArray[np.float32]  # (N, H, W) magnitude of the logit's gradient in the first set's pixels


class Critic(nn.Module):
    """Pictures (N, 3, H, W) in -1..1 -> logits (N,), above 0 for the first set; about 140,000 weights."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((6, 16), (16, 32), (32, 64), (64, 96)):
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        self.features = nn.Sequential(*layers, nn.Conv2d(96, 64, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(128, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        fine = pixels - F.avg_pool2d(pixels, 3, stride=1, padding=1, count_include_pad=False)
        maps = self.features(torch.cat([pixels, FINE * fine], 1))
        pooled = torch.cat([maps.mean((2, 3)), maps.flatten(2).std(2)], 1)
        return torch.as_tensor(self.head(pooled)[:, 0])


def cross_examine(first: Pictures, second: Pictures, *, steps: int = STEPS) -> Examination:
    """Picture i of both sets is of the same scene. Leaves torch's random state as it was."""
    order = np.random.default_rng(SEED).permutation(len(first))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    logits = np.zeros((2, len(first)), np.float32)
    saliency = np.zeros(first.shape[:3], np.float32)
    with torch.random.fork_rng(devices=[]):
        for learnt, asked in (halves, halves[::-1]):
            torch.manual_seed(SEED)
            critic = train_critic(first[learnt], second[learnt], steps=steps)
            for start in range(0, len(asked), BATCH):
                part = asked[start : start + BATCH]
                logits[0, part], saliency[part] = _looked_at(critic, first[part])
                with torch.no_grad():
                    logits[1, part] = critic(_pixels(second[part])).numpy()
    right = int((logits[0] > 0).sum() + (logits[1] <= 0).sum())
    return Examination(right / logits.size, wilson_ci95(right, logits.size), logits.size, logits[0], saliency)


def train_critic(first: Pictures, second: Pictures, *, steps: int = STEPS) -> Critic:
    """A critic that learned to tell the sets apart, from windows anywhere, flipped at random; both kinds together."""
    critic = Critic()
    critic.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    optimizer = torch.optim.AdamW(critic.parameters(), lr=RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=max(2, steps))
    chance = np.random.default_rng(SEED)
    wanted = torch.cat([torch.ones(BATCH // 2), torch.zeros(BATCH // 2)])
    for _ in range(steps):
        chosen = chance.integers(0, len(first), BATCH // 2)
        pixels = _windows(_pixels(np.concatenate([first[chosen], second[chosen]])), chance)
        loss = F.binary_cross_entropy_with_logits(critic(pixels), wanted)
        loss.backward()
        clip_and_step(list(critic.parameters()), optimizer, 1.0)
        schedule.step()
    return critic.eval()


def critic_sheet(pictures: Pictures, examined: Examination, path: Path) -> None:
    """The pictures that gave themselves away most, each beside a map of where the critic looked, as one JPEG."""
    chosen = np.argsort(-examined.logits)[:SHOWN]
    shown = []
    for i in chosen:
        heat = cv2.GaussianBlur(examined.saliency[i], (0, 0), pictures.shape[1] / 64)
        scaled = np.clip(255 * heat / max(1e-12, float(np.quantile(heat, 0.995))), 0, 255).astype(np.uint8)
        shown += [pictures[i], cv2.applyColorMap(scaled, cv2.COLORMAP_INFERNO)[..., ::-1].astype(np.uint8)]
    Image.fromarray(contact_sheet(shown, 8)).save(path, quality=88)


def _looked_at(critic: Critic, pictures: Pictures) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits (N,), and the gradient's magnitude in each pixel (N, H, W)."""
    pixels = _pixels(pictures).requires_grad_()
    logits = critic(pixels)
    (slope,) = torch.autograd.grad(logits.sum(), pixels)
    return logits.detach().numpy(), slope.pow(2).sum(1).sqrt().numpy()


def _pixels(pictures: Pictures) -> Tensor:
    return to_pixels(pictures).contiguous(memory_format=torch.channels_last)


def _windows(pixels: Tensor, chance: np.random.Generator) -> Tensor:
    """The same window of the whole batch, so of both kinds, flipped half the time."""
    side = round(WINDOW * pixels.shape[-1])
    y, x = chance.integers(0, pixels.shape[-1] - side + 1, 2)
    window = pixels[..., y : y + side, x : x + side]
    return (window.flip(-1) if chance.random() < 0.5 else window).contiguous(
        memory_format=torch.channels_last
    )
