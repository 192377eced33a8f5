"""What the data set holds, before any model is loaded: sizes, contents, and where every picture goes.

Reads every file once (header and hash, no pixels). `DatasetIndex.placement` is then a pure function of row and
variant.
"""

import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image

from sdxl_lora.data import geometry
from sdxl_lora.data.geometry import Placement, Size
from sdxl_lora.data.images import FORMATS, decode
from sdxl_lora.data.masks import Masks, open_masks
from sdxl_lora.data.sources import Source, join
from sdxl_lora.errors import DataError, ImageError
from sdxl_lora.training.config import TrainingConfig
from sdxl_lora.training.randomness import generator

_TURNING = frozenset({5, 6, 7, 8})  # EXIF orientations that swap height and width


@dataclass(frozen=True, kw_only=True)
class DatasetIndex:
    """A data set whose every picture has a size, a hash and a bucket."""

    source: Source
    sizes: Sequence[Size]  # upright, px
    hashes: Sequence[str]  # SHA-256 of the encoded pictures
    buckets: Sequence[Size]  # all training sizes
    groups: Sequence[int]  # row -> index into `buckets`
    crops: int  # crop variants per picture
    flips: int  # 1, or 2 with mirrored variants
    random_crop: bool
    seed: int
    num_instance_images: int  # rows from here on are regularisation pictures
    masks: Masks | None = None
    held_out: int = 0  # rows at the end that are not trained on, but give the validation loss

    def __len__(self) -> int:
        return len(self.source)

    @property
    def trained(self) -> int:
        """Rows that are trained on, regularisation pictures among them; those held out follow."""
        return len(self) - self.held_out

    @property
    def variants(self) -> int:
        """Ways every picture is shown: crops x flips."""
        return self.crops * self.flips

    def placement(self, row: int, variant: int) -> Placement:
        """Where row `row` is cut in variant `variant`."""
        crop, flip = divmod(variant, self.flips)
        shift = None
        if self.random_crop:
            draw = torch.rand(2, generator=generator(self.seed, "crop", self.hashes[row], crop)).tolist()
            shift = (draw[0], draw[1])
        return geometry.place(self.sizes[row], self.buckets[self.groups[row]], flip=bool(flip), shift=shift)

    @cached_property
    def captions(self) -> list[str]:
        """Every distinct caption, in order of first use."""
        return list(dict.fromkeys(caption for captions in self.source.captions for caption in captions))

    def fingerprint(self) -> str:
        """SHA-256 of all captions, pictures and masks, in order."""
        text = repr(
            [(k, c, h) for k, c, h in zip(self.source.keys, self.source.captions, self.hashes, strict=True)]
        )
        if self.masks is not None:
            text += self.masks.fingerprint()
        return hashlib.sha256(text.encode()).hexdigest()

    def bucket_table(self) -> list[tuple[Size, int]]:
        """(size, pictures that are trained on) of every bucket in use, tall to wide."""
        counts = Counter(self.groups[: self.trained])
        return [(self.buckets[group], counts[group]) for group in sorted(counts)]

    def upscaled(self) -> int:
        """Pictures that are smaller than their training size."""
        return sum(self.placement(row, 0).upscaled for row in range(self.trained))


def index_dataset(
    source: Source,
    config: TrainingConfig,
    *,
    resolution: int,
    multiple: int,
    seed: int,
    regular: Source | None = None,
) -> DatasetIndex:
    """Reads every picture's header. `regular`: regularisation pictures.

    Raises `DataError` naming what cannot be read or has no caption.
    """
    if config.max_train_samples is not None and config.max_train_samples < len(source):
        order = torch.randperm(len(source), generator=generator(seed, "samples")).tolist()
        source = source.select(order[: config.max_train_samples])
    num_instance_images = len(source)
    _require_captions(source)
    if regular is not None:
        _require_captions(regular)
        source = join(source, regular)
    sizes, hashes = _read_headers(source, config.dataloader_num_workers)
    held = _held_out(hashes[:num_instance_images], config.validation_split, seed)
    if held:
        gone = set(held)
        order = [row for row in range(len(source)) if row not in gone] + held
        source, num_instance_images = source.select(order), num_instance_images - len(held)
        sizes, hashes = [sizes[row] for row in order], [hashes[row] for row in order]
    geometry.check_resolution(resolution, multiple)
    buckets = (
        geometry.buckets(resolution, multiple) if config.aspect_ratio_buckets else [(resolution, resolution)]
    )
    masks = None
    if config.mask_dir is not None:
        folder = Path(config.mask_dir).expanduser()
        masks = open_masks(folder, source.keys[:num_instance_images], sizes, config.unmasked_weight)
    numbers = {size: number for number, size in enumerate(buckets)}
    return DatasetIndex(
        source=source,
        sizes=sizes,
        hashes=hashes,
        buckets=buckets,
        groups=[numbers[geometry.nearest_bucket(size, buckets)] for size in sizes],
        crops=1 if config.center_crop else config.crop_variants,
        flips=2 if config.random_flip else 1,
        random_crop=not config.center_crop,
        seed=seed,
        num_instance_images=num_instance_images,
        masks=masks,
        held_out=len(held),
    )


def _held_out(hashes: Sequence[str], share: float, seed: int) -> list[int]:
    """Rows of a `share` of the pictures, at least one; all rows of a picture that is there several times."""
    if not share:
        return []
    pictures = list(dict.fromkeys(hashes))
    count = max(1, round(share * len(pictures)))
    if count >= len(pictures):
        raise DataError(
            f"--validation_split {share:g} of {len(pictures)} different pictures leaves none to train on; lower it"
        )
    order = torch.randperm(len(pictures), generator=generator(seed, "validation split")).tolist()
    chosen = {pictures[i] for i in order[:count]}
    return [row for row, content in enumerate(hashes) if content in chosen]


def _require_captions(source: Source) -> None:
    missing = [key for key, captions in zip(source.keys, source.captions, strict=True) if not captions]
    if missing:
        first = ", ".join(missing[:3])
        raise DataError(
            f"{len(missing)} of {len(source)} pictures of {source.name} have no caption ({first}); "
            f"add them, for example with `python -m sdxl_lora caption {source.name}`"
        )


def _read_headers(source: Source, workers: int) -> tuple[list[Size], list[str]]:
    def read(row: int) -> tuple[Size, str] | str:
        data = source.read(row)
        try:
            return header_size(data, source.keys[row]), hashlib.sha256(data).hexdigest()
        except ImageError as error:
            return str(error)

    with ThreadPoolExecutor(max(1, workers)) as pool:
        found = list(pool.map(read, range(len(source))))
    bad = [item for item in found if isinstance(item, str)]
    if bad:
        raise DataError(
            f"{len(bad)} of {len(source)} pictures cannot be read: {bad[0]}; remove them from {source.name}"
        )
    good = [item for item in found if not isinstance(item, str)]
    return [size for size, _ in good], [digest for _, digest in good]


def header_size(data: bytes, name: str) -> Size:
    """(height, width) of an encoded picture once it is upright, without reading its pixels where possible."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            height, width = opened.height, opened.width
            turned = opened.getexif().get(0x0112, 1) in _TURNING
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        image, _ = decode(data, name)  # raises with the reason
        return (image.height, image.width)
    return (width, height) if turned else (height, width)
