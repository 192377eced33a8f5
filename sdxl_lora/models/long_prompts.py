"""Text embeddings of prompts that are longer than the text encoders read, or have emphasis in them.

Long prompts are cut into pieces of as many tokens as an encoder reads (75 and the marks at both ends), each piece is
encoded alone, and the embeddings stand one after the other: the UNet attends to any number of tokens. The pooled
embedding is the first piece's. Both sides of the guidance get equally many pieces, empty ones at the end.

Emphasis moves a token's embedding away from what the empty prompt has at its place: `empty + weight * (own - empty)`,
the interpolation that `compel` does. Weight 1 changes nothing. Short prompts without emphasis never come here: the
pipeline encodes those itself (`embeddings`).
"""

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from sdxl_lora.prompts import emphasis

_Side = tuple[Tensor, Tensor | None]  # embeddings [1, tokens, width], pooled [1, width]


@dataclass(frozen=True)
class _Tower:
    """One text encoder with its tokenizer."""

    tokenizer: Any
    encoder: Any
    penultimate: bool  # which hidden states the UNet was trained with

    @property
    def room(self) -> int:
        """Tokens in one piece, without the marks at both ends."""
        return int(self.tokenizer.model_max_length) - 2


def towers(pipeline: DiffusionPipeline) -> list[_Tower]:
    """The text encoders in the order their embeddings are joined; SDXL reads their last hidden layer but one."""
    second = getattr(pipeline, "text_encoder_2", None)
    if second is None:
        return [_Tower(pipeline.tokenizer, pipeline.text_encoder, penultimate=False)]
    return [
        _Tower(tokenizer, encoder, penultimate=True)
        for tokenizer, encoder in (
            (pipeline.tokenizer, pipeline.text_encoder),
            (pipeline.tokenizer_2, second),
        )
        if encoder is not None
    ]


def count(pipeline: DiffusionPipeline, prompt: str) -> int:
    """Tokens of `prompt` without marks, in the tokenizer that needs most."""
    return max(len(_tokens(tower, prompt)[0]) for tower in towers(pipeline))


def needed(pipeline: DiffusionPipeline, *prompts: str) -> bool:
    """Whether one of the prompts is too long for the pipeline's own encoding, or has emphasis."""
    parts = towers(pipeline)
    return any(
        emphasis.parse(prompt)[0].text != prompt
        or any(len(_tokens(tower, prompt)[0]) > tower.room for tower in parts)
        for prompt in prompts
    )


def encode(
    pipeline: DiffusionPipeline, prompt: str, negative: str, *, guided: bool
) -> tuple[Tensor | None, ...]:
    """What `pipeline.encode_prompt` gives: embeddings, negative ones, pooled, negative pooled; None = none."""
    parts = towers(pipeline)
    prompts = [prompt, negative] if guided else [prompt]
    pieces = max(-(-len(_tokens(tower, p)[0]) // tower.room) for tower in parts for p in prompts)
    positive = _encode(parts, prompt, max(1, pieces))
    if not guided:
        other: tuple[Tensor | None, Tensor | None] = (None, None)
    elif not negative and getattr(pipeline.config, "force_zeros_for_empty_prompt", False):
        other = tuple(None if part is None else torch.zeros_like(part) for part in positive)  # type: ignore[assignment]  # two in, two out
    else:
        other = _encode(parts, negative, max(1, pieces))
    return positive[0], other[0], positive[1], other[1]


def _tokens(tower: _Tower, prompt: str) -> tuple[list[int], list[float]]:
    """Token ids without marks, and the weight of each."""
    ids: list[int] = []
    weights: list[float] = []
    for part in emphasis.parse(prompt):
        found = tower.tokenizer(part.text, add_special_tokens=False, truncation=False).input_ids
        ids += found
        weights += [part.weight] * len(found)
    return ids, weights


def _encode(parts: list[_Tower], prompt: str, pieces: int) -> _Side:
    encoded = [_encode_with(tower, prompt, pieces) for tower in parts]
    return torch.cat([embeddings for embeddings, _ in encoded], dim=-1), encoded[-1][1]


def _encode_with(tower: _Tower, prompt: str, pieces: int) -> _Side:
    """One tower's embeddings of all pieces; weight 1 where a piece is filled up."""
    ids, weights = _tokens(tower, prompt)
    rows = [ids[i * tower.room : (i + 1) * tower.room] for i in range(pieces)]
    factors = torch.ones(pieces, tower.room + 2)
    for i in range(pieces):
        own = weights[i * tower.room : (i + 1) * tower.room]
        factors[i, 1 : 1 + len(own)] = torch.tensor(own)
    embeddings, pooled = _run(tower, rows)  # pieces x tokens x width
    if (factors != 1).any():
        empty, _ = _run(tower, [[]])
        scale = factors[..., None].to(embeddings.device, embeddings.dtype)
        moved = empty + scale * (embeddings - empty)
        embeddings = torch.where(scale == 1, embeddings, moved)  # to the last bit
    return embeddings.flatten(0, 1)[None], pooled


def _run(tower: _Tower, rows: list[list[int]]) -> _Side:
    """Rows of token ids without marks through the encoder; the first row's pooled embedding, if it has one."""
    tokenizer = tower.tokenizer
    length = int(tokenizer.model_max_length)
    filled = []
    for row in rows:
        marked = [tokenizer.bos_token_id, *row, tokenizer.eos_token_id]
        filled.append(marked + [tokenizer.pad_token_id] * (length - len(marked)))
    ids = torch.tensor(filled, device=tower.encoder.device)
    output = tower.encoder(ids, output_hidden_states=tower.penultimate)
    if not tower.penultimate:
        return output[0], None
    pooled = output[0][:1] if output[0].ndim == 2 else None  # the projected text, of SDXL's second tower
    return output.hidden_states[-2], pooled
