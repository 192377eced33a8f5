"""A judge that the loop never optimises: HPS v2, learned from what people preferred (Wu et al., arXiv:2306.09341).

Where a score is chosen by, pictures come to please the scorer rather than people. This one is only ever reported, so
that such a drift can be seen: the loop's score rises, this one does not. HPS v2 is a CLIP ViT-H/14 fine-tuned on
human choices, its weights are Apache 2.0, and its number is 100 times the cosine, about 25 to 30 for photographs. Any
`CLIPModel` of that kind works in its place (PickScore v1, for one). Weights are never fetched unasked.
"""

import functools
import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from sdxl_lora.scoring.clip import ClipScorer

CANONICAL = "adams-story/HPSv2-hf"  # the authors' weights (xswu/HPSv2) in the layout of transformers
SCALE = 100  # as the authors' tables have it


class HeldOutScorer:
    """The preference model behind the `Scorer` protocol; loaded at first use, may be called by several threads."""

    key = "held_out"

    def __init__(self, source: str | Path | None = None) -> None:
        """`source`: folder or hub id of a `CLIPModel` in safetensors; default `SDXL_LORA_HELD_OUT`, else HPS v2."""
        self.source = str(source or os.environ.get("SDXL_LORA_HELD_OUT") or CANONICAL)
        kind = "HPS v2" if self.source == CANONICAL else Path(self.source).name
        self.name = f"{kind} (held out)"
        fetch = f"run `hf download {self.source}` (about 4 GB), or name a folder in SDXL_LORA_HELD_OUT"
        self._clip = ClipScorer(self.source, name=self.name, fetched=fetch)

    def score(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        """100 times the cosine; NaN for a blank picture. Raises `ModelUnavailableError` without weights."""
        return [SCALE * value for value in self._clip.score(images, texts)]


def chosen() -> HeldOutScorer | None:
    """The one that `SDXL_LORA_HELD_OUT` asks for, one instance per process; None where nobody asked."""
    source = os.environ.get("SDXL_LORA_HELD_OUT")
    return _instance(source) if source else None


@functools.lru_cache(maxsize=2)
def _instance(source: str) -> HeldOutScorer:
    return HeldOutScorer(source)
