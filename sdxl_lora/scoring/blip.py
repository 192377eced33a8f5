"""BLIP image-text matching: two scores of one model (Li et al., arXiv:2201.12086, section 3.2).

ITM is the probability that text and picture match, from a head that reads both at once: better for re-ranking,
slower, and soon saturated. ITC is the cosine of the two towers, on a scale of its own; neither is comparable with
the other or with CLIP's. Weights are those of `Salesforce/blip-itm-base-coco` unless a folder is given.
"""

import math
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from sdxl_lora.config import home
from sdxl_lora.errors import ModelUnavailableError
from sdxl_lora.models.placement import Placed
from sdxl_lora.scoring.checks import blank_reason

BATCH = 8  # pairs in one forward pass
CANONICAL = "Salesforce/blip-itm-base-coco"
FETCH_COMMAND = "python -m sdxl_lora models fetch metrics"

Head = Literal["itm", "itc"]


def default_folder() -> Path:
    """Where the fetched weights lie; `SDXL_LORA_BLIP` names another folder."""
    return Path(os.environ.get("SDXL_LORA_BLIP") or home() / "metrics" / "blip")


class BlipModel:
    """The network that both scorers share; loaded at first use, may be called by several threads."""

    def __init__(self, folder: Path | None = None, *, device: str | torch.device | None = None) -> None:
        """`device`: None = the fastest there is."""
        self.folder = folder or default_folder()
        self._device = device
        self._lock = threading.Lock()
        self._parts: tuple[Placed, Any, Any] | None = None  # model, tokenizer, image processor

    def match(self, images: Sequence[Image.Image], texts: Sequence[str], head: Head) -> list[float]:
        """One number per pair; raises `ModelUnavailableError`, or `ValueError` if the numbers differ."""
        if len(images) != len(texts):
            raise ValueError(f"{len(images)} pictures but {len(texts)} texts")
        model, tokenizer, processor = self._load()
        limit = model.network.config.text_config.max_position_embeddings
        found: list[float] = []

        def forward(blip: Any, ids: Tensor, mask: Tensor, pixels: Tensor) -> Tensor:
            # without the mask the padding of shorter texts would be read as words
            output: Tensor = blip(
                input_ids=ids, attention_mask=mask, pixel_values=pixels, use_itm_head=head == "itm"
            )[0]
            return output

        for start in range(0, len(images), BATCH):
            batch = [image.convert("RGB") for image in images[start : start + BATCH]]
            pixels = processor(images=batch, return_tensors="pt")["pixel_values"]
            with self._lock:  # tokenizers are not safe to share either
                tokens = tokenizer(
                    list(texts[start : start + BATCH]),
                    padding=True,
                    truncation=True,
                    max_length=limit,
                    return_tensors="pt",
                )
                output = model.run(forward, tokens["input_ids"], tokens["attention_mask"], pixels)
            scores = output.softmax(dim=-1)[:, 1] if head == "itm" else output.diagonal()
            found += scores.float().tolist()
        return [math.nan if blank_reason(i) else value for i, value in zip(images, found, strict=True)]

    def _load(self) -> tuple[Placed, Any, Any]:
        with self._lock:
            if self._parts is None:
                self._parts = _load_parts(self.folder, self._device)
            return self._parts


class BlipScorer:
    """One of the model's two scores behind the `Scorer` protocol."""

    def __init__(self, model: BlipModel, head: Head) -> None:
        self._model = model
        self._head: Head = head
        self.key = f"blip_{head}"
        kind = "ITM probability" if head == "itm" else "ITC cosine"
        self.name = f"BLIP {kind}"

    def score(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        """ITM: 0..1; ITC: -1..1; NaN for a blank picture."""
        return self._model.match(images, texts, self._head)


def _load_parts(folder: Path, device: str | torch.device | None) -> tuple[Placed, Any, Any]:
    # importing transformers takes seconds: only those pay who score
    from transformers import BertTokenizerFast, BlipForImageTextRetrieval, BlipImageProcessorPil

    if not folder.is_dir():
        raise ModelUnavailableError(f"the weights of {CANONICAL} are not in {folder}; run {FETCH_COMMAND}")
    try:
        model, report = BlipForImageTextRetrieval.from_pretrained(
            folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
        tokenizer = BertTokenizerFast.from_pretrained(folder)
        processor = BlipImageProcessorPil.from_pretrained(folder)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelUnavailableError(
            f"{folder} is no whole BLIP retrieval model; delete it and run {FETCH_COMMAND}"
        ) from error
    if report["missing_keys"]:  # transformers would go on with random numbers
        raise ModelUnavailableError(
            f"{folder} lacks weights of a BLIP retrieval model; delete it and fetch again"
        )
    return Placed(model, device), tokenizer, processor
