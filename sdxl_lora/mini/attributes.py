"""The attributes of a scene as classes of a classifier, for CLIP's auxiliary heads and for the judge."""

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
    """One linear classifier per attribute on shared features of width `features`."""

    def __init__(self, features: int) -> None:
        super().__init__({name: nn.Linear(features, len(classes)) for name, classes in CLASSES.items()})

    def loss(self, features: Tensor, wanted: dict[str, Tensor]) -> Tensor:
        """Mean cross-entropy over attributes; `features` (N, width), `wanted` as `targets` gives it."""
        losses = [nn.functional.cross_entropy(self[name](features), wanted[name]) for name in CLASSES]
        return torch.stack(losses).mean()

    def predict(self, features: Tensor) -> dict[str, Tensor]:
        """Attribute -> predicted class indices (N,)."""
        return {name: self[name](features).argmax(-1) for name in CLASSES}
