"""Captions -> what the UNet is conditioned on: both encoders of SDXL, or the one of SD 1.x.

SDXL reads the penultimate hidden states of both encoders, without the final norm, side by side, and the
projected state at the first end-of-text token of the second (arXiv:2307.01952, table 1). SD 1.x reads the
final states.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPTokenizer

from sdxl_lora.config import Architecture


@dataclass(frozen=True)
class TextCondition:
    """Encoded captions."""

    embeddings: Tensor  # B x tokens x width
    pooled: Tensor | None  # B x width; SDXL only

    def to(self, device: torch.device) -> "TextCondition":
        return TextCondition(
            self.embeddings.to(device), None if self.pooled is None else self.pooled.to(device)
        )


class TextEncoding:
    """The text half of a model. Gradients flow where the encoders' parameters require them."""

    def __init__(
        self,
        architecture: Architecture,
        tokenizers: Sequence[CLIPTokenizer],
        encoders: Sequence[Any],
        device: torch.device,
    ) -> None:
        self.architecture = architecture
        self.tokenizers = list(tokenizers)
        self.encoders = [encoder.to(device) for encoder in encoders]

    def encode(self, captions: Sequence[str]) -> TextCondition:
        """Captions beyond the encoder's length are cut; the end-of-text token stays."""
        if self.architecture == "sd":
            ids = token_ids(self.tokenizers[0], captions).to(self.encoders[0].device)
            return TextCondition(self.encoders[0](ids).last_hidden_state, None)
        states, pooled = [], None
        for tokenizer, encoder in zip(self.tokenizers, self.encoders, strict=True):
            ids = token_ids(tokenizer, captions).to(encoder.device)
            output = encoder(ids, output_hidden_states=True)
            states.append(output.hidden_states[-2])
            if hasattr(encoder, "text_projection"):
                last = output.last_hidden_state
                end = first_end(ids, tokenizer.eos_token_id)
                pooled = encoder.text_projection(last[torch.arange(len(last), device=last.device), end])
        return TextCondition(torch.cat(states, dim=-1), pooled)

    def unconditional(self, count: int) -> TextCondition:
        """What stands for a left-out caption: zeros for SDXL, as its pipeline does; "" for SD 1.x."""
        condition = self.encode([""] * count)
        if self.architecture == "sd" or condition.pooled is None:
            return condition
        return TextCondition(torch.zeros_like(condition.embeddings), torch.zeros_like(condition.pooled))


def token_ids(tokenizer: CLIPTokenizer, captions: Sequence[str]) -> Tensor:
    """B x length token ids, padded and cut to the model's length."""
    length = tokenizer.model_max_length
    batch = tokenizer(
        list(captions), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    )
    ids: Tensor = batch.input_ids
    return ids


def first_end(ids: Tensor, end: int) -> Tensor:
    """Position of the first `end` in each row: B x length -> B. Padding may repeat it."""
    return (ids == end).int().argmax(dim=-1)


def token_count(tokenizer: CLIPTokenizer, caption: str) -> int:
    """Tokens of a caption with both marks, uncut."""
    return len(tokenizer(caption, truncation=False, verbose=False).input_ids)
