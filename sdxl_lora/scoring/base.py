"""What every scorer offers, and the one that is used where nobody chooses.

A model that brings a judge of its own (`capabilities.judge`: a CLIP trained on its subjects) is judged by it: so is the
bundled one, by the mini CLIP. Pictures of other models are judged by OpenAI's CLIP where `models fetch metrics` brought
it, and by the mini CLIP only where it did not.

A score is only comparable with scores of the same scorer: `name` says which one it was and must stand beside
the number wherever it is shown or kept.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from PIL import Image

from sdxl_lora import later
from sdxl_lora.config import home
from sdxl_lora.errors import InputError
from sdxl_lora.models import registry

if TYPE_CHECKING:
    from sdxl_lora.scoring.clip import ClipScorer

_FETCHED = (("clip336", "CLIP ViT-L/14 336 px cosine"), ("clip", "CLIP ViT-B/32 cosine"))  # best first


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
def _own(folder: Path, model: str, abstains: bool = False) -> ClipScorer:
    return _clip(folder, name=f"{model}-CLIP cosine", abstains=abstains)


def _clip(source: str | Path, **how: Any) -> ClipScorer:
    """The door behind which torch is imported: what a CLIP is asked for needs it at once."""
    with later.importing():
        from sdxl_lora.scoring.clip import ClipScorer
    return ClipScorer(source, **how)


def default_scorer() -> ClipScorer:
    """The bundled mini CLIP, one instance per process; `SDXL_LORA_MINI` names another mini model's folder.

    Weights are read at the first score, which raises `ModelUnavailableError` if they are not there.
    """
    return _own(registry.mini_folder() / "clip", "mini")


def judge_of_strangers() -> ClipScorer:
    """The bundled CLIP for pictures that may be of any kind: it has no score for what it was not trained on."""
    return _own(registry.mini_folder() / "clip", "mini", abstains=True)


@functools.lru_cache(maxsize=4)
def _other(source: str, name: str | None) -> ClipScorer:
    return _clip(source, name=name, fetched=f"run `hf download {source}`, or name a folder in SDXL_LORA_CLIP")


def scorer_for(model: str) -> ClipScorer:
    """The CLIP that judges pictures of that model; one instance per process, errors as `default_scorer`.

    `SDXL_LORA_CLIP` names a folder or hub id for all models that bring no judge.
    """
    if judge := _judge_of(model):
        return _own(judge, Path(model).name)
    if chosen := os.environ.get("SDXL_LORA_CLIP"):
        return _other(chosen, None)
    for folder, name in _FETCHED:
        if (home() / "metrics" / folder / "config.json").is_file():
            return _other(str(home() / "metrics" / folder), name)
    return judge_of_strangers()


def _judge_of(model: str) -> Path | None:
    """Folder of the CLIP that a model brings; None where it brings none, or is gone."""
    try:
        info = registry.describe(model)
    except InputError:
        return None
    judge = info.capabilities.judge
    return None if judge is None else Path(info.folder or info.source) / judge
