"""A judge of prompt following that has no part in making the model: a classifier trained on renders only.

Its pictures are drawn from another seed than the model's training set and show every combination, also those the model
is tested on; it shares no weights with the mini CLIP. It looks twice, as a person would: at the whole picture, and
from close by at the place where it believes an emblem to be, because emblems are 30 to 60 of 256 px wide (a first
judge that looked once read 20 % of the emblems on real renders).
"""

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from sdxl_lora.mini.attributes import CLASSES, AttributeHeads, targets
from sdxl_lora.mini.dataset import RenderedSet, render_set, to_pixels
from sdxl_lora.mini.optimisation import (
    Reporter,
    autocast,
    clip_and_step,
    load_checkpoint,
    prepare_process,
    save_checkpoint,
    warmup_stable_decay,
)
from sdxl_lora.mini.renderer import emblem_mask
from sdxl_lora.mini.scene import Scene
from sdxl_lora.mini.settings import BuildFolder, BuildSettings

BATCH = 32
LEARNING_RATE = 2e-3
JUDGE_SEED = 77  # of its own renders
PLACE_STRIDE = 8  # px per cell of the map that says where the emblem is
CLOSE_UP = 5 / 16  # side of the close-up, in picture widths: the largest emblem fits
CLOSE_UP_NAMES = ("emblem", "emblem_colour")  # read from the close-up, everything else from the whole picture


def _layer(before: int, after: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, stride=stride, padding=1), nn.BatchNorm2d(after), nn.ReLU()]


class Judge(nn.Module):
    """Convolutional classifier of every attribute; about 2.0 M parameters."""

    def __init__(self) -> None:
        super().__init__()
        fine = [layer for pair in itertools.pairwise((3, 24, 48, 96)) for layer in _layer(*pair, stride=2)]
        self.fine = nn.Sequential(*fine, *_layer(96, 96, stride=1))
        coarse = [_layer(96, 160, 2), _layer(160, 160, 1), _layer(160, 224, 2), _layer(224, 224, 1)]
        self.coarse = nn.Sequential(*itertools.chain.from_iterable(coarse))
        self.place = nn.Conv2d(96 + 160, 1, 3, padding=1)
        self.middle = nn.Sequential(*_layer(96, 160, 2), *_layer(160, 160, 1))
        close = [
            _layer(3, 32, 1),
            _layer(32, 64, 2),
            _layer(64, 96, 2),
            _layer(96, 128, 2),
            _layer(128, 128, 1),
        ]
        self.close = nn.Sequential(*itertools.chain.from_iterable(close))
        self.whole_heads = AttributeHeads(2 * 224, [name for name in CLASSES if name not in CLOSE_UP_NAMES])
        self.close_heads = AttributeHeads(2 * 128, CLOSE_UP_NAMES)

    def look(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) in -1..1 -> features (N, 448) and logits (N, H/8, W/8) of an emblem at each place."""
        maps = self.fine(pixels)
        around = F.interpolate(self.middle(maps), size=maps.shape[-2:])
        places = self.place(torch.cat([maps, around], 1))[:, 0]
        return _pooled(self.coarse(maps)), places

    def look_closely(self, pixels: Tensor, centres: Tensor) -> Tensor:
        """Features (N, 256) of the close-ups around `centres`, (N, 2) as (row, column) in cells of the map."""
        return _pooled(self.close(close_ups(pixels, centres)))

    def predict(self, pixels: Tensor) -> dict[str, Tensor]:
        """Attribute -> class indices (N,), for pictures (N, 3, H, W) in -1..1."""
        features, places = self.look(pixels)
        near = self.look_closely(pixels, likeliest(places))
        return {**self.whole_heads.predict(features), **self.close_heads.predict(near)}


def _pooled(maps: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, 2C): mean and maximum over the picture."""
    return torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1)


def likeliest(places: Tensor) -> Tensor:
    """The centre of the emblem by the map (N, h, w) of logits: the likeliest cells' mean place, (N, 2)."""
    flat = places.detach().float().flatten(1)
    near = (flat - flat.amax(1, keepdim=True)).exp().pow(2)
    near = near / near.sum(1, keepdim=True)
    rows, columns = _grid(places.shape[-2:], places.device)
    return torch.stack([(near * rows).sum(1), (near * columns).sum(1)], 1)


def _grid(shape: torch.Size, device: torch.device) -> tuple[Tensor, Tensor]:
    rows, columns = torch.meshgrid(*(torch.arange(side, device=device) for side in shape), indexing="ij")
    return rows.flatten().float(), columns.flatten().float()


def close_ups(pixels: Tensor, centres: Tensor) -> Tensor:
    """Square crops around `centres` (cells), `CLOSE_UP` wide, moved inside the picture where they stick out."""
    side = round(CLOSE_UP * pixels.shape[-1] / PLACE_STRIDE) * PLACE_STRIDE
    corners = (
        ((centres + 0.5) * PLACE_STRIDE - side / 2).round().clamp(0, pixels.shape[-1] - side).int().tolist()
    )
    crops = [p[:, y : y + side, x : x + side] for p, (y, x) in zip(pixels, corners, strict=True)]
    return torch.stack(crops).contiguous(memory_format=torch.channels_last)


def disturbed(pixels: Tensor, chance: np.random.Generator) -> Tensor:
    """Renders a little blurred, shifted in brightness and noisy, so that the judge does not hang on pixels."""
    if chance.random() < 0.5:
        small = F.interpolate(
            pixels, scale_factor=float(chance.uniform(0.5, 0.9)), mode="bilinear", antialias=True
        )
        pixels = F.interpolate(small, size=pixels.shape[-2:], mode="bilinear")
    pixels = pixels * float(chance.uniform(0.9, 1.1)) + float(chance.uniform(-0.05, 0.05))
    return pixels + float(chance.uniform(0, 0.05)) * torch.randn(pixels.shape, device=pixels.device)


def judge_loss(judge: Judge, pixels: Tensor, scenes: list[Scene], chance: np.random.Generator) -> Tensor:
    """Mean cross-entropy of all attributes, plus that of the emblem's place.

    Close-ups are taken where the emblem truly is, a little beside it, in most cases; where the judge believes it to be
    in the others, and wherever there is none.
    """
    device = pixels.device
    wanted = {name: indices.to(device) for name, indices in targets(scenes).items()}
    masks = np.stack([emblem_mask(scene, pixels.shape[-1] // PLACE_STRIDE) for scene in scenes])
    with autocast(device.type):
        features, places = judge.look(pixels)
        told = torch.from_numpy(_told_centres(masks, chance)).to(device)
        centres = torch.where(told.isnan(), likeliest(places), told)
        near = judge.look_closely(pixels, centres)
    inked = torch.from_numpy(masks > 0.3).float().to(device)
    place_loss = F.binary_cross_entropy_with_logits(
        places.float(), inked, pos_weight=torch.tensor(8.0, device=device)
    )
    whole, close = (
        judge.whole_heads.losses(features.float(), wanted),
        judge.close_heads.losses(near.float(), wanted),
    )
    return torch.stack([*whole, *close]).mean() + place_loss


def _told_centres(masks: NDArray[np.float32], chance: np.random.Generator) -> NDArray[np.float32]:
    """(N, 2) centres of the masks, jittered by up to a cell; NaN where the judge must look for itself."""
    centres = np.full((len(masks), 2), np.nan, np.float32)
    for i, mask in enumerate(masks):
        if mask.any() and chance.random() < 0.7:
            places = np.argwhere(mask > 0.02)
            centres[i] = (places.min(0) + places.max(0)) / 2 + chance.uniform(-1, 1, 2)
    return centres


def train_judge(folder: BuildFolder, settings: BuildSettings) -> None:
    """Render the judge's own pictures, train on them, and save it."""
    prepare_process()
    torch.manual_seed(JUDGE_SEED)
    stage, device = folder.stage("judge"), settings.device
    render_set(
        stage / "renders",
        max(64, settings.pictures * 2 // 3),
        size=settings.size,
        seed=JUDGE_SEED,
        workers=settings.workers,
        held_out=None,
    )
    rendered = RenderedSet.open(stage / "renders")
    judge = Judge().to(device)
    judge.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    optimizer = torch.optim.AdamW(judge.parameters(), weight_decay=0.02, foreach=True)
    start = 0
    if state := load_checkpoint(stage / "checkpoint.pt", device):
        judge.load_state_dict(state["judge"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
    report = Reporter("judge", stage, settings.judge_steps)
    parameters = list(judge.parameters())
    for step in range(start, settings.judge_steps):
        factor = warmup_stable_decay(
            step, total=settings.judge_steps, warmup=50, decay=settings.judge_steps // 2
        )
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * factor
        chance = np.random.default_rng((JUDGE_SEED, step))
        chosen = chance.integers(0, len(rendered), BATCH)
        pixels = to_pixels(rendered.batch(chosen)).to(device).contiguous(memory_format=torch.channels_last)
        loss = judge_loss(judge, disturbed(pixels, chance), [rendered.scenes[i] for i in chosen], chance)
        loss.backward()
        clip_and_step(parameters, optimizer, 1.0)
        report(step, loss=loss.item())
        if (step + 1) % 500 == 0 or step + 1 == settings.judge_steps:
            state = {"judge": judge.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            save_checkpoint(stage / "checkpoint.pt", state)
    torch.save(judge.to("cpu").state_dict(), stage / "judge.pt")


def load_judge(folder: BuildFolder) -> Judge:
    """The trained judge, on the CPU."""
    judge = Judge()
    judge.load_state_dict(torch.load(folder.stage("judge") / "judge.pt", weights_only=True))
    return judge.eval()
