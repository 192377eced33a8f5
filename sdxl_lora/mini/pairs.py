"""Pictures with captions, as the towers of the mini CLIP are trained on: renders, and some real photos where given.

Knows nothing of what is trained on them.
"""

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdxl_lora.mini.captions import caption, photo_caption
from sdxl_lora.mini.dataset import RenderedSet, open_photos
from sdxl_lora.mini.scene import Scene
from sdxl_lora.mini.settings import BuildFolder

PHOTO_SHARE = 0.1  # of a batch


@dataclass(frozen=True)
class Pairs:
    """One batch."""

    pictures: NDArray[np.uint8]  # (N, H, W, 3): renders, then photos
    texts: list[str]
    scenes: list[Scene]  # of the renders
    full: int  # so many texts, from the first, name every attribute of their scene


class PairSource:
    """Draws batches from the training pictures of a build."""

    def __init__(self, folder: BuildFolder) -> None:
        self._rendered = RenderedSet.open(folder.pictures / "train")
        self._photos, self._labels = open_photos(folder.pictures / "photos")

    def draw(self, count: int, chance: np.random.Generator, words: random.Random) -> Pairs:
        """`count` pairs: pictures as `chance` draws them, captions as `words` does."""
        photo_count = int(count * PHOTO_SHARE) if self._labels else 0
        chosen = chance.integers(0, len(self._rendered), count - photo_count)
        scenes = [self._rendered.scenes[i] for i in chosen]
        full = len(scenes) // 2
        texts = [caption(scene, words, full=k < full) for k, scene in enumerate(scenes)]
        pictures = self._rendered.batch(chosen)
        if photo_count:
            picked = np.sort(chance.integers(0, len(self._labels), photo_count))
            pictures = np.concatenate([pictures, self._photos[picked]])
            texts += [photo_caption(self._labels[i], words) for i in picked]
        return Pairs(pictures, texts, scenes, full)
