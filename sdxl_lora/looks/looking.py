"""Pictures in the order of their likeness to words or to another picture.

The vectors of all pictures stay in memory as they are kept (float16: 25 MB for 25,000 pictures of 512 numbers), and
only those that were entered since the last question are read. The likeness is the cosine of CLIP's embeddings (Radford
et al., arXiv:2103.00020, section 2.3). Which CLIP: the one that judges pictures of any model (`scoring.base`), named by
its contents, so that another one never meets its vectors.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdxl_lora.errors import NotFoundError
from sdxl_lora.models import identity
from sdxl_lora.records import Database
from sdxl_lora.records.embeddings import Embeddings
from sdxl_lora.scoring.base import scorer_for

if TYPE_CHECKING:
    from sdxl_lora.scoring.clip import ClipScorer

MOST = 480  # pictures of one answer; what comes later is like nothing any more
_BLOCK = 4096  # rows that are turned into float32 at once
_WEIGHTS = "model.safetensors"
_DIGITS = 16  # of the SHA-256, that stand for a CLIP
Vector = NDArray[np.float32]


def usual_clip() -> ClipScorer:
    """The CLIP that judges pictures of models that bring no judge of their own: the same for all of a gallery."""
    return scorer_for("")


@dataclass(frozen=True)
class Alike:
    """A picture, and how like what was asked for it is."""

    id: str
    likeness: float  # cosine, -1..1


class Looks:
    """All that the CLIP in use has seen under one data folder; may be used by several threads."""

    def __init__(self, where: Database | Path, *, clip: Callable[[], ClipScorer] = usual_clip) -> None:
        self.embeddings = Embeddings(where)
        self._clip = clip
        self._lock = threading.Lock()
        self._judge = ""  # whose vectors are in memory
        self._last = 0
        self._ids: list[str] = []
        self._blocks: list[NDArray[np.float16]] = []

    @property
    def judge(self) -> str:
        """The CLIP in use, by its contents. Raises `ModelUnavailableError`, `StorageError`."""
        source = self._clip().source
        weights = Path(source) / _WEIGHTS
        return identity.of_file(weights)[:_DIGITS] if weights.is_file() else source

    def of_words(self, text: str, among: Iterable[str] | None = None) -> list[Alike]:
        """Pictures that show what the words say, the likest first. Raises `ModelUnavailableError`, `StorageError`.

        `among`: only these; None = all.
        """
        return self._ranked(self._clip().embed_texts([text])[0].numpy(), among)

    def of_picture(self, identifier: str, among: Iterable[str] | None = None) -> list[Alike]:
        """Pictures like another one, itself left out. Raises `NotFoundError` where it was never looked at."""
        with self._lock:
            self._catch_up()
            if identifier not in self._ids:
                raise NotFoundError("this picture has not been looked at yet; try again in a moment")
            vector = np.concatenate(self._blocks)[self._ids.index(identifier)].astype(np.float32)
        return [one for one in self._ranked(vector, among) if one.id != identifier]

    def see(self, pictures: Sequence[tuple[str, Image.Image]]) -> None:
        """Looks at pictures (id, pixels) and keeps what it sees. Raises `ModelUnavailableError`, `StorageError`."""
        seen = self._clip().embed_images([image for _, image in pictures]).numpy()
        found = {
            identifier: np.nan_to_num(vector)  # nothing finite: like nothing
            for (identifier, _), vector in zip(pictures, seen, strict=True)
        }
        self.embeddings.keep(self.judge, found)

    def _ranked(self, vector: Vector, among: Iterable[str] | None) -> list[Alike]:
        with self._lock:
            self._catch_up()
            ids = self._ids
            if not ids:
                return []
            parts = [
                block[start : start + _BLOCK].astype(np.float32) @ vector
                for block in self._blocks
                for start in range(0, len(block), _BLOCK)
            ]
        cosines = np.concatenate(parts)
        allowed = None if among is None else set(among)
        order = np.argsort(-cosines, kind="stable")
        found: list[Alike] = []
        for place in order:
            if allowed is None or ids[place] in allowed:
                found.append(Alike(ids[place], float(cosines[place])))
                if len(found) == MOST:
                    break
        return found

    def _catch_up(self) -> None:
        judge = self.judge
        if judge != self._judge:
            self._judge, self._last, self._ids, self._blocks = judge, 0, [], []
        new = self.embeddings.since(judge, self._last)
        if new.ids:
            self._last = new.last
            self._ids = [*self._ids, *new.ids]
            self._blocks.append(new.vectors)
            if len(self._blocks) > 64:
                self._blocks = [np.concatenate(self._blocks)]
