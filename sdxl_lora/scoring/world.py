"""Whether a picture is of the kind that a small CLIP was trained on; of others it gives numbers that mean nothing.

The bundled CLIP learned from drawings of garments: it gave blurred drawings more than photographs of what was asked
for. Low layers see texture before meaning, so the criterion is the Mahalanobis distance of a hidden layer's patch
statistics (mean and deviation over all patches) from those of training pictures (Lee et al., arXiv:1807.03888, without
classes); beyond nearly all held-out ones, a picture is outside. `benchmarks/judge_world.py` fits it, prints how often
it errs either way, and writes `world.npz` beside the weights. Photographs of one garment before a plain backdrop are
what it notices least. A CLIP without that file, or with one of other weights, knows no outside, and nothing is said.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FILE = "world.npz"
LAYER = 3  # of the vision tower: after its third block, what told photographs apart best
_RIDGE = 1e-5  # of the largest variance, added to all
QUANTILE = 0.99  # of held-out training pictures that lie inside

Array = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """What is known of the pictures a CLIP was trained on."""

    mean: Array  # [2 W], of `statistics`
    whitening: Array  # [2 W, 2 W]: (x - mean) @ whitening has the identity for its covariance
    limit: float  # distance from which a picture is outside
    weights: str  # SHA-256 of the CLIP's weights that it was fitted with

    def distance(self, statistics: Array) -> Array:
        """Mahalanobis distances [pictures]."""
        return np.linalg.norm((statistics - self.mean) @ self.whitening, axis=1)

    def outside(self, statistics: Array) -> NDArray[np.bool_]:
        """[pictures], whether each is of another kind."""
        return np.asarray(self.distance(statistics) > self.limit)

    @classmethod
    def fitted(cls, train: Array, held_out: Array, weights: str) -> Self:
        """From `statistics` of training pictures, the limit from those of others of the same kind."""
        mean = train.mean(axis=0)
        variances, axes = np.linalg.eigh(np.cov(train.T))
        whitening = axes / np.sqrt(np.maximum(variances, 0) + _RIDGE * variances.max())
        whitening = whitening.astype(np.float32).astype(np.float64)  # as it is stored
        world = cls(mean, whitening, 0.0, weights)
        return cls(mean, whitening, float(np.quantile(world.distance(held_out), QUANTILE)), weights)

    def save(self, folder: Path) -> None:
        """Writes `world.npz` into the CLIP's folder."""
        np.savez_compressed(
            folder / FILE,
            mean=self.mean,
            whitening=self.whitening.astype(np.float32),
            limit=self.limit,
            weights=self.weights,
        )


def load(folder: Path, weights: str) -> World | None:
    """The world of a CLIP's folder; None where there is none, it cannot be read, or it is of other weights."""
    try:
        with (folder / FILE).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            world = World(
                np.asarray(stored["mean"], np.float64),
                np.asarray(stored["whitening"], np.float64),
                float(stored["limit"]),
                str(stored["weights"]),
            )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return world if world.weights == weights else None


def statistics(clip: Any, pixels: Tensor) -> Tensor:
    """[pictures, 2 W] of a `CLIPModel` and its pixel values [N, C, H, W]: mean and deviation over patches."""
    states = clip.vision_model(pixel_values=pixels, output_hidden_states=True).hidden_states
    patches = states[min(LAYER, len(states) - 1)][:, 1:]  # without the class token
    return torch.cat([patches.mean(dim=1), patches.std(dim=1)], dim=1)
