"""Row numbers -> what the UNet is trained on, from the disk caches or encoded on the spot.

Both ways give the same numbers up to rounding (a test says so). Every draw comes from `StepRng`, which is a
function of (seed, update, step, process).
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from sdxl_lora.data import geometry
from sdxl_lora.data.geometry import Placement
from sdxl_lora.data.images import decode
from sdxl_lora.training.cache import RecordCache
from sdxl_lora.training.dataset_index import DatasetIndex
from sdxl_lora.training.latents import posterior, require_finite, sample_posterior
from sdxl_lora.training.randomness import derive, generator, seeded
from sdxl_lora.training.text import TextCondition, TextEncoding

Progress = Callable[[int, int], None]  # (done, of)


@dataclass(frozen=True, kw_only=True)
class StepRng:
    """Random generators of one step of one process, one for each purpose: functions of all four numbers."""

    seed: int
    update: int
    step: int  # within the update, for gradient accumulation
    rank: int

    def of(self, purpose: str) -> torch.Generator:
        return generator(self.seed, purpose, self.update, self.step, self.rank)

    def dropout(self, share: float, device: torch.device) -> AbstractContextManager[None]:
        """To be entered around what a LoRA with dropout computes: torch draws from its own generators there, which are
        put back. Nothing is done for a share of 0.
        """
        if not share:
            return nullcontext()
        return seeded(device, derive(self.seed, "lora dropout", self.update, self.step, self.rank))


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The pictures of one step of one process."""

    keys: tuple[str, ...]  # what the pictures are called
    latents: Tensor  # B x C x h x w, fp32, scaled
    condition: TextCondition
    time_ids: Tensor | None  # B x 6, fp32; SDXL only
    regular: tuple[
        bool, ...
    ]  # B, whether it is a regularisation picture; on the host, so that nobody has to ask a GPU
    weights: Tensor | None = (
        None  # B x 1 x h x w, each picture's mean 1: what every latent counts; None: the same
    )

    def map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """Every tensor changed, moved to another device for example."""
        pooled = self.condition.pooled
        return replace(
            self,
            latents=change(self.latents),
            condition=TextCondition(
                change(self.condition.embeddings), None if pooled is None else change(pooled)
            ),
            time_ids=None if self.time_ids is None else change(self.time_ids),
            weights=None if self.weights is None else change(self.weights),
        )

    def only(self, places: Sequence[int]) -> "Batch":
        """The pictures at `places`."""
        index = torch.tensor(places, device=self.latents.device)
        return replace(
            self.map(lambda tensor: tensor[index]),
            keys=tuple(self.keys[place] for place in places),
            regular=tuple(self.regular[place] for place in places),
        )


class LatentSource(Protocol):
    def posteriors(self, rows: Sequence[int], variants: Sequence[int]) -> Tensor:
        """B x 2 x C x h x w fp32: mean and standard deviation."""


class TextSource(Protocol):
    def encode(self, captions: Sequence[str | None]) -> TextCondition:
        """`None` is a left-out caption."""


class LiveLatents:
    """Decodes and encodes pictures in every step."""

    def __init__(
        self, data_index: DatasetIndex, vae: AutoencoderKL, interpolation: str, workers: int = 0
    ) -> None:
        self._data_index, self._vae, self._interpolation = data_index, vae, interpolation
        self._pool = ThreadPoolExecutor(max(1, workers))

    def pixels(self, rows: Sequence[int], variants: Sequence[int]) -> Tensor:
        """B x 3 x H x W in [-1, 1]."""
        return torch.stack(list(self._pool.map(self._cut, rows, variants)))

    def _cut(self, row: int, variant: int) -> Tensor:
        image, _ = decode(self._data_index.source.read(row), self._data_index.source.keys[row])
        return geometry.cut(image, self._data_index.placement(row, variant), self._interpolation)

    def posteriors(self, rows: Sequence[int], variants: Sequence[int]) -> Tensor:
        result = posterior(self._vae, self.pixels(rows, variants))
        require_finite(result, self._data_index.source.keys[rows[0]])
        return result


class CachedLatents:
    """Posteriors of every row and variant, in one memory-mapped file."""

    def __init__(
        self,
        data_index: DatasetIndex,
        root: Path,
        key: str,
        channels: int,
        vae_factor: int,
        interpolation: str,
    ) -> None:
        self._records: dict[tuple[int, int], int] = {}  # (row, variant) -> record; equal placements share one
        self._makes: list[tuple[int, int]] = []  # record -> the (row, variant) it is made from
        shapes, digest = [], hashlib.sha256(f"latents {key} {interpolation}".encode())
        for row in range(len(data_index)):
            seen: dict[Placement, int] = {}
            for variant in range(data_index.variants):
                placement = data_index.placement(row, variant)
                if placement not in seen:
                    seen[placement] = len(self._makes)
                    self._makes.append((row, variant))
                    digest.update(f"{data_index.hashes[row]} {placement}".encode())
                    shapes.append((2, channels, *(side // vae_factor for side in placement.target)))
                self._records[row, variant] = seen[placement]
        self.cache = RecordCache(root / f"latents-{digest.hexdigest()[:20]}", shapes, torch.float32)

    def fill(
        self, live: LiveLatents, batch_size: int, share: tuple[int, int] = (0, 1)
    ) -> Iterator[tuple[int, int]]:
        """Encodes what is missing, this process's share of it; yields (records done, of)."""
        chunks = self.cache.chunks_to_fill(batch_size, share)
        total, done = sum(map(len, chunks)), 0
        for chunk in chunks:
            rows, variants = zip(*(self._makes[record] for record in chunk), strict=True)
            for record, value in zip(chunk, live.posteriors(rows, variants).cpu(), strict=True):
                self.cache.write(record, value)
            done += len(chunk)
            yield done, total
        self.cache.flush()

    def posteriors(self, rows: Sequence[int], variants: Sequence[int]) -> Tensor:
        return torch.stack([self.cache.read(self._records[key]) for key in zip(rows, variants, strict=True)])


class LiveText:
    """Encodes captions in every step; gradients reach the encoders where they are trained."""

    def __init__(
        self, encoding: TextEncoding, autocast: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        """`autocast` is entered around the encoders; needed where they carry fp32 LoRAs on half-precision
        weights.
        """
        self._encoding, self._autocast = encoding, autocast

    def encode(self, captions: Sequence[str | None]) -> TextCondition:
        with self._autocast():
            condition = self._encoding.encode([caption or "" for caption in captions])
        embeddings = condition.embeddings
        if condition.pooled is None or None not in captions:  # SD 1.x: "" is already what was encoded
            return condition
        keep = torch.tensor([caption is not None for caption in captions], device=embeddings.device).to(
            embeddings.dtype
        )
        return TextCondition(condition.embeddings * keep[:, None, None], condition.pooled * keep[:, None])


class CachedText:
    """Encodings of every distinct caption, and of a left-out one, in one memory-mapped file."""

    def __init__(
        self, captions: Sequence[str], root: Path, key: str, shape: tuple[int, int, int], dtype: torch.dtype
    ) -> None:
        """`shape`: (tokens, width, width of the pooled state or 0); `dtype`: what the encoders run in."""
        self._captions: list[str | None] = [*captions, None]
        self._index = {caption: i for i, caption in enumerate(self._captions)}
        self._shape = shape
        tokens, width, pooled = shape
        digest = hashlib.sha256(f"text {key} {dtype} {self._captions!r}".encode()).hexdigest()
        shapes = [(tokens * width + pooled,)] * len(self._captions)
        self.cache = RecordCache(root / f"text-{digest[:20]}", shapes, dtype)

    @torch.no_grad()
    def fill(
        self, encoding: TextEncoding, batch_size: int, share: tuple[int, int] = (0, 1)
    ) -> Iterator[tuple[int, int]]:
        """Encodes what is missing, this process's share of it; yields (records done, of)."""
        live = LiveText(encoding)
        chunks = self.cache.chunks_to_fill(batch_size, share)
        total, done = sum(map(len, chunks)), 0
        for chunk in chunks:
            condition = live.encode([self._captions[i] for i in chunk])
            rows = condition.embeddings.flatten(1)
            if condition.pooled is not None:
                rows = torch.cat([rows, condition.pooled], dim=1)
            for record, value in zip(chunk, rows.to(self.cache.dtype).cpu(), strict=True):
                self.cache.write(record, value)
            done += len(chunk)
            yield done, total
        self.cache.flush()

    def encode(self, captions: Sequence[str | None]) -> TextCondition:
        rows = torch.stack([self.cache.read(self._index[caption]) for caption in captions])
        tokens, width, pooled = self._shape
        embeddings = rows[:, : tokens * width].reshape(-1, tokens, width)
        return TextCondition(embeddings, rows[:, tokens * width :].clone() if pooled else None)


def shuffled_tags(caption: str, keep: int, order: torch.Generator) -> str:
    """The caption with its comma-separated tags after the first `keep` in another order."""
    tags = [tag.strip() for tag in caption.split(",") if tag.strip()]
    rest = tags[keep:]
    return ", ".join([*tags[:keep], *(rest[i] for i in torch.randperm(len(rest), generator=order).tolist())])


class BatchBuilder:
    """Makes batches. Knows nothing of losses."""

    def __init__(
        self,
        data_index: DatasetIndex,
        latents: LatentSource,
        text: TextSource,
        *,
        time_ids: bool,
        caption_dropout: float = 0.0,
        keep_tags: int | None = None,
        original_size: str = "true",
        vae_factor: int,
        device: torch.device | None = None,
    ) -> None:
        self._data_index, self._latents, self._text = data_index, latents, text
        self._time_ids, self._dropout, self._original_size = time_ids, caption_dropout, original_size
        self._vae_factor = vae_factor
        self._keep_tags = keep_tags  # tags of a caption before those that are shuffled; None: none are
        self.device = device or torch.device("cpu")

    def batch(self, rows: Sequence[int], rng: StepRng) -> Batch:
        """The pictures `rows`, all of one size, with this step's variants, captions and dropouts."""
        variants = torch.randint(
            self._data_index.variants, (len(rows),), generator=rng.of("variant")
        ).tolist()
        moments = self._latents.posteriors(rows, variants).to(self.device)
        noise = torch.randn(moments[:, 0].shape, generator=rng.of("posterior")).to(self.device)
        return Batch(
            keys=tuple(self._data_index.source.keys[row] for row in rows),
            latents=sample_posterior(moments, noise),
            condition=self._text.encode(self._captions(rows, rng)).to(self.device),
            time_ids=self._micro_conditions(rows, variants) if self._time_ids else None,
            regular=self._regular(rows),
            weights=self._weights(rows, variants),
        )

    def undrawn(self, rows: Sequence[int]) -> Batch:
        """The pictures `rows` with nothing left to chance: first variant, first caption, the posterior's mean."""
        variants = [0] * len(rows)
        return Batch(
            keys=tuple(self._data_index.source.keys[row] for row in rows),
            latents=self._latents.posteriors(rows, variants)[:, 0].to(self.device),
            condition=self._text.encode([self._data_index.source.captions[row][0] for row in rows]).to(
                self.device
            ),
            time_ids=self._micro_conditions(rows, variants) if self._time_ids else None,
            regular=self._regular(rows),
            weights=self._weights(rows, variants),
        )

    def _regular(self, rows: Sequence[int]) -> tuple[bool, ...]:
        return tuple(self._data_index.num_instance_images <= row < self._data_index.trained for row in rows)

    def _weights(self, rows: Sequence[int], variants: Sequence[int]) -> Tensor | None:
        masks, placement = self._data_index.masks, self._data_index.placement
        if masks is None or not any(row in masks.paths for row in rows):
            return None
        placements = [placement(row, variant) for row, variant in zip(rows, variants, strict=True)]
        return masks.weights(rows, placements, self._vae_factor).to(self.device)

    def _captions(self, rows: Sequence[int], rng: StepRng) -> list[str | None]:
        which = torch.rand(len(rows), generator=rng.of("caption")).tolist()
        dropped = (torch.rand(len(rows), generator=rng.of("dropout")) < self._dropout).tolist()
        choices = [self._data_index.source.captions[row] for row in rows]
        picked = [captions[int(w * len(captions))] for captions, w in zip(choices, which, strict=True)]
        if self._keep_tags is not None:
            order = rng.of("tags")
            picked = [shuffled_tags(caption, self._keep_tags, order) for caption in picked]
        return [None if gone else caption for caption, gone in zip(picked, dropped, strict=True)]

    def _micro_conditions(self, rows: Sequence[int], variants: Sequence[int]) -> Tensor:
        """B x 6 in fp32: bf16 would turn 525 into 524."""
        values = []
        for row, variant in zip(rows, variants, strict=True):
            placement = self._data_index.placement(row, variant)
            ids = placement.time_ids()
            values.append((*placement.target, *ids[2:]) if self._original_size == "target" else ids)
        return torch.tensor(values, dtype=torch.float32, device=self.device)
