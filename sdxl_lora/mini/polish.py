"""Trains the VAE's decoder on once the UNet is done: on latents as the UNet predicts them, not only on exact ones.

A small UNet leaves flat cloth and backgrounds a little mottled and edges soft. Its errors are not the white noise that
the vae stage adds; here the decoder sees the real ones, beside the picture that was meant. Half of the latents stay
exact, so that uploads decode as well as before. The encoder, and with it every latent, stays as it is.
"""

import random

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor

from sdxl_lora.mini.autoencoder import finish, reconstruction_loss
from sdxl_lora.mini.batches import CELL, window_corner
from sdxl_lora.mini.captions import caption
from sdxl_lora.mini.dataset import RenderedSet, to_pixels
from sdxl_lora.mini.denoiser import CaptionEncoder, signal_levels
from sdxl_lora.mini.latents import load_latents
from sdxl_lora.mini.optimisation import (
    MovingAverage,
    Reporter,
    autocast,
    clip_and_step,
    load_checkpoint,
    prepare_process,
    save_checkpoint,
    warmup_stable_decay,
)
from sdxl_lora.mini.settings import BuildFolder, BuildSettings

NOISE_LEVELS = (50, 450)  # timesteps the UNet predicts from: less noise shows no errors, more another picture
EXACT_SHARE = 0.5  # of the latents in a batch are the encoder's own
AROUND_EMBLEM = 0.4  # of the windows hold the emblem or the details of the garment
LEARNING_RATE = 4e-4
CHECKPOINT_STEPS = 250


class PredictedLatents:
    """Draws windows of pictures with their latents, exact or as the UNet predicts them; a function of seed and step."""

    def __init__(self, folder: BuildFolder, settings: BuildSettings) -> None:
        self.settings = settings
        self.latents, self.weights = load_latents(folder.stage("latents") / "train")
        self.rendered = RenderedSet.open(folder.pictures / "train")
        self.factor = 1 / float(self.latents.astype(np.float32).std())
        self.encode = CaptionEncoder(folder, settings.device)
        unet = UNet2DConditionModel.from_pretrained(folder.stage("unet") / "unet")
        self.unet = unet.to(settings.device, memory_format=torch.channels_last).eval()
        self.alphas = signal_levels().to(settings.device)

    def draw(self, step: int) -> tuple[Tensor, Tensor]:
        """Latents (N, 4, s, s) in the VAE's own scale, and the pixels (N, 3, 8s, 8s) they stand for."""
        chance = np.random.default_rng((self.settings.seed, 5, step))
        indices = chance.integers(0, len(self.latents), self.settings.polish_batch)
        latents = torch.from_numpy(self.latents[indices]).float().to(self.settings.device)
        exact = round(len(indices) * EXACT_SHARE)
        latents[exact:] = self._predicted(latents[exact:], indices[exact:], chance)
        side = latents.shape[-1] // 2
        windows, pixels = [], []
        for latent, index in zip(latents, indices, strict=True):
            weights = self.weights[index]
            around = chance.random() < AROUND_EMBLEM
            top, left = window_corner(weights if around else np.ones_like(weights), side, chance)
            windows.append(latent[:, top : top + side, left : left + side])
            rows, columns = (slice(CELL * start, CELL * (start + side)) for start in (top, left))
            pixels.append(self.rendered.picture(int(index))[rows, columns])
        return torch.stack(windows), to_pixels(np.stack(pixels)).to(self.settings.device)

    @torch.no_grad()
    def _predicted(self, latents: Tensor, indices: np.ndarray, chance: np.random.Generator) -> Tensor:
        """alpha * noisy - sigma * v: the clean latents the UNet sees in noisy ones (arXiv 2202.00512, appendix D)."""
        device = latents.device
        words = random.Random(int(chance.integers(2**62)))
        scenes = [self.rendered.scenes[int(i)] for i in indices]
        hidden, pooled = self.encode([caption(scene, words, full=True) for scene in scenes])
        generator = torch.Generator().manual_seed(int(chance.integers(2**62)))
        noise = torch.randn(latents.shape, generator=generator).to(device)
        steps = torch.from_numpy(chance.integers(*NOISE_LEVELS, len(indices))).to(device)
        alpha = self.alphas[steps].view(-1, 1, 1, 1)
        sigma = (1 - alpha**2).sqrt()
        noisy = alpha * latents * self.factor + sigma * noise
        side = CELL * latents.shape[-1]
        sizes = torch.tensor([[side, side, 0, 0, side, side]] * len(indices), device=device).float()
        with autocast(device.type):
            conditions = {"text_embeds": pooled, "time_ids": sizes}
            velocity = self.unet(noisy, steps, hidden, added_cond_kwargs=conditions, return_dict=False)[0]
        return (alpha * noisy - sigma * velocity.float()) / self.factor


def polish_decoder(folder: BuildFolder, settings: BuildSettings) -> None:
    """Train the decoder, report PSNR on held-out renders, and write the VAE to the stage's `vae` folder."""
    prepare_process()
    torch.manual_seed(settings.seed)
    stage, device = folder.stage("polish"), settings.device
    vae = AutoencoderKL.from_pretrained(folder.stage("vae") / "vae")
    vae = vae.to(device, memory_format=torch.channels_last).train()
    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)
    learning = [weights for weights in vae.parameters() if weights.requires_grad]
    optimizer = torch.optim.AdamW(learning, weight_decay=1e-3, betas=(0.9, 0.98), foreach=True)
    average = MovingAverage(vae, 0.998)
    start = 0
    if state := load_checkpoint(stage / "checkpoint.pt", device):
        vae.load_state_dict(state["vae"])
        optimizer.load_state_dict(state["optimizer"])
        average.load(state["average"])
        start = state["step"]
    source = PredictedLatents(folder, settings)
    total = settings.polish_steps
    report = Reporter("polish", stage, total)
    for step in range(start, total):
        factor = warmup_stable_decay(step, total=total, warmup=30, decay=total // 2)
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * factor
        latents, pixels = source.draw(step)
        with autocast(device):
            decoded = vae.decode(latents.contiguous(memory_format=torch.channels_last)).sample
        loss = reconstruction_loss(decoded, pixels, 1.0)
        loss.backward()
        clip_and_step(learning, optimizer, 0.7)
        average.update(vae)
        report(step, loss=loss.item())
        if (step + 1) % CHECKPOINT_STEPS == 0 or step + 1 == total:
            state = {"vae": vae.state_dict(), "optimizer": optimizer.state_dict(), "average": average.state()}
            save_checkpoint(stage / "checkpoint.pt", {**state, "step": step + 1})
    average.swap(vae)
    finish(vae, RenderedSet.open(folder.pictures / "held_out"), stage, device)
