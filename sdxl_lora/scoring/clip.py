"""CLIP score: the cosine between the embeddings of a picture and of a text.

Radford et al., arXiv:2103.00020, section 2.3 and figure 3 (the similarity before the temperature). The number
is the raw cosine, in -1..1 and in practice about 0.2 to 0.35 for OpenAI's models: neither multiplied by 100
(torchmetrics) nor by 2.5 and clipped at 0 (CLIPScore, arXiv:2104.08718, equation 1). A text of more tokens than the
model reads (77 with both marks) is read in chunks, and its score is the mean cosine over them. Knows nothing of
prompts' boilerplate (`scoring.spec`).
"""

import functools
import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from sdxl_lora.errors import ModelUnavailableError
from sdxl_lora.models import hub
from sdxl_lora.models.placement import Placed
from sdxl_lora.scoring import world
from sdxl_lora.scoring.checks import blank_reason
from sdxl_lora.scoring.chunks import Span, split
from sdxl_lora.scoring.world import World

BATCH = 16  # pictures or texts in one forward pass
_MARKS = 2  # tokens that begin and end what is read at once
_BYTE_SYMBOLS = 512  # every byte, within and at the end of a word: the least a CLIP vocabulary has


class ClipScorer:
    """Scores with any `CLIPModel` folder or hub id; loaded at first use, may be called by several threads."""

    key = "clip"

    def __init__(
        self,
        source: str | Path,
        *,
        name: str | None = None,
        device: str | torch.device | None = None,
        fetched: str = "",
        abstains: bool = False,
    ) -> None:
        """`name`: what to call the score; default `CLIP cosine (<last part of source>)`.

        `device`: None = the fastest there is.
        `abstains`: no score for pictures of a kind that it was not trained on, where its folder says what that is.
        `fetched`: the command that fetches the weights, for a model that is never fetched unasked.
        """
        self.source = str(source)
        self.name = name or f"CLIP cosine ({Path(self.source).name})"
        self._device = device
        self._fetched = fetched
        self._abstains = abstains
        self._lock = threading.Lock()
        self._parts: tuple[Placed, Any, Any] | None = None  # model, tokenizer, image processor

    def score(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        """Cosine of `images[i]` and `texts[i]`, in -1..1.

        NaN where the picture is one flat colour, which is what a pipeline makes of NaN, or an embedding is
        not finite. A NaN is neither larger nor smaller than a number: callers must look for it
        (`math.isnan`). Raises `ModelUnavailableError`, or `ValueError` if there are not as many texts as
        pictures.
        """
        if len(images) != len(texts):
            raise ValueError(f"{len(images)} pictures but {len(texts)} texts")
        if not images:
            return []
        cosines = (self.embed_images(images) * self.embed_texts(texts)).sum(dim=-1)  # N
        outside = self.outside(images) if self._abstains else [False] * len(images)
        return [
            float("nan") if strange or blank_reason(image) else cosine
            for image, cosine, strange in zip(images, cosines.tolist(), outside, strict=True)
        ]

    @functools.cached_property
    def world(self) -> World | None:
        """What kind of pictures it was trained on; None where its folder does not say."""
        weights = Path(self.source) / "model.safetensors"
        if not (Path(self.source) / world.FILE).is_file() or not weights.is_file():
            return None
        with weights.open("rb") as file:
            return world.load(Path(self.source), hashlib.file_digest(file, "sha256").hexdigest())

    def outside(self, images: Sequence[Image.Image]) -> list[bool]:
        """Whether each picture is of a kind that it was not trained on; False where its folder does not say."""
        if self.world is None or not images:
            return [False] * len(images)
        return list(map(bool, self.world.outside(self.statistics(images))))

    def statistics(self, images: Sequence[Image.Image]) -> NDArray[np.float64]:
        """[pictures, 2 W] of `scoring.world`."""
        model, _, processor = self._load()
        rows = []
        for start in range(0, len(images), BATCH):
            batch = [image.convert("RGB") for image in images[start : start + BATCH]]
            pixels = processor(images=batch, return_tensors="pt")["pixel_values"]
            with self._lock:
                rows.append(model.run(world.statistics, pixels).float())
        return torch.cat(rows).double().numpy()

    def embed_images(self, images: Sequence[Image.Image]) -> Tensor:
        """Unit vectors, `(N, D)` float32 on the CPU; NaN rows where the model gave nothing finite."""
        model, _, processor = self._load()
        rows = []
        for start in range(0, len(images), BATCH):
            batch = [image.convert("RGB") for image in images[start : start + BATCH]]  # uint8, 0..255
            pixels = processor(images=batch, return_tensors="pt")["pixel_values"]  # NCHW float32
            with self._lock:
                features = model.run(_image_features, pixels)
            rows.append(_unit(features))
        return torch.cat(rows) if rows else torch.empty(0, model.network.config.projection_dim)

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors, `(N, D)` float32 on the CPU; equal texts are embedded once.

        Of a text in several chunks the mean of their unit vectors: its product with a picture's is the mean cosine.
        """
        spans = {text: self.chunks(text) for text in texts}
        chunks = {text: [text[a:b].strip() for a, b in cut] for text, cut in spans.items()}
        embedded = self._embed_whole([chunk for several in chunks.values() for chunk in several])
        rows = dict(zip(chunks, embedded.split([len(several) for several in chunks.values()]), strict=True))
        return torch.stack([rows[text].mean(dim=0) for text in texts]) if texts else embedded

    def chunks(self, text: str) -> tuple[Span, ...]:
        """What of `text` is read at once, as stretches of characters; all of it where it is short enough."""
        model, tokenizer, _ = self._load()
        room = int(model.network.config.text_config.max_position_embeddings) - _MARKS

        def count(stretch: str) -> int:
            return len(
                tokenizer(stretch, add_special_tokens=False, truncation=False, verbose=False).input_ids
            )

        with self._lock:  # tokenizers are not safe to share
            return split(text, room, count)

    def _embed_whole(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors of texts that are short enough."""
        model, tokenizer, _ = self._load()
        unique = list(dict.fromkeys(texts))
        rows = []
        for start in range(0, len(unique), BATCH):
            with self._lock:
                tokens = tokenizer(
                    unique[start : start + BATCH],
                    padding=True,
                    truncation=True,
                    max_length=model.network.config.text_config.max_position_embeddings,
                    return_tensors="pt",
                )
                features = model.run(_text_features, tokens["input_ids"], tokens["attention_mask"])
            rows.append(_unit(features))
        if not rows:
            return torch.empty(0, model.network.config.projection_dim)
        return torch.cat(rows)[[unique.index(text) for text in texts]]

    def logit_scale(self) -> float:
        """The model's own inverse temperature: what its cosines were multiplied by in training."""
        model, _, _ = self._load()
        return float(model.network.logit_scale.detach().exp())

    def _load(self) -> tuple[Placed, Any, Any]:
        with self._lock:
            if self._parts is None:
                self._parts = _load_parts(self.source, self._device, self._fetched)
            return self._parts


def _load_parts(source: str, device: str | torch.device | None, fetched: str) -> tuple[Placed, Any, Any]:
    """Model, tokenizer and image processor; safetensors only, but for what was fetched by hand (`fetched`)."""
    local = bool(fetched)
    # importing transformers takes seconds: only those pay who score
    from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

    try:
        if not local and _only_on_the_hub(source):
            hub.ask(source)
        model, report = CLIPModel.from_pretrained(
            source,
            use_safetensors=None if local else True,  # pickles are read as weights only, whatever they say
            dtype=torch.float32,
            output_loading_info=True,
            local_files_only=local,
        )
        tokenizer = CLIPTokenizer.from_pretrained(source, local_files_only=local)
        processor = CLIPImageProcessorPil.from_pretrained(source, local_files_only=local)
    except (RuntimeError, SafetensorError) as error:
        raise ModelUnavailableError(_damaged(source)) from error
    except (OSError, ValueError, ModelUnavailableError) as error:  # a missing file, a hub out of reach
        advice = fetched or (
            "make it again (`python -m sdxl_lora build-mini` makes the mini model's)"
            if Path(source).is_absolute()
            else "name a folder that holds it, or connect to the hub once"
        )
        raise ModelUnavailableError(f"the CLIP model {source} is not here or not whole; {advice}") from error
    # transformers would go on with random numbers for missing weights, and with an empty vocabulary
    if report["missing_keys"] or len(tokenizer) < _BYTE_SYMBOLS:
        raise ModelUnavailableError(_damaged(source))
    return Placed(model, device), tokenizer, processor


def _only_on_the_hub(source: str) -> bool:
    return hub.is_id(source) and not Path(source).exists() and hub.cached_file(source, "config.json") is None


def _damaged(source: str) -> str:
    return f"the CLIP model {source} is damaged or of another kind; delete it and fetch it again"


def _image_features(clip: Any, pixels: Tensor) -> Tensor:
    features: Tensor = clip.get_image_features(
        pixel_values=pixels
    ).pooler_output  # projected, since transformers 5
    return features


def _text_features(clip: Any, tokens: Tensor, mask: Tensor) -> Tensor:
    features: Tensor = clip.get_text_features(input_ids=tokens, attention_mask=mask).pooler_output
    return features


def _unit(features: Tensor) -> Tensor:
    """Rows divided by their length, in float32; a row of length 0 or with a non-finite entry becomes NaN."""
    features = features.float()
    return features / features.norm(dim=-1, keepdim=True)
