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

from sdxl_lora.mini import adversarial
from sdxl_lora.mini import rollouts as own_way
from sdxl_lora.mini.adversarial import AdversarialRollouts, Prefixes
from sdxl_lora.mini.autoencoder import (
    CLOSE_UP_SHARE,
    FREEZE_ENCODER,
    LATENT_NOISE,
    PHOTO_SHARE,
    freeze_at_average,
    learning_rates,
    training_loss,
)
from sdxl_lora.mini.batches import CAPTION_DROPOUT, Batch
from sdxl_lora.mini.clock import Span, warmup_hold_decay
from sdxl_lora.mini.denoiser import (
    CaptionEncoder,
    freeze_lowest,
    levels,
    make_unet,
    predicted_velocity,
    training_alphas,
    velocity_loss,
)
from sdxl_lora.mini.latent_critic import LatentAdversary
from sdxl_lora.mini.optimisation import MovingAverage, clip_and_step
from sdxl_lora.mini.patch_critic import Adversary
from sdxl_lora.mini.rollouts import Rollouts
from sdxl_lora.mini.settings import TimedSettings
from sdxl_lora.mini.store import ExampleStore, pixels_of

REPORT_SECONDS = 10.0
SAVE_SECONDS = 10.0
FILL_SECONDS = 2.0  # between two looks for new examples


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
    adversary = Adversary(vae.decoder.conv_out.weight, settings.device)
    pace = Pace("vae", span, 0)
    looked = time.monotonic()
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
            loss = loss + adversary.loss(decoded, loss)
        loss.backward()
        if frozen:
            adversary.learn(pixels, decoded)
        clip_and_step([p for p in vae.parameters() if p.requires_grad], optimizer, 0.7)
        average.update(vae)
        pace.batch = len(pixels)
        pace(loss, side=side, pictures=store.count)
        if time.monotonic() - looked > FILL_SECONDS:
            store.fill()
            crops.refresh()
            looked = time.monotonic()
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
    rollouts: Rollouts | None = None
    against: _AgainstCritic | None = None
    long_enough = settings.unet_adversarial * span.seconds >= settings.least_adversarial_seconds
    pace = Pace("unet", span, settings.unet_batch)
    looked = saved = time.monotonic()
    while (progress := span.progress) < 1:
        rate = settings.unet_rate * warmup_hold_decay(progress, warmup=0.02, decay=settings.unet_decay)
        for group in optimizer.param_groups:
            group["lr"] = rate
        if against is None and long_enough and progress >= 1 - settings.unet_adversarial:
            against = _AgainstCritic(unet, encode, store, alphas, settings)
        if rollouts is None and progress >= 1 - settings.unet_rollouts:
            rollouts = Rollouts(store, alphas, round(settings.unet_batch * own_way.SHARE))
        if against is not None:
            loss = against.loss(model)
        elif rollouts is not None:
            loss = _rollout_loss(model, encode, rollouts, settings)
        else:
            loss = _unet_loss(model, encode, store, alphas, settings)
        loss.backward()
        clip_and_step(parameters, optimizer, 1.0)
        average.update(unet)
        pace(loss, rate=rate, examples=store.seen)
        if time.monotonic() - looked > FILL_SECONDS:
            store.fill()
            looked = time.monotonic()
        if time.monotonic() - saved > SAVE_SECONDS:
            average.swap(unet)
            yield pace.steps
            average.swap(unet)
            saved = time.monotonic()
    average.swap(unet)
    yield pace.steps


def _unet_loss(
    model: nn.Module,
    encode: CaptionEncoder,
    store: ExampleStore,
    alphas: Tensor,
    settings: TimedSettings,
) -> Tensor:
    drawn = store.draw(settings.unet_batch)
    count, device = settings.unet_batch, settings.device
    dropped = torch.rand(count, device=device) < CAPTION_DROPOUT
    text = encode.encode(drawn.ids, drawn.ids_2, dropped)
    batch = Batch(
        drawn.latents,
        drawn.weights,
        [],
        whole_picture_sizes(count, settings.size, device),
        torch.randn_like(drawn.latents),
        torch.randint(0, len(alphas), (count,), device=device),
    )
    return velocity_loss(model, batch, text, alphas)


def _rollout_loss(
    model: nn.Module, encode: CaptionEncoder, rollouts: Rollouts, settings: TimedSettings
) -> Tensor:
    """Of a batch most of which are rollouts; they go a step on."""
    count, device, alphas = settings.unet_batch, settings.device, rollouts.alphas
    drawn, dropped, noisy, timesteps = rollouts.batch(count - rollouts.count)
    text = encode.encode(drawn.ids, drawn.ids_2, dropped)
    sizes = whole_picture_sizes(count, settings.size, device)
    alpha, sigma = levels(timesteps, alphas)
    predicted = alpha * noisy - sigma * predicted_velocity(model, noisy, timesteps, text, sizes)
    rollouts.advance(predicted[: rollouts.count].detach())
    return own_way.loss(predicted, drawn, timesteps, alphas)


class _AgainstCritic:
    """The last part of the training: some rows of a batch are pictures that the UNet began itself."""

    def __init__(
        self,
        unet: UNet2DConditionModel,
        encode: CaptionEncoder,
        store: ExampleStore,
        alphas: Tensor,
        settings: TimedSettings,
    ) -> None:
        self.unet, self.encode, self.store, self.settings = unet, encode, store, settings
        self.alphas = alphas
        own = max(1, round(settings.unet_batch * adversarial.SHARE))
        prefixes = self._prefixes(adversarial.PREFIXES * own)
        self.own = AdversarialRollouts(store, alphas, own, prefixes)
        of_renders = max(1, round(settings.unet_batch * adversarial.RENDERS_SHARE))
        self.rollouts = Rollouts(store, alphas, of_renders)
        self.adversary = LatentAdversary(settings.device)
        adversarial.head_start(self.adversary, store, prefixes)

    def loss(self, model: nn.Module) -> Tensor:
        """Of the next batch; rollouts go a step on, and the critic learns."""
        count, device = self.settings.unet_batch, self.settings.device
        if self.own.worn:
            self.own.exchange(self._prefixes(len(self.own.prefixes)))
        own = self.own.batch(0)
        renders = self.rollouts.batch(count - self.own.count - self.rollouts.count)
        drawn = own[0].joined(renders[0])
        dropped, noisy, timesteps = (torch.cat(pair) for pair in zip(own[1:], renders[1:], strict=True))
        text = self.encode.encode(drawn.ids, drawn.ids_2, dropped)
        sizes = whole_picture_sizes(count, self.settings.size, device)
        alpha, sigma = levels(timesteps, self.alphas)
        predicted = alpha * noisy - sigma * predicted_velocity(model, noisy, timesteps, text, sizes)
        finished, others = predicted[: self.own.count], predicted[self.own.count :]
        losses = own_way.loss(others, renders[0], timesteps[self.own.count :], self.alphas)
        losses = losses + adversarial.anchor_loss(finished, own[0].latents)
        total = losses + self.adversary.loss(predicted, finished, losses)
        self.adversary.learn(self.store.draw(self.own.count).latents, finished)
        self.own.advance(finished.detach())
        self.rollouts.advance(others[: self.rollouts.count].detach())
        return total

    def _prefixes(self, count: int) -> Prefixes:
        """Drawn with the UNet itself: a compiled one would be compiled again for another number of pictures."""
        sizes = whole_picture_sizes(count, self.settings.size, self.settings.device)
        return Prefixes.drawn(self.unet, self.encode, self.store.draw(count), self.alphas, sizes)


def whole_picture_sizes(count: int, size: int, device: str) -> Tensor:
    """(count, 6) of SDXL's size conditioning for uncropped pictures (arXiv 2307.01952, section 2.2)."""
    return torch.tensor([[size, size, 0, 0, size, size]], dtype=torch.float32, device=device).expand(
        count, -1
    )


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
