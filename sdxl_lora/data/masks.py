"""Masks: which part of a training picture counts. White counts fully, black as little as the caller says.

A mask is a picture of its own with the name of the picture it belongs to, `shirt-01.jpg` -> `shirt-01.png`, in a folder
of masks. Pictures without one count the same everywhere. Knows nothing of models but the factor of their VAE.
"""

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from sdxl_lora.data import geometry
from sdxl_lora.data.geometry import Placement, Size
from sdxl_lora.data.images import decode
from sdxl_lora.errors import DataError

_SUFFIX = ".png"
_SAME_SHAPE = 0.02  # relative difference of aspect ratios below which a mask fits its picture
_KEPT = 4096  # mask tensors kept in memory; at 1024 px 64 KB each


@dataclass(frozen=True, kw_only=True)
class Masks:
    """The masks of a data set."""

    paths: Mapping[int, Path]  # row -> mask, for the rows that have one
    unmasked: float  # what black counts beside white, 0..1

    def weights(self, rows: Sequence[int], placements: Sequence[Placement], factor: int) -> Tensor:
        """B x 1 x h x w, each picture's mean 1: what every latent counts. `factor`: px per latent."""
        side = placements[0].target
        plain = torch.ones(1, side[0] // factor, side[1] // factor)
        return torch.stack(
            [
                _weights(self.paths[row], placement, factor, self.unmasked) if row in self.paths else plain
                for row, placement in zip(rows, placements, strict=True)
            ]
        )

    def fingerprint(self) -> str:
        """SHA-256 of all masks and of the rows they belong to."""
        digest = hashlib.sha256(repr(self.unmasked).encode())
        for row, path in sorted(self.paths.items()):
            digest.update(f"{row} ".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()


def open_masks(folder: Path, keys: Sequence[str], sizes: Sequence[Size], unmasked: float) -> Masks:
    """The masks in `folder` of pictures that are called `keys` and have `sizes` (height, width).

    Raises `DataError`: no folder, no mask for any picture, a mask of another shape than its picture, one that is
    nowhere white.
    """
    if not folder.is_dir():
        raise DataError(
            f"--mask_dir {folder} is not a folder; it holds a PNG for each picture, of the same name"
        )
    paths = _paths(folder, keys)
    if not paths:
        wanted = Path(keys[0]).stem + _SUFFIX
        raise DataError(
            f"--mask_dir {folder} has no mask for any picture; the first would be called {wanted}"
        )
    for row, path in paths.items():
        mask, facts = decode(path.read_bytes(), str(path))
        height, width = sizes[row]
        if abs(facts.height * width / (facts.width * height) - 1) > _SAME_SHAPE:
            raise DataError(
                f"{path} has {facts.width}x{facts.height} px and its picture {keys[row]} {width}x{height}; "
                "a mask has the shape of its picture"
            )
        if mask.convert("L").getextrema()[1] == 0:
            raise DataError(
                f"{path} is black all over: nothing of {keys[row]} would count; paint white what does"
            )
    return Masks(paths=paths, unmasked=unmasked)


def _paths(folder: Path, keys: Sequence[str]) -> dict[int, Path]:
    """Row -> mask: in the sub-folder its picture has, else by the name alone. Raises `DataError` if two claim one."""
    found: dict[int, Path] = {}
    by_name: dict[Path, int] = {}
    for row, key in enumerate(keys):
        same_place, same_name = folder / Path(key).with_suffix(_SUFFIX), folder / (Path(key).stem + _SUFFIX)
        if same_place.is_file():
            found[row] = same_place
        elif same_name.is_file():
            other = by_name.setdefault(same_name, row)
            if keys[other] != key:
                raise DataError(
                    f"{same_name} could belong to {keys[other]} or {key}; "
                    f"put masks into sub-folders of {folder} as the pictures are"
                )
            found[row] = same_name
    return found


@functools.lru_cache(maxsize=_KEPT)
def _weights(path: Path, placement: Placement, factor: int, unmasked: float) -> Tensor:
    """1 x h x w of mean 1."""
    image, _ = decode(path.read_bytes(), str(path))
    shown = geometry.cut(image, placement, "box")[:1].mul(0.5).add(0.5)
    counted = unmasked + (1 - unmasked) * F.avg_pool2d(shown, factor)
    mean = counted.mean()
    if mean == 0:  # the crop missed everything white
        return torch.ones_like(counted)
    return counted / mean
