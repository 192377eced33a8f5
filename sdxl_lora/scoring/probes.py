"""Attribute probes: which words of the sentence does the picture show?

For each claim of the sentence ("navy") the same sentence is also written with every rival ("black", "red", ...),
and the softmax of the picture's similarities over them, at the model's own temperature, is a probability that
can be read and compared. CLIP's zero-shot classifier (Radford et al., arXiv:2103.00020, section 3.1.2) with the
sentence itself as the template; normalising over contrasting prompts also makes scores agree better with people
(TextNorm, arXiv:2404.01863). As good as the CLIP behind it: one that cannot tell navy from black says so by
giving both the same probability.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor

from sdxl_lora.lru_cache import LruCache
from sdxl_lora.prompts import attributes
from sdxl_lora.prompts.attributes import Attribute
from sdxl_lora.scoring.card import Finding, overall
from sdxl_lora.scoring.checks import blank_reason
from sdxl_lora.scoring.chunks import around
from sdxl_lora.scoring.clip import ClipScorer

_REMEMBERED = 32  # sentences with their rivals; about 100 embeddings each


class ProbeScorer:
    """Probes with any CLIP; as a `Scorer`, the geometric mean of the wanted words' probabilities."""

    key = "attributes"

    def __init__(self, clip: ClipScorer) -> None:
        self._clip = clip
        self.name = clip.name.replace("CLIP cosine", "CLIP attributes")
        self._memory: LruCache[tuple[object, ...], Tensor] = LruCache(_REMEMBERED * len(attributes.NAMES))

    def score(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        """0..1 for each pair; NaN where the picture is blank or the text makes no claim that a list knows."""
        if len(images) != len(texts):
            raise ValueError(f"{len(images)} pictures but {len(texts)} texts")
        found: list[float] = [math.nan] * len(images)
        for text in dict.fromkeys(texts):
            places = [i for i, other in enumerate(texts) if other == text]
            for place, findings in zip(places, self.probe([images[i] for i in places], text), strict=True):
                found[place] = overall(findings)
        return found

    def probe(
        self, images: Sequence[Image.Image], text: str, slots: Mapping[str, str] | None = None
    ) -> list[tuple[Finding, ...]]:
        """For every picture one finding per claim of `text`, in the order of the text; pictures in one batch.

        Args:
            slots: values of the template that `text` was filled from; see `prompts.attributes.find`.
        """
        claims = attributes.find(text, slots)
        if not images or not claims:
            return [() for _ in images]
        embedded = self._clip.embed_images(images)  # N x D
        blank = torch.tensor([blank_reason(image) is not None for image in images])
        embedded[blank] = math.nan
        scale = self._clip.logit_scale()
        columns = []
        for claim in claims:
            words = (claim.value, *claim.rivals)
            logits = scale * embedded @ self._sentences(text, claim).T  # N x words
            chances = logits.softmax(dim=-1).tolist()
            columns.append([_finding(claim, words, row) for row in chances])
        return list(zip(*columns, strict=True))

    def _sentences(self, text: str, claim: Attribute) -> Tensor:
        """Unit vectors of the sentence and its variants, words x D; of a long one, of the chunk with the claim."""
        key = (text, claim)
        if (embedded := self._memory.find(key)) is not None:
            return embedded
        start, end = around(self._clip.chunks(text), claim.start, claim.end)
        text, claim = text[start:end], replace(claim, start=claim.start - start, end=claim.end - start)
        sentences = [text, *(claim.swapped(text, rival) for rival in claim.rivals)]
        return self._memory.keep(key, self._clip.embed_texts(sentences))


@functools.lru_cache(maxsize=4)
def probes_of(clip: ClipScorer) -> ProbeScorer:
    """The probes of a CLIP, with what they remember of sentences; one per CLIP and process."""
    return ProbeScorer(clip)


def _finding(claim: Attribute, words: Sequence[str], chances: Sequence[float]) -> Finding:
    best = max(range(1, len(words)), key=lambda i: chances[i])
    return Finding(
        attribute=claim.name,
        wanted=claim.value,
        probability=chances[0],
        rival=words[best],
        rival_probability=chances[best],
    )
