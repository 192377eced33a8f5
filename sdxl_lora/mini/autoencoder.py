"""Trains the VAE of the bundled model: 8x smaller, 4 latent channels, sharp at 256 px.

Loss: L1, MSE, L1 of image gradients at three scales (edges), pooled L1 and chroma L1 (colours), a small KL term, and,
at first only, a guide that pulls three latent channels to the pooled picture; without it the first minutes go grey.
Small crops first: they show the most different content per second. A good part of the crops shows an emblem: emblems
cover 2 % of the pictures, and a VAE that saw them no more often than that blurred their shapes (docs/log.md). Half of
the time the latents get a little noise, as a UNet's are never exact: the decoder learns to smooth what would come out
as mottled cloth. The encoder stops learning at 85 % of the steps, so that the decoder's last polish leaves the latents
as they are (4 channels: what SDXL's inpainting pipeline expects); then a critic of patches (`mini.patch_critic`) makes
it sharpen its edges. A VAE that was taken over (`mini.starting`) goes on from there: only its decoder learns, and the
latents stay what its UNet knows.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.models.resnet import ResnetBlock2D
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from sdxl_lora.mini.dataset import RenderedSet, open_photos, to_pixels
from sdxl_lora.mini.optimisation import (
    MovingAverage,
    Reporter,
    autocast,
    clip_and_step,
    load_checkpoint,
    prepare_process,
    save_checkpoint,
)
from sdxl_lora.mini.patch_critic import decoder_adversary
from sdxl_lora.mini.renderer import emblem_mask
from sdxl_lora.mini.settings import BuildFolder, BuildSettings

LATENT_CHANNELS = 4
PHOTO_SHARE = 0.12  # of a batch, when photos are given: uploads must survive encoding too
CLOSE_UP_SHARE = 0.4  # of the crops of renders are centred on an emblem, where there is one
LATENT_NOISE = (
    0.2  # largest standard deviation of the noise on latents, in standard deviations of the latents
)
FREEZE_ENCODER = 0.85  # share of the steps after which only the decoder learns
LEARNING_RATE = 2e-3
# (until this share of the steps, crop side in px, crops per step)
CROPS = (
    (0.2, 32, 32),
    (0.35, 64, 8),
    (0.45, 128, 2),
    (0.7, 64, 10),
    (0.9, 128, 3),
    (1.0, 256, 1),
)
JUDGED = 100  # held-out renders, at most, that the PSNR is measured on
QUALITY = "quality.json"


def make_autoencoder(channels: tuple[int, ...], size: int) -> AutoencoderKL:
    """Small `AutoencoderKL`; starts near the identity on three latent channels, with quiet residual branches."""
    vae = AutoencoderKL(
        block_out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        layers_per_block=1,
        norm_num_groups=1,
        latent_channels=LATENT_CHANNELS,
        mid_block_add_attention=False,
        sample_size=size,
        force_upcast=False,
    )
    with torch.no_grad():
        nn.init.zeros_(vae.quant_conv.weight)
        nn.init.zeros_(vae.quant_conv.bias)
        vae.quant_conv.bias[LATENT_CHANNELS:] = -5.0  # log-variance: little noise at first
        nn.init.zeros_(vae.post_quant_conv.weight)
        nn.init.zeros_(vae.post_quant_conv.bias)
        for i in range(LATENT_CHANNELS):
            vae.quant_conv.weight[i, i] = 1
            vae.quant_conv.weight[LATENT_CHANNELS + i, LATENT_CHANNELS + i] = 0.1
            vae.post_quant_conv.weight[i, i] = 1
        for module in vae.modules():
            if isinstance(module, ResnetBlock2D):
                module.conv2.weight.mul_(0.1)
                nn.init.zeros_(module.conv2.bias)
    return vae.to(memory_format=torch.channels_last)


def gradient_difference(difference: Tensor) -> Tensor:
    """L1 of horizontal and vertical finite differences at three scales; `difference` (N, 3, H, W)."""
    total = difference.new_zeros(())
    for _ in range(3):
        total = total + (difference[..., 1:] - difference[..., :-1]).abs().mean()
        total = total + (difference[..., 1:, :] - difference[..., :-1, :]).abs().mean()
        difference = F.avg_pool2d(difference, 2)
    return total


def reconstruction_loss(decoded: Tensor, pixels: Tensor, progress: float) -> Tensor:
    """Loss between pictures (N, 3, H, W) in -1..1; `progress` of the training in 0..1 shifts weight to edges."""
    difference = decoded.float() - pixels
    chroma = torch.stack([difference[:, 0] - difference[:, 1], difference[:, 2] - difference[:, 1]], 1)
    pooled = F.avg_pool2d(difference, 8).abs().mean() + F.avg_pool2d(chroma, 4).abs().mean()
    sharp = (0.12 + 0.2 * progress) * gradient_difference(difference)
    squared = (0.5 + 3 * progress) * difference.pow(2).mean()
    return difference.abs().mean() + squared + pooled + sharp


def learning_rates(progress: float, warmup: float) -> tuple[float, float]:
    """Of encoder and decoder: the encoder's falls to zero where it freezes."""
    decoder = encoder = 1.0
    if progress > 0.4:
        decoder = 0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * (progress - 0.4) / 0.6))
    if progress > 0.28:
        fall = min(1.0, (progress - 0.28) / (FREEZE_ENCODER - 0.28))
        encoder = 0.5 * (1 + math.cos(math.pi * fall))
    return LEARNING_RATE * warmup * encoder, LEARNING_RATE * warmup * decoder


@dataclass
class Crops:
    """Random square crops of renders and photos, flipped half the time."""

    rendered: RenderedSet
    photos: NDArray[np.uint8]

    def draw(self, chance: np.random.Generator, side: int, count: int) -> Tensor:
        """(count, 3, side, side) float32 in -1..1, channels last."""
        crops = []
        for _ in range(count):
            corner = None
            if len(self.photos) and chance.random() < PHOTO_SHARE:
                picture = self.photos[chance.integers(len(self.photos))]
            else:
                i = int(chance.integers(len(self.rendered)))
                picture = self.rendered.picture(i)
                if chance.random() < CLOSE_UP_SHARE:
                    corner = self._corner_around_emblem(i, side, chance)
            y, x = chance.integers(0, picture.shape[0] - side + 1, 2) if corner is None else corner
            crop = picture[y : y + side, x : x + side]
            crops.append(crop[:, ::-1] if chance.random() < 0.5 else crop)
        return to_pixels(np.stack(crops)).contiguous(memory_format=torch.channels_last)

    def _corner_around_emblem(
        self, index: int, side: int, chance: np.random.Generator
    ) -> NDArray[np.int64] | None:
        """Upper left corner (y, x) of a crop that shows the emblem, not always in its middle; None without one."""
        size = self.rendered.picture(index).shape[0]
        inked = np.argwhere(emblem_mask(self.rendered.scenes[index], size // 8) > 0)
        if not len(inked):
            return None
        centre = 8 * (inked.min(0) + inked.max(0) + 1) / 2 + chance.uniform(-0.3, 0.3, 2) * side
        return np.clip(np.round(centre - side / 2), 0, size - side).astype(np.int64)


def psnr(vae: AutoencoderKL, pictures: NDArray[np.uint8], device: str) -> float:
    """Mean PSNR in dB (peak 255) of decode(encode(picture)) over NxHxWx3 uint8 pictures, rounded to 8 bits."""
    values = []
    with torch.no_grad():
        for picture in pictures:
            pixels = to_pixels(picture[None]).to(device)
            with autocast(device):
                decoded = vae.decode(vae.encode(pixels).latent_dist.mode()).sample
            back = decoded.float().clamp(-1, 1).add(1).mul(127.5).round()
            error = (back - pixels.add(1).mul(127.5)).pow(2).mean().item()
            values.append(10 * math.log10(255**2 / max(error, 1e-9)))
    return float(np.mean(values))


def train_autoencoder(folder: BuildFolder, settings: BuildSettings) -> None:
    """Train, report PSNR on held-out renders, and write the averaged VAE to the stage's `vae` folder."""
    prepare_process()
    torch.manual_seed(settings.seed)
    stage, device = folder.stage("vae"), settings.device
    vae = make_autoencoder(settings.vae_channels, settings.size).to(device).train()
    first = 0.0  # progress at which this training starts
    if (stage / "vae").exists():  # of the model that the build started from
        vae.load_state_dict(AutoencoderKL.from_pretrained(stage / "vae").state_dict())
        first = FREEZE_ENCODER
    encoder = [*vae.encoder.parameters(), *vae.quant_conv.parameters()]
    decoder = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
    optimizer = torch.optim.AdamW(
        [{"params": encoder}, {"params": decoder}], weight_decay=1e-3, betas=(0.9, 0.98), foreach=True
    )
    average = MovingAverage(vae, 0.998)
    start = 0
    if state := load_checkpoint(stage / "checkpoint.pt", device):
        vae.load_state_dict(state["vae"])
        optimizer.load_state_dict(state["optimizer"])
        average.load(state["average"])
        start = state["step"]
    adversary = decoder_adversary(device)  # a resumed run's begins anew
    source = Crops(RenderedSet.open(folder.pictures / "train"), open_photos(folder.pictures / "photos")[0])
    held_out = RenderedSet.open(folder.pictures / "held_out")
    report = Reporter("vae", stage, settings.vae_steps)
    for step in range(start, settings.vae_steps):
        progress = first + (1 - first) * step / settings.vae_steps
        frozen = progress >= FREEZE_ENCODER
        if frozen and encoder[0].requires_grad:
            freeze_at_average(vae, encoder, average)
        rates = learning_rates(progress, min(1.0, (step + 1) / 30))
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        side, count = next((side, count) for until, side, count in CROPS if progress < until)
        count = max(1, round(count * settings.vae_scale))
        chance = np.random.default_rng((settings.seed, 2, step))
        pixels = source.draw(chance, min(side, settings.size), count).to(device)
        noise = float(max(0.0, chance.uniform(-LATENT_NOISE, LATENT_NOISE)))
        loss, decoded = training_loss(vae, pixels, progress, noise=noise, frozen=frozen)
        if frozen:
            loss = loss + adversary.loss(decoded, loss, vae.decoder.conv_out.weight)
        loss.backward()
        if frozen:
            adversary.learn(pixels, decoded)
        clip_and_step([p for p in vae.parameters() if p.requires_grad], optimizer, 0.7)
        average.update(vae)
        report(step, loss=loss.item(), side=side)
        if (step + 1) % 1000 == 0 or step + 1 == settings.vae_steps:
            state = {"vae": vae.state_dict(), "optimizer": optimizer.state_dict(), "average": average.state()}
            save_checkpoint(stage / "checkpoint.pt", {**state, "step": step + 1})
            average.swap(vae)
            report(
                step, force=True, psnr=psnr(vae, held_out.batch(np.arange(min(24, len(held_out)))), device)
            )
            average.swap(vae)
    average.swap(vae)
    finish(vae, held_out, stage, device)


def training_loss(
    vae: AutoencoderKL, pixels: Tensor, progress: float, *, noise: float, frozen: bool
) -> tuple[Tensor, Tensor]:
    """One step's loss and the decoded pictures; with a frozen encoder only the reconstruction counts.

    `noise`: as `LATENT_NOISE`.
    """
    with autocast(pixels.device.type):
        with torch.set_grad_enabled(not frozen):
            latent = vae.encode(pixels).latent_dist
        sample = latent.sample()
        sample = sample + noise * sample.detach().std() * torch.randn_like(sample)
        decoded = vae.decode(sample).sample
    loss = reconstruction_loss(decoded, pixels, progress)
    if not frozen:
        mean, variance = latent.mean.float(), latent.var.float()
        divergence = 0.5 * (mean**2 + variance - 1 - latent.logvar.float()).mean()
        guide = (mean[:, :3] - 2 * F.avg_pool2d(pixels, pixels.shape[-1] // mean.shape[-1])).abs().mean()
        loss = loss + 3e-4 * divergence + max(0.0, 1 - progress / 0.3) * guide
    return loss, decoded.float()


@torch.no_grad()
def freeze_at_average(vae: AutoencoderKL, encoder: list[nn.Parameter], average: MovingAverage) -> None:
    """Fix the encoder at its averaged weights, which are the ones that will be shipped."""
    fixed = {id(parameter) for parameter in encoder}
    for parameter, mean in zip(vae.parameters(), average.averages, strict=True):
        if id(parameter) in fixed:
            parameter.copy_(mean)
            parameter.requires_grad_(False)
            parameter.grad = None


def finish(vae: AutoencoderKL, held_out: RenderedSet, stage: Path, device: str) -> None:
    """Measure on up to 100 held-out renders and save."""
    quality = psnr(vae.eval(), held_out.batch(np.arange(min(JUDGED, len(held_out)))), device)
    (stage / QUALITY).write_text(json.dumps({"psnr_held_out_renders": quality}))
    vae.to("cpu").save_pretrained(stage / "vae")
    print(f"[vae] PSNR on held-out renders: {quality:.2f} dB", flush=True)


def held_out_psnr(folder: BuildFolder, settings: BuildSettings) -> float:
    """PSNR in dB on held-out renders, as noted by the stage; measured and noted now if the VAE was taken over."""
    stage = folder.stage("vae")
    if not (stage / QUALITY).exists():
        vae = AutoencoderKL.from_pretrained(stage / "vae").to(settings.device)
        finish(vae, RenderedSet.open(folder.pictures / "held_out"), stage, settings.device)
    return float(json.loads((stage / QUALITY).read_text())["psnr_held_out_renders"])
