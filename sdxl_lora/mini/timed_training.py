"""Trains VAE and UNet within given spans of time, on examples that stream in (`mini.store`).

The losses are those of `mini.autoencoder` and `mini.denoiser`; only the schedules differ: they follow the clock.
"""

import multiprocessing
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from numpy.typing import NDArray
from torch import Tensor, nn

from sdxl_lora.mini.autoencoder import (
    CLOSE_UP_SHARE,
    FREEZE_ENCODER,
    LATENT_NOISE,
    PHOTO_SHARE,
    freeze_at_average,
    learning_rates,
    training_loss,
)
from sdxl_lora.mini.batches import Batch
from sdxl_lora.mini.clock import Span, warmup_hold_decay
from sdxl_lora.mini.denoiser import (
    CaptionEncoder,
    freeze_lowest,
    make_unet,
    training_alphas,
    velocity_loss,
)
from sdxl_lora.mini.objectives import Course, whole_picture_sizes
from sdxl_lora.mini.optimisation import MovingAverage, clip_and_step
from sdxl_lora.mini.patch_critic import decoder_adversary
from sdxl_lora.mini.settings import TimedSettings
from sdxl_lora.mini.store import ExampleStore, pixels_of

REPORT_SECONDS = 10.0
SAVE_SECONDS = 10.0
FILL_SECONDS = 2.0  # between two looks for new examples, at least, and of one look, about, at most
FILL_SHARE = 0.2  # of the time, at most: encoding takes a CPU as long as training


@dataclass
class Pace:
    """Prints steps, samples a second and the loss about every ten seconds."""

    stage: str
    span: Span
    batch: int
    steps: int = 0
    _last: float = 0.0
    _steps_then: int = 0

    def __call__(self, loss: Tensor, **figures: float) -> None:
        self.steps += 1
        now = time.monotonic()
        if not self._last:
            self._last, self._steps_then = now, self.steps
        if now - self._last < REPORT_SECONDS:
            return
        pace = (self.steps - self._steps_then) * self.batch / (now - self._last)
        self._last, self._steps_then = now, self.steps
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
        print(
            f"[{self.stage}] {self.span.left:.0f} s left  step {self.steps}  {pace:.0f} samples/s"
            f"  loss {loss.item():.4f}  {numbers}",
            file=sys.stderr,
            flush=True,
        )


class Supply:
    """Takes new examples into the store between training steps, without keeping the training waiting."""

    def __init__(self, store: ExampleStore) -> None:
        self.store = store
        self._next = time.monotonic() + FILL_SECONDS

    def __call__(self) -> bool:
        """Look for new examples, if it is time to; whether it was."""
        began = time.monotonic()
        if began < self._next:
            return False
        self.store.take(FILL_SECONDS)
        ended = time.monotonic()
        self._next = ended + max(FILL_SECONDS, (ended - began) * (1 / FILL_SHARE - 1))
        return True


def prepare_device(settings: TimedSettings) -> None:
    """Fast arithmetic where it does no harm; the same in every process, or torch's cache of kernels would not fit."""
    if settings.device == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True


# -- VAE

# (until this share of the time, crop side in px, crops per step and unit of `vae_scale`)
CROPS = ((0.35, 64, 16), (0.7, 128, 4), (0.9, 64, 16), (1.0, 256, 1))


def train_vae(
    vae: AutoencoderKL, store: ExampleStore, photos: NDArray[np.uint8], span: Span, settings: TimedSettings
) -> None:
    """Train until the span ends and leave the averaged weights in `vae`."""
    encoder = [*vae.encoder.parameters(), *vae.quant_conv.parameters()]
    decoder = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
    fused = {"fused": True} if settings.device == "cuda" else {"foreach": True}
    optimizer = torch.optim.AdamW(
        [{"params": encoder}, {"params": decoder}], weight_decay=1e-3, betas=(0.9, 0.98), **fused
    )
    average = MovingAverage(vae, 0.998)
    chance = np.random.default_rng(settings.seed + 2)
    crops = _Crops(store, torch.from_numpy(photos).to(settings.device))
    adversary = decoder_adversary(settings.device)
    pace = Pace("vae", span, 0)
    supply = Supply(store)
    vae.train()
    while (progress := span.progress) < 1:
        frozen = progress >= FREEZE_ENCODER
        if frozen and encoder[0].requires_grad:
            freeze_at_average(vae, encoder, average)
        for group, rate in zip(
            optimizer.param_groups, learning_rates(progress, min(1.0, (pace.steps + 1) / 100)), strict=True
        ):
            group["lr"] = rate * settings.vae_rate
        side, count = next((side, count) for until, side, count in CROPS if progress < until)
        pixels = crops.draw(chance, min(side, settings.size), max(1, round(count * settings.vae_scale)))
        noise = float(max(0.0, chance.uniform(-LATENT_NOISE, LATENT_NOISE)))
        loss, decoded = training_loss(vae, pixels, progress, noise=noise, frozen=frozen)
        if frozen:
            loss = loss + adversary.loss(decoded, loss, vae.decoder.conv_out.weight)
        loss.backward()
        if frozen:
            adversary.learn(pixels, decoded)
        clip_and_step([p for p in vae.parameters() if p.requires_grad], optimizer, 0.7)
        average.update(vae)
        pace.batch = len(pixels)
        pace(loss, side=side, pictures=store.count)
        if supply():
            crops.refresh()
    average.swap(vae)
    vae.eval().requires_grad_(False)


class _Crops:
    """Random square crops of the store's pictures and of photos, flipped half the time."""

    def __init__(self, store: ExampleStore, photos: Tensor) -> None:
        self.store, self.photos = store, photos
        self.refresh()

    def refresh(self) -> None:
        """Look again at what the store holds."""
        self.pictures, self.centres = self.store.pictures()

    def draw(self, chance: np.random.Generator, side: int, count: int) -> Tensor:
        """(count, 3, side, side) float32 in -1..1; a good part of them shows an emblem."""
        size = self.pictures.shape[1]
        photos = int(chance.binomial(count, PHOTO_SHARE)) if len(self.photos) else 0
        chosen = chance.integers(0, len(self.pictures), count - photos)
        corners = chance.integers(0, size - side + 1, (count - photos, 2))
        around = self.centres[chosen] - side / 2 + chance.uniform(-0.3, 0.3, (count - photos, 2)) * side
        close = (chance.random(count - photos) < CLOSE_UP_SHARE) & ~np.isnan(around[:, 0])
        corners[close] = np.clip(np.round(around[close]), 0, size - side).astype(np.int64)
        crops = _cut(self.pictures, chosen, corners, side)
        if photos:
            where = chance.integers(0, size - side + 1, (photos, 2))
            crops = torch.cat(
                [crops, _cut(self.photos, chance.integers(0, len(self.photos), photos), where, side)]
            )
        pixels = pixels_of(crops)
        return pixels.flip(-1) if chance.random() < 0.5 else pixels


def _cut(pictures: Tensor, chosen: NDArray[np.int64], corners: NDArray[np.int64], side: int) -> Tensor:
    """(N, side, side, 3) windows of the chosen pictures (M, H, W, 3), with their corners (N, 2) at (row, column)."""
    device = pictures.device
    index = torch.from_numpy(chosen).to(device)[:, None, None]
    along = torch.arange(side, device=device)
    corner = torch.from_numpy(corners).to(device)
    rows = (corner[:, :1] + along)[:, :, None]
    columns = (corner[:, 1:] + along)[:, None, :]
    return pictures[index, rows, columns]


# -- UNet


def new_unet(settings: TimedSettings, context: int) -> UNet2DConditionModel:
    """An untrained UNet of these settings, on their device."""
    unet = make_unet(settings.unet_channels, context, settings.latent_side)
    if settings.device == "cpu":
        unet.set_attn_processor(AttnProcessor())  # faster than the fused kernel at these sizes on CPUs
    return unet.to(settings.device, memory_format=torch.channels_last).train()


def train_unet(
    unet: UNet2DConditionModel,
    encode: CaptionEncoder,
    store: ExampleStore,
    span: Span,
    settings: TimedSettings,
) -> Iterator[int]:
    """Train until the span ends. Yields the number of steps now and then, and at the end, while `unet` holds the
    averaged weights, so that the caller can save them."""
    if settings.unet_freeze_lowest:
        freeze_lowest(unet)
    parameters = [weights for weights in unet.parameters() if weights.requires_grad]
    fused = {"fused": True} if settings.device == "cuda" else {"foreach": True}
    optimizer = torch.optim.AdamW(
        parameters, lr=settings.unet_rate, weight_decay=0.01, betas=(0.9, 0.98), **fused
    )
    average = MovingAverage(unet, 0.999)
    model: nn.Module = unet
    if settings.compile:
        model = torch.compile(unet, dynamic=False)  # type: ignore[assignment]  # a module, though typed as a function
    alphas = training_alphas().to(settings.device)
    parts = Course(unet, encode, store, alphas, settings).parts(span.seconds)
    pace = Pace("unet", span, settings.unet_batch)
    supply = Supply(store)
    saved = time.monotonic()
    while (progress := span.progress) < 1:
        rate = settings.unet_rate * warmup_hold_decay(progress, warmup=0.02, decay=settings.unet_decay)
        for group in optimizer.param_groups:
            group["lr"] = rate
        while parts and progress >= parts[0][0]:
            objective = parts.pop(0)[1]()
        loss = objective(model)
        loss.backward()
        clip_and_step(parameters, optimizer, 1.0)
        average.update(unet)
        pace(loss, rate=rate, examples=store.seen)
        supply()
        if time.monotonic() - saved > SAVE_SECONDS:
            average.swap(unet)
            yield pace.steps
            average.swap(unet)
            saved = time.monotonic()
    average.swap(unet)
    yield pace.steps


@contextmanager
def compiling_ahead(settings: TimedSettings, context: int) -> Iterator[None]:
    """Compile the UNet's training step in a process of its own meanwhile, so that torch's cache on disk has it."""
    if not settings.compile:
        yield
        return
    process = multiprocessing.get_context("spawn").Process(target=_compile_once, args=(settings, context))
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _compile_once(settings: TimedSettings, context: int) -> None:
    began = time.monotonic()
    prepare_device(settings)
    unet = new_unet(settings, context)
    if settings.unet_freeze_lowest:
        freeze_lowest(unet)
    model = torch.compile(unet, dynamic=False)
    count, side, device = settings.unet_batch, settings.latent_side, settings.device
    latents = torch.randn(count, 4, side, side, device=device)
    pooled = unet.config["projection_class_embeddings_input_dim"] - 6 * unet.config["addition_time_embed_dim"]
    text = (torch.randn(count, 77, context, device=device), torch.randn(count, pooled, device=device))
    batch = Batch(
        latents,
        torch.ones(count, 1, side, side, device=device),
        [],
        whole_picture_sizes(count, settings.size, device),
        latents,
        torch.randint(0, 1000, (count,), device=device),
    )
    velocity_loss(model, batch, text, training_alphas().to(device)).backward()
    print(f"[compile] {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
