"""The attributes of a scene as classes of a classifier, for CLIP's auxiliary heads and for the judge."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from sdxl_lora.mini import scene as vocabulary
from sdxl_lora.mini.scene import Scene

NONE = "none"

CLASSES: dict[str, tuple[str, ...]] = {
    "garment": tuple(vocabulary.GARMENTS),
    "colour": tuple(vocabulary.COLOURS),
    "pattern": vocabulary.PATTERNS,
    "second_colour": (NONE, *vocabulary.COLOURS),
    "emblem": (NONE, *vocabulary.EMBLEMS),
    "emblem_colour": (NONE, *vocabulary.COLOURS),
    "emblem_position": (NONE, *vocabulary.ALL_POSITIONS),
    "setting": vocabulary.SETTINGS,
    "presentation": vocabulary.PRESENTATIONS,
}


def targets(scenes: list[Scene]) -> dict[str, Tensor]:
    """Attribute -> class indices, int64 of shape (N,)."""
    return {
        name: torch.tensor([classes.index(getattr(scene, name) or NONE) for scene in scenes])
        for name, classes in CLASSES.items()
    }


class AttributeHeads(nn.ModuleDict):
    """One linear classifier per attribute (all of them, or those in `names`) on shared features of width `features`."""

    def __init__(self, features: int, names: Iterable[str] = tuple(CLASSES)) -> None:
        super().__init__({name: nn.Linear(features, len(CLASSES[name])) for name in names})

    def losses(self, features: Tensor, wanted: dict[str, Tensor]) -> list[Tensor]:
        """Cross-entropy of each attribute; `features` (N, width), `wanted` as `targets` gives it."""
        return [nn.functional.cross_entropy(head(features), wanted[name]) for name, head in self.items()]

    def loss(
        self, features: Tensor, wanted: dict[str, Tensor], weights: Mapping[str, float] = MappingProxyType({})
    ) -> Tensor:
        """Mean cross-entropy over attributes, times their `weights` (1 for those not named)."""
        losses = zip(self, self.losses(features, wanted), strict=True)
        return torch.stack([loss * weights.get(name, 1.0) for name, loss in losses]).mean()

    def predict(self, features: Tensor) -> dict[str, Tensor]:
        """Attribute -> predicted class indices (N,)."""
        return {name: head(features).argmax(-1) for name, head in self.items()}
