"""Trains the UNet of the bundled model on cached latents and captions drawn afresh at every step.

v-prediction (arXiv 2202.00512, appendix D) on a noise schedule with zero terminal SNR (arXiv 2305.08891), captions
dropped in a tenth of the cases (zeroed embeddings, as SDXL's pipeline has them without a negative prompt). On CPUs one
single-threaded process per core averages gradients over gloo; on a GPU one process does it all. A resumed run goes on
as if it had not stopped. Without a checkpoint training starts from the UNet in the stage's folder, if there is one
(`mini.starting`).
"""

import os
import re
from pathlib import Path

import numpy as np
import torch
import torch.distributed
import torch.multiprocessing
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from sdxl_lora.mini.batches import Batch, BatchSource
from sdxl_lora.mini.clip import PROJECTION, tokenize
from sdxl_lora.mini.optimisation import (
    GradientMean,
    MovingAverage,
    Reporter,
    autocast,
    clip_and_step,
    load_checkpoint,
    prepare_process,
    save_checkpoint,
    warmup_stable_decay,
)
from sdxl_lora.mini.pipeline import make_pipeline, make_scheduler
from sdxl_lora.mini.settings import BuildFolder, BuildSettings
from sdxl_lora.mini.sheets import denoiser_sheet

MOST_ATTENDED = 16  # cells a side
TIME_EMBEDDING = 32  # width of each of the six size and crop embeddings
CHECKPOINT_STEPS = 500
SHEET_STEPS = 1_000


def make_unet(channels: tuple[int, ...], context: int, side: int) -> UNet2DConditionModel:
    """SDXL's UNet classes in small: attention on the levels of at most 16 x 16 cells, `text_time` conditioning,
    scale-shift norms. `side`: of a picture's latents; `context`: width of the text embeddings."""
    attends = [side >> level <= MOST_ATTENDED for level in range(len(channels))]
    return UNet2DConditionModel(
        sample_size=side,
        block_out_channels=channels,
        layers_per_block=1,
        down_block_types=tuple("CrossAttnDownBlock2D" if attend else "DownBlock2D" for attend in attends),
        up_block_types=tuple("CrossAttnUpBlock2D" if attend else "UpBlock2D" for attend in attends[::-1]),
        transformer_layers_per_block=1,
        attention_head_dim=tuple(
            max(1, c // 32) for c in channels
        ),  # diffusers' name for the number of heads
        cross_attention_dim=context,
        addition_embed_type="text_time",
        addition_time_embed_dim=TIME_EMBEDDING,
        projection_class_embeddings_input_dim=PROJECTION + 6 * TIME_EMBEDDING,
        use_linear_projection=True,
        norm_num_groups=16 if channels[0] % 16 == 0 else 8,
        resnet_time_scale_shift="scale_shift",
    )


def freeze_lowest(unet: UNet2DConditionModel) -> None:
    """Stop the ResNets and feed-forward layers of the lowest level from learning: two thirds of all weights.

    The lowest level has cells of 32 px: it lays a picture out. Its attention to the words and all finer levels learn
    on. In a repository frozen weights take no room a second time.
    """
    lowest = len(unet.config["block_out_channels"]) - 1
    kept = re.compile(rf"(down_blocks\.{lowest}|mid_block|up_blocks\.0)\..*(resnets|samplers|\.ff)\.")
    for name, weights in unet.named_parameters():
        weights.requires_grad_(kept.match(name) is None)


class CaptionEncoder:
    """Captions -> SDXL's two text conditions, with the frozen encoders of the clip stage."""

    def __init__(self, folder: BuildFolder, device: str) -> None:
        clip, tokenizers = folder.stage("clip"), folder.stage("tokenizers")
        self.device = device
        self.tokenizer = CLIPTokenizer.from_pretrained(tokenizers / "tokenizer")
        self.tokenizer_2 = CLIPTokenizer.from_pretrained(tokenizers / "tokenizer_2")
        self.first = CLIPTextModel.from_pretrained(clip / "text_encoder").to(device).eval()
        self.second = CLIPTextModelWithProjection.from_pretrained(clip / "text_encoder_2").to(device).eval()
        self.width = self.first.config.hidden_size + self.second.config.hidden_size

    @torch.no_grad()
    def __call__(self, captions: list[str]) -> tuple[Tensor, Tensor]:
        """(N, 77, width) penultimate hidden states of both encoders and (N, PROJECTION) pooled; "" gives zeros."""
        dropped = torch.tensor([not text for text in captions], device=self.device)
        ids, ids_2 = tokenize(self.tokenizer, captions), tokenize(self.tokenizer_2, captions)
        return self.encode(ids.to(self.device), ids_2.to(self.device), dropped)

    @torch.no_grad()
    def encode(self, ids: Tensor, ids_2: Tensor, dropped: Tensor) -> tuple[Tensor, Tensor]:
        """The same of token ids (N, 77) of both tokenizers; zeros where `dropped` (N,) is true."""
        first = self.first(ids, output_hidden_states=True)
        second = self.second(ids_2, output_hidden_states=True)
        hidden = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], -1)
        kept = (~dropped).to(hidden.dtype)
        return hidden * kept[:, None, None], second.text_embeds * kept[:, None]


def velocity_loss(
    model: UNet2DConditionModel, batch: Batch, text: tuple[Tensor, Tensor], alphas: Tensor
) -> Tensor:
    """Weighted MSE of the predicted v = alpha * noise - sigma * latent; `alphas` = sqrt(alphas_cumprod), (1000,)."""
    device = text[0].device
    clean, noise, steps = (x.to(device) for x in (batch.latents, batch.noise, batch.timesteps))
    alpha, sigma = levels(steps, alphas.to(device))
    predicted = predicted_velocity(model, alpha * clean + sigma * noise, steps, text, batch.sizes.to(device))
    weights = batch.weights.to(device)
    error = (predicted - (alpha * noise - sigma * clean)).pow(2)
    return (weights * error).sum() / (weights.sum() * error.shape[1])


def levels(timesteps: Tensor, alphas: Tensor) -> tuple[Tensor, Tensor]:
    """(alpha, sigma) of each timestep, (N, 1, 1, 1): noisy = alpha * latents + sigma * noise."""
    alpha = alphas[timesteps].view(-1, 1, 1, 1)
    return alpha, (1 - alpha**2).sqrt()


def split(noisy: Tensor, velocity: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """(finished latents, noise) of noisy ones whose v is `velocity`, all (N, 4, h, w); alpha, sigma: see `levels`."""
    return alpha * noisy - sigma * velocity, sigma * noisy + alpha * velocity


def predicted_velocity(
    model: nn.Module, noisy: Tensor, timesteps: Tensor, text: tuple[Tensor, Tensor], sizes: Tensor
) -> Tensor:
    """v (N, 4, h, w) in fp32 of noisy latents, `text` as of `CaptionEncoder`, `sizes` as of `Batch`; on one device."""
    hidden, pooled = text
    shown = noisy.contiguous(memory_format=torch.channels_last)
    conditions = {"text_embeds": pooled, "time_ids": sizes}
    with autocast(noisy.device.type):
        found: Tensor = model(shown, timesteps, hidden, added_cond_kwargs=conditions, return_dict=False)[0]
    return found.float()


def train_denoiser(folder: BuildFolder, settings: BuildSettings) -> None:
    """Train on all workers, and write the averaged UNet to the stage's `unet` folder."""
    if settings.workers == 1 or settings.device != "cpu":
        _train(0, 1, folder, settings)
        return
    meeting = folder.stage("unet") / "meeting"
    meeting.unlink(missing_ok=True)
    arguments = (settings.workers, folder, settings, os.getpid())
    torch.multiprocessing.spawn(_train, arguments, nprocs=settings.workers)


def _train(
    rank: int, workers: int, folder: BuildFolder, settings: BuildSettings, parent: int | None = None
) -> None:
    """Train as worker `rank`; ends when the process `parent`, which started it, is no more."""
    prepare_process()
    stage, device = folder.stage("unet"), settings.device
    if workers > 1:
        torch.set_num_threads(1)
        meeting = f"file://{(stage / 'meeting').resolve()}"
        torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=workers)
    torch.manual_seed(settings.seed)
    encode = CaptionEncoder(folder, device)
    unet = make_unet(settings.unet_channels, encode.width, settings.latent_side)
    unet.set_attn_processor(AttnProcessor())  # faster than the fused kernel at these sizes on CPUs
    unet = unet.to(device, memory_format=torch.channels_last).train()
    if (stage / "unet").exists():  # of the model that the build started from
        unet.load_state_dict(UNet2DConditionModel.from_pretrained(stage / "unet").state_dict())
    if settings.unet_freeze_lowest:
        freeze_lowest(unet)
    learning = [weights for weights in unet.parameters() if weights.requires_grad]
    optimizer = torch.optim.AdamW(learning, weight_decay=0.01, betas=(0.9, 0.98), foreach=True)
    average = MovingAverage(unet, 0.9985)
    start = 0
    if state := load_checkpoint(stage / "checkpoint.pt", device):
        unet.load_state_dict(state["unet"])
        optimizer.load_state_dict(state["optimizer"])
        average.load(state["average"])
        start = state["step"]
    model = torch.compile(unet, dynamic=False) if settings.compile else unet
    source = BatchSource(folder, settings)
    alphas = training_alphas()
    mean = GradientMean(learning, workers)
    report = Reporter("unet", stage, settings.unet_steps, quiet=rank > 0)
    losses: list[float] = []
    for step in range(start, settings.unet_steps):
        if parent is not None and os.getppid() != parent:
            raise SystemExit("the build was stopped; run the same command again to resume")
        factor = warmup_stable_decay(
            step, total=settings.unet_steps, warmup=200, decay=settings.unet_decay_steps
        )
        for group in optimizer.param_groups:
            group["lr"] = settings.unet_learning_rate * factor
        batch = source.draw(step, rank, settings.unet_batch // workers)
        loss = velocity_loss(model, batch, encode(batch.captions), alphas)
        loss.backward()
        mean()
        clip_and_step(mean.parameters, optimizer, 1.0)
        average.update(unet)
        losses = [*losses[-99:], loss.item()]
        report(step, loss=float(np.mean(losses)), rate=group["lr"])
        if rank == 0 and ((step + 1) % CHECKPOINT_STEPS == 0 or step + 1 == settings.unet_steps):
            state = {
                "unet": unet.state_dict(),
                "optimizer": optimizer.state_dict(),
                "average": average.state(),
            }
            save_checkpoint(stage / "checkpoint.pt", {**state, "step": step + 1})
        if rank == 0 and (step + 1) % SHEET_STEPS == 0:
            _sheet(unet, average, folder, stage / f"sheet_{step + 1:06d}.jpg")
    if rank == 0:
        average.swap(unet)
        unet.to("cpu").save_pretrained(stage / "unet")
    if workers > 1:
        torch.distributed.destroy_process_group()


def training_alphas() -> Tensor:
    """sqrt(alphas_cumprod) of the zero-terminal-SNR schedule, (1000,); the last is exactly 0 in training."""
    alphas = make_scheduler().alphas_cumprod.sqrt()
    alphas[-1] = 0.0  # the scheduler keeps 2^-24 there to stay invertible
    return alphas


def _sheet(unet: UNet2DConditionModel, average: MovingAverage, folder: BuildFolder, path: Path) -> None:
    """A contact sheet with the averaged weights, without touching the training's random state."""
    average.swap(unet)
    device = unet.device
    unet.eval()
    denoiser_sheet(make_pipeline(folder, unet).to(device), path)
    unet.train()
    average.swap(unet)
