"""Whether a picture is of the kind that a small CLIP was trained on; of others it gives numbers that mean nothing.

The bundled CLIP learned from drawings of garments: it gave blurred drawings more than photographs of what was asked
for. Low layers see texture before meaning, so both criteria look at a hidden layer's patch statistics (mean and
deviation over all patches), and a picture beyond either limit is outside:

- the Mahalanobis distance from training pictures (Lee et al., arXiv:1807.03888, without classes), which knows nothing
  of what else there is, and misses photographs of one garment before a plain backdrop;
- the log odds of a logistic regression of photographs, as they are and cut out before plain backdrops, against
  training pictures.

`benchmarks/judge_world.py` fits both, prints how often they err either way, and writes `world.npz` beside the weights.
A CLIP without that file, or with one of other weights, knows no outside, and nothing is said.
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
    direction: Array  # [2 W]: statistics @ direction are the log odds of a photograph, but for a constant
    photo_limit: float  # of them, from which a picture is outside
    weights: str  # SHA-256 of the CLIP's weights that it was fitted with

    def distance(self, statistics: Array) -> Array:
        """Mahalanobis distances [pictures]."""
        return np.linalg.norm((statistics - self.mean) @ self.whitening, axis=1)

    def outside(self, statistics: Array) -> NDArray[np.bool_]:
        """[pictures], whether each is of another kind."""
        photo = statistics @ self.direction > self.photo_limit
        return np.asarray((self.distance(statistics) > self.limit) | photo)

    @classmethod
    def fitted(cls, train: Array, held_out: Array, photos: Array, weights: str) -> Self:
        """From `statistics` of training pictures and photographs; the limits from others of the training pictures."""
        mean = train.mean(axis=0)
        variances, axes = np.linalg.eigh(np.cov(train.T))
        whitening = axes / np.sqrt(np.maximum(variances, 0) + _RIDGE * variances.max())
        whitening = whitening.astype(np.float32).astype(np.float64)  # as it is stored
        distances = np.linalg.norm((held_out - mean) @ whitening, axis=1)
        direction = _direction(train, photos)
        return cls(
            mean=mean,
            whitening=whitening,
            limit=float(np.quantile(distances, QUANTILE)),
            direction=direction,
            photo_limit=float(np.quantile(held_out @ direction, QUANTILE)),
            weights=weights,
        )

    def save(self, folder: Path) -> None:
        """Writes `world.npz` into the CLIP's folder."""
        np.savez_compressed(
            folder / FILE,
            mean=self.mean,
            whitening=self.whitening.astype(np.float32),
            limit=self.limit,
            direction=self.direction,
            photo_limit=self.photo_limit,
            weights=self.weights,
        )


def _direction(train: Array, photos: Array) -> Array:
    """[2 W], of a logistic regression of photographs against training pictures, both standardised together."""
    from sklearn.linear_model import LogisticRegression  # a second to import, and only a benchmark fits

    both = np.concatenate([train, photos])
    scale = both.std(axis=0) + np.finfo(np.float32).tiny
    is_photo = np.arange(len(both)) >= len(train)
    regression = LogisticRegression(max_iter=5_000).fit((both - both.mean(axis=0)) / scale, is_photo)
    return np.asarray(regression.coef_[0] / scale)


def load(folder: Path, weights: str) -> World | None:
    """The world of a CLIP's folder; None where there is none, it cannot be read, or it is of other weights."""
    try:
        with (folder / FILE).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            world = World(
                np.asarray(stored["mean"], np.float64),
                np.asarray(stored["whitening"], np.float64),
                float(stored["limit"]),
                np.asarray(stored["direction"], np.float64),
                float(stored["photo_limit"]),
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
