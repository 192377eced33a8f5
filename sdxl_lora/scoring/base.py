"""What every scorer offers, and the one that is used where nobody chooses.

A score is only comparable with scores of the same scorer: `name` says which one it was and must stand beside
the number wherever it is shown or kept.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from PIL import Image

from sdxl_lora.models import registry
from sdxl_lora.scoring.clip import ClipScorer


class Scorer(Protocol):
    """Judges how well pictures show texts; higher is better."""

    @property
    def key(self) -> str:
        """Short name under which scores are kept, e.g. `clip`."""

    @property
    def name(self) -> str:
        """What a person reads beside the number, e.g. `mini-CLIP cosine`."""

    def score(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        """One number per pair of `images[i]` and `texts[i]`; NaN where a picture shows nothing at all."""


@functools.lru_cache(maxsize=4)
def _mini(folder: Path) -> ClipScorer:
    return ClipScorer(folder, name="mini-CLIP cosine")


def default_scorer() -> ClipScorer:
    """The bundled mini CLIP, one instance per process; `SDXL_LORA_MINI` names another mini model's folder.

    Weights are read at the first score, which raises `ModelUnavailableError` if they are not there.
    """
    return _mini(registry.mini_folder() / "clip")
