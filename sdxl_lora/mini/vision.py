"""Trains the picture tower of the scoring CLIP with fine patches, against the finished text tower.

The clip stage trains both towers with 32 px patches, which is quick and gives the UNet its text encoders, but such a
tower hardly sees an emblem of 30 px. Here the text tower stays as it is (locked tuning with the roles of
arXiv 2111.07991 exchanged) and a new tower with 16 px patches learns to meet it: contrastive loss, attribute heads that
read pictures and captions alike, so that both towers mean the same by a direction, and heads on single patches, which
must name the emblem they lie under (otherwise the last thing a small transformer learns). The heads are not shipped.
"""

import random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer, CLIPVisionConfig

from sdxl_lora.mini.attributes import CLASSES, NONE, AttributeHeads, targets
from sdxl_lora.mini.captions import caption
from sdxl_lora.mini.clip import MAX_LOGIT_SCALE, PROJECTION, contrastive, save_scorer, tokenize
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
from sdxl_lora.mini.pairs import Pairs, PairSource
from sdxl_lora.mini.renderer import emblem_mask
from sdxl_lora.mini.scene import Scene
from sdxl_lora.mini.settings import BuildFolder, BuildSettings

LEARNING_RATE = 1.5e-3
SHIFT = 6  # px by which training pictures are moved at most, in each direction
COVERED = 0.3  # share of a patch that an emblem must cover to be named there
PATCH_NAMES = ("emblem", "emblem_colour")
SLOW_TO_LEARN = {
    "garment": 4.0,
    "emblem": 3.0,
}  # weights of what a small transformer sees last; the others count 1
PLACE_SCALE = 0.3  # of the first position embeddings, about that of the first patch embeddings
CHECKPOINT_STEPS = 250


class VisionTrainee(nn.Module):
    """A CLIP with a new picture tower and a locked text tower, and the heads that teach it."""

    def __init__(self, trained: CLIPModel, settings: BuildSettings) -> None:
        super().__init__()
        vision = CLIPVisionConfig(
            hidden_size=settings.vision_width,
            intermediate_size=3 * settings.vision_width,
            num_hidden_layers=settings.vision_layers,
            num_attention_heads=settings.vision_width // 32,
            image_size=settings.size,
            patch_size=settings.vision_patch,
            projection_dim=PROJECTION,
            hidden_act="gelu",
        )
        text = trained.config.text_config.to_dict()
        self.clip = CLIPModel(
            CLIPConfig(text_config=text, vision_config=vision.to_dict(), projection_dim=PROJECTION)
        )
        self.clip.set_attn_implementation("eager")  # as in the clip stage: faster at these sizes
        for part in ("text_model", "text_projection"):
            getattr(self.clip, part).load_state_dict(getattr(trained, part).state_dict())
            getattr(self.clip, part).requires_grad_(False).eval()
        with torch.no_grad():
            self.clip.logit_scale.copy_(trained.logit_scale)
            side = settings.size // settings.vision_patch
            places = (
                self.clip.vision_model.embeddings.position_embedding.weight
            )  # the class token's, then the patches'
            places[1:] = PLACE_SCALE * sine_places(side, settings.vision_width)
        self.heads = AttributeHeads(PROJECTION)
        self.patch_heads = AttributeHeads(settings.vision_width, PATCH_NAMES)

    def learning(self) -> list[nn.Parameter]:
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def embed_pictures(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) in -1..1 -> (N, PROJECTION), not normalised, and the patches' states (N, P, width)."""
        seen = self.clip.vision_model(pixel_values=pixels)
        return self.clip.visual_projection(seen.pooler_output), seen.last_hidden_state[:, 1:]

    @torch.no_grad()
    def embed_captions(self, ids: Tensor) -> Tensor:
        """(N, L) token ids -> (N, PROJECTION), not normalised."""
        return self.clip.text_projection(self.clip.text_model(input_ids=ids).pooler_output)

    def readable(self, embedding: Tensor) -> Tensor:
        """What the shared heads read: directions only, as a cosine does."""
        return F.normalize(embedding.float(), dim=-1) * PROJECTION**0.5


def sine_places(side: int, width: int) -> Tensor:
    """(side * side, width) sines and cosines of a patch's row and column, a quarter of the width each.

    As a start for learned position embeddings they show a small transformer what lies beside what; from CLIP's own
    random start it had read 12 % of the garments after 250 steps (docs/log.md). Source: arXiv 2205.01580.
    """
    frequencies = 10_000 ** -(torch.arange(width // 4) / (width // 4 - 1))
    along = torch.arange(side)[:, None] * frequencies
    waves = torch.cat([along.sin(), along.cos()], 1)
    return torch.cat([waves.repeat_interleave(side, 0), waves.repeat(side, 1)], 1)


def patch_loss(heads: AttributeHeads, states: Tensor, scenes: list[Scene]) -> Tensor:
    """Cross-entropy of naming the emblem at every covered patch, and none at as many others.

    `states` (N, P, width) belong to `scenes`, row by row of patches.
    """
    side = round(states.shape[1] ** 0.5)
    covered = np.stack([emblem_mask(scene, side) > COVERED for scene in scenes]).reshape(len(scenes), -1)
    bare = _as_many_others(covered)
    rows, patches = np.nonzero(covered | bare)
    if not len(rows):
        return states.new_zeros(())
    wanted = {}
    for name, indices in targets(scenes).items():
        if name in PATCH_NAMES:
            none = CLASSES[name].index(NONE)
            wanted[name] = torch.where(torch.from_numpy(covered[rows, patches]), indices[rows], none).to(
                states.device
            )
    return torch.stack(heads.losses(states[rows, patches].float(), wanted)).mean()


def _as_many_others(covered: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """For each picture a fixed scatter of uncovered patches, about as many as are covered in the batch on average."""
    every = max(1, covered.size // max(1, int(covered.sum())))
    scattered = np.arange(covered.size).reshape(covered.shape) * 7919 % every == 0
    return scattered & ~covered


def moved(pictures: NDArray[np.uint8], chance: np.random.Generator) -> NDArray[np.uint8]:
    """Pictures (N, H, W, 3) moved together by up to `SHIFT` px, edges repeated: no two visits look the same."""
    y, x = chance.integers(0, 2 * SHIFT + 1, 2)
    padded = np.pad(pictures, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="edge")
    height, width = pictures.shape[1:3]
    return padded[:, y : y + height, x : x + width]


def train_vision(folder: BuildFolder, settings: BuildSettings) -> None:
    """Train, report accuracies on held-out pictures, and write the scoring CLIP to the stage's `clip` folder."""
    prepare_process()
    torch.manual_seed(settings.seed + 5)
    stage, device = folder.stage("vision"), settings.device
    trained = folder.stage("clip") / "clip"
    tokenizer = CLIPTokenizer.from_pretrained(trained)
    trainee = VisionTrainee(CLIPModel.from_pretrained(trained), settings).to(device)
    optimizer = torch.optim.AdamW(trainee.learning(), weight_decay=0.03, betas=(0.9, 0.98), foreach=True)
    if (stage / "clip").exists():  # of the model that the build started from
        trainee.clip.load_state_dict(CLIPModel.from_pretrained(stage / "clip").state_dict())
    start = 0
    if state := load_checkpoint(stage / "checkpoint.pt", device):
        trainee.load_state_dict(state["trainee"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
    source = PairSource(folder)
    report = Reporter("vision", stage, settings.vision_steps)
    for step in range(start, settings.vision_steps):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * warmup_stable_decay(
                step, total=settings.vision_steps, warmup=60, decay=settings.vision_steps * 2 // 3
            )
        chance = np.random.default_rng((settings.seed, 5, step))
        words = random.Random(settings.seed * 6007 + step)
        pairs = source.draw(settings.vision_batch, chance, words)
        pixels = to_pixels(moved(pairs.pictures, chance)).to(device)
        ids = tokenize(tokenizer, pairs.texts).to(device)
        loss, figures = vision_loss(trainee, pixels, ids, pairs)
        loss.backward()
        clip_and_step(trainee.learning(), optimizer, 1.0)
        report(step, force=False, **figures)
        if (step + 1) % CHECKPOINT_STEPS == 0:
            state = {"trainee": trainee.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            save_checkpoint(stage / "checkpoint.pt", state)
            report(step, force=True, **vision_accuracies(trainee, tokenizer, folder, device))
    report(settings.vision_steps - 1, force=True, **vision_accuracies(trainee, tokenizer, folder, device))
    save_scorer(trainee.clip, tokenizer, stage / "clip", settings.size)


def vision_loss(
    trainee: VisionTrainee, pixels: Tensor, ids: Tensor, pairs: Pairs
) -> tuple[Tensor, dict[str, float]]:
    """Loss and its parts; `pixels` and `ids` are of `pairs`."""
    scenes, full = pairs.scenes, pairs.full
    with autocast(pixels.device.type):
        images, states = trainee.embed_pictures(pixels)
        captions = trainee.embed_captions(ids)
    images, captions = images.float(), captions.float()
    scale = trainee.clip.logit_scale.exp().clamp(max=MAX_LOGIT_SCALE)
    contrast = contrastive(images, captions, scale)
    wanted = {name: classes.to(pixels.device) for name, classes in targets(scenes).items()}
    seen = trainee.heads.loss(trainee.readable(images[: len(scenes)]), wanted, SLOW_TO_LEARN)
    read = trainee.heads.loss(
        trainee.readable(captions[:full]), {name: classes[:full] for name, classes in wanted.items()}
    )
    near = patch_loss(trainee.patch_heads, states[: len(scenes)], scenes)
    figures = {
        "contrastive": contrast.item(),
        "seen": seen.item(),
        "read": read.item(),
        "patches": near.item(),
    }
    return contrast + seen + read + near, figures


@torch.no_grad()
def vision_accuracies(
    trainee: VisionTrainee, tokenizer: CLIPTokenizer, folder: BuildFolder, device: str
) -> dict[str, float]:
    """Shares right on up to 200 pictures that were not trained on: retrieval, and each attribute's head."""
    held_out = RenderedSet.open(folder.pictures / "held_out")
    count = min(200, len(held_out))
    scenes, words = held_out.scenes[:count], random.Random(9)
    ids = tokenize(tokenizer, [caption(scene, words, full=True) for scene in scenes]).to(device)
    parts = held_out.batch(np.arange(count))
    pictures = torch.cat(
        [trainee.embed_pictures(to_pixels(parts[i : i + 25]).to(device))[0] for i in range(0, count, 25)]
    )
    captions = F.normalize(trainee.embed_captions(ids), dim=-1)
    seen = trainee.heads.predict(trainee.readable(pictures))
    wanted = {name: classes.to(device) for name, classes in targets(scenes).items()}
    nearest = (F.normalize(pictures, dim=-1) @ captions.T).argmax(1)
    result = {"retrieval": nearest.eq(torch.arange(count, device=device)).float().mean().item()}
    return result | {f"picture_{name}": seen[name].eq(wanted[name]).float().mean().item() for name in CLASSES}
