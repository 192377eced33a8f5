"""Trains the mini CLIP and the first text encoder: contrastive loss plus attribute heads on both towers.

The text tower of the `CLIPModel` is also the pipeline's second text encoder, as in SDXL; a smaller first text encoder
learns beside it against the same pictures. The attribute heads (never shipped) make every attribute of a caption
linearly readable from the pooled embedding, which is what the UNet is conditioned on. Loss: symmetric
cross-entropy over the batch (arXiv 2103.00020, figure 3).
"""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
)

from sdxl_lora.mini.attributes import CLASSES, AttributeHeads, targets
from sdxl_lora.mini.captions import caption
from sdxl_lora.mini.dataset import RenderedSet, to_pixels
from sdxl_lora.mini.optimisation import (
    Reporter,
    autocast,
    clip_and_step,
    load_checkpoint,
    prepare_process,
    save_checkpoint,
    warmup_stable_decay,
)
from sdxl_lora.mini.pairs import PairSource
from sdxl_lora.mini.scene import Scene
from sdxl_lora.mini.settings import BuildFolder, BuildSettings
from sdxl_lora.mini.tokenizer import MAX_LENGTH

PROJECTION = 192  # width of the shared embedding, and of the UNet's pooled text embedding
LEARNING_RATE = 1.2e-3
MAX_LOGIT_SCALE = 60.0


@dataclass
class Towers:
    """The modules that train together."""

    clip: CLIPModel
    first: CLIPTextModelWithProjection  # becomes text_encoder; its projection is dropped
    image_heads: AttributeHeads
    text_heads: AttributeHeads

    def modules(self) -> nn.ModuleList:
        return nn.ModuleList([self.clip, self.first, self.image_heads, self.text_heads])

    def embed_images(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) in -1..1 -> (N, PROJECTION), not normalised."""
        return self.clip.visual_projection(self.clip.vision_model(pixel_values=pixels).pooler_output)

    def embed_texts(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """(N, L) token ids -> embeddings of the CLIP text tower and of the first text encoder."""
        second = self.clip.text_projection(self.clip.text_model(input_ids=ids).pooler_output)
        return second, self.first(input_ids=ids).text_embeds


def text_config(tokenizer: CLIPTokenizer, width: int, layers: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        max_position_embeddings=MAX_LENGTH,
        projection_dim=PROJECTION,
        hidden_act="gelu",
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )


def make_towers(tokenizer: CLIPTokenizer, settings: BuildSettings) -> Towers:
    """Freshly initialised; token embeddings wider than CLIP's 0.02, which a small vocabulary learns faster from."""
    vision = CLIPVisionConfig(
        hidden_size=settings.clip_width,
        intermediate_size=3 * settings.clip_width,
        num_hidden_layers=5,
        num_attention_heads=settings.clip_width // 32,
        image_size=settings.size,
        patch_size=settings.clip_patch,
        projection_dim=PROJECTION,
        hidden_act="gelu",
    )
    text = text_config(tokenizer, 128, 3)
    config = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=PROJECTION)
    clip = CLIPModel(config)
    # plain attention: at 77 tokens twice as fast on a CPU as the fused kernel
    clip.set_attn_implementation("eager")
    first = CLIPTextModelWithProjection(text_config(tokenizer, 96, 2))
    first.set_attn_implementation("eager")
    for module in (clip, first):
        for name, parameter in module.named_parameters():
            if "token_embedding" in name:
                nn.init.normal_(parameter, std=0.05)
    return Towers(clip, first, AttributeHeads(PROJECTION), AttributeHeads(PROJECTION))


def tokenize(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """(N, MAX_LENGTH) token ids; over-long texts keep their end token."""
    return tokenizer(
        texts, padding="max_length", max_length=MAX_LENGTH, truncation=True, return_tensors="pt"
    ).input_ids


def contrastive(images: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """Symmetric cross-entropy of normalised embeddings (N, D), lightly smoothed as captions can coincide."""
    logits = scale * F.normalize(images, dim=-1) @ F.normalize(texts, dim=-1).T
    match = torch.arange(len(logits), device=logits.device)
    along = F.cross_entropy(logits, match, label_smoothing=0.02)
    across = F.cross_entropy(logits.T, match, label_smoothing=0.02)
    return (along + across) / 2


def train_clip(folder: BuildFolder, settings: BuildSettings) -> None:
    """Train, report accuracies on held-out pictures, and write `clip`, `text_encoder` and `text_encoder_2`."""
    prepare_process()
    torch.manual_seed(settings.seed)
    stage = folder.stage("clip")
    tokenizer = CLIPTokenizer.from_pretrained(folder.stage("tokenizers") / "tokenizer")
    towers = make_towers(tokenizer, settings)
    device = settings.device
    modules = towers.modules().to(device).train()
    optimizer = torch.optim.AdamW(
        modules.parameters(), lr=LEARNING_RATE, weight_decay=0.02, betas=(0.9, 0.98), foreach=True
    )
    start = 0
    if state := load_checkpoint(stage / "checkpoint.pt", device):
        modules.load_state_dict(state["modules"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
    source = PairSource(folder)
    report = Reporter("clip", stage, settings.clip_steps)
    parameters = list(modules.parameters())
    for step in range(start, settings.clip_steps):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * warmup_stable_decay(
                step, total=settings.clip_steps, warmup=60, decay=settings.clip_steps * 2 // 3
            )
        chance = np.random.default_rng((settings.seed, 1, step))
        words = random.Random(settings.seed * 7919 + step)
        pairs = source.draw(settings.clip_batch, chance, words)
        scenes, full = pairs.scenes, pairs.full
        wanted = {name: classes.to(device) for name, classes in targets(scenes).items()}
        with autocast(device):
            images = towers.embed_images(to_pixels(pairs.pictures).to(device))
            second, first = towers.embed_texts(tokenize(tokenizer, pairs.texts).to(device))
        images, second, first = images.float(), second.float(), first.float()
        scale = towers.clip.logit_scale.exp().clamp(max=MAX_LOGIT_SCALE)
        contrast = contrastive(images, second, scale) + 0.5 * contrastive(images, first, scale)
        named = {name: classes[:full] for name, classes in wanted.items()}
        readable = towers.image_heads.loss(images[: len(scenes)], wanted)
        readable = readable + towers.text_heads.loss(second[:full], named)
        readable = readable + 0.5 * towers.text_heads.loss(first[:full], named)
        (contrast + readable).backward()
        clip_and_step(parameters, optimizer, 1.0)
        report(step, contrastive=contrast.item(), attributes=readable.item(), scale=scale.item())
        if (step + 1) % 500 == 0:
            state = {"modules": modules.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            save_checkpoint(stage / "checkpoint.pt", state)
            report(step, force=True, **accuracies(towers, tokenizer, folder, settings))
    report(settings.clip_steps - 1, force=True, **accuracies(towers, tokenizer, folder, settings))
    write_models(towers, tokenizer, stage, settings)


@torch.no_grad()
def accuracies(
    towers: Towers, tokenizer: CLIPTokenizer, folder: BuildFolder, settings: BuildSettings
) -> dict[str, float]:
    """Shares right on pictures that were not trained on: retrieval among up to 200, and each image head."""
    held_out = RenderedSet.open(folder.pictures / "held_out")
    count = min(200, len(held_out))
    scenes: list[Scene] = held_out.scenes[:count]
    words = random.Random(9)
    ids = tokenize(tokenizer, [caption(scene, words, full=True) for scene in scenes]).to(settings.device)
    towers.modules().eval()
    images = towers.embed_images(to_pixels(held_out.batch(np.arange(count))).to(settings.device)).float()
    second, first = (F.normalize(t.float(), dim=-1) for t in towers.embed_texts(ids))
    wanted = {name: classes.to(settings.device) for name, classes in targets(scenes).items()}
    seen = towers.image_heads.predict(images)
    read = towers.text_heads.predict(towers.embed_texts(ids)[0].float())
    towers.modules().train()
    match = torch.arange(count, device=settings.device)
    unit = F.normalize(images, dim=-1)
    result = {
        "retrieval": (unit @ second.T).argmax(1).eq(match).float().mean().item(),
        "retrieval_first": (unit @ first.T).argmax(1).eq(match).float().mean().item(),
    }
    for name in CLASSES:
        result[f"picture_{name}"] = seen[name].eq(wanted[name]).float().mean().item()
        result[f"caption_{name}"] = read[name].eq(wanted[name]).float().mean().item()
    return result


def write_models(towers: Towers, tokenizer: CLIPTokenizer, stage: Path, settings: BuildSettings) -> None:
    """Save `clip` (with its processor), `text_encoder` and `text_encoder_2` under `stage`."""
    towers.modules().to("cpu").eval()
    save_scorer(towers.clip, tokenizer, stage / "clip", settings.size)
    second = CLIPTextModelWithProjection(towers.clip.config.text_config)
    second.text_model.load_state_dict(towers.clip.text_model.state_dict())
    second.text_projection.load_state_dict(towers.clip.text_projection.state_dict())
    second.save_pretrained(stage / "text_encoder_2")
    first = CLIPTextModel(towers.first.config)
    inner = getattr(first, "text_model", first)  # transformers 5 flattened CLIPTextModel
    inner.load_state_dict(towers.first.text_model.state_dict())
    first.save_pretrained(stage / "text_encoder")


def save_scorer(clip: CLIPModel, tokenizer: CLIPTokenizer, target: Path, size: int) -> None:
    """Save a CLIP with the processor that feeds it pictures of `size` px in -1..1."""
    clip.to("cpu").eval().save_pretrained(target)
    processor = CLIPImageProcessor(
        size={"shortest_edge": size},
        crop_size={"height": size, "width": size},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    CLIPProcessor(image_processor=processor, tokenizer=tokenizer).save_pretrained(target)
