"""Text embeddings of prompts that are longer than the text encoders read, or have emphasis in them.

Long prompts are cut into chunks of as many tokens as an encoder reads (75 and the special tokens at both ends), each
chunk is encoded alone, and the embeddings stand one after the other: the UNet attends to any number of tokens. The
pooled embedding is the first chunk's. Both sides of the guidance get equally many chunks, empty ones at the end.

Emphasis moves a token's embedding away from what the empty prompt has at its place: `empty + weight * (own - empty)`,
the interpolation that `compel` does. Weight 1 changes nothing. `compel` itself (2.5.1) is not taken: it reads
`(navy)1.3`, but AUTOMATIC1111's `(navy:1.3)` as the words `navy:1.3`, and it pools a text with the marks of emphasis
still in it. Short prompts without emphasis never come here: the pipeline encodes those itself (`embeddings`).
"""

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from sdxl_lora.models import pipeline_internals
from sdxl_lora.prompts import emphasis

_Side = tuple[Tensor, Tensor | None]  # embeddings [1, tokens, width], pooled [1, width]


@dataclass(frozen=True)
class _TextEncoder:
    """One text encoder with its tokenizer."""

    tokenizer: Any
    model: Any
    penultimate: bool  # which hidden states the UNet was trained with
    device: torch.device  # where it computes

    @property
    def max_tokens(self) -> int:
        """Tokens in one chunk, without the special tokens at both ends."""
        return int(self.tokenizer.model_max_length) - 2


def text_encoders(pipeline: DiffusionPipeline) -> list[_TextEncoder]:
    """The text encoders in the order their embeddings are joined; SDXL reads their last hidden layer but one."""
    device = pipeline_internals.execution_device(pipeline)
    second = getattr(pipeline, "text_encoder_2", None)
    if second is None:
        return [_TextEncoder(pipeline.tokenizer, pipeline.text_encoder, penultimate=False, device=device)]
    return [
        _TextEncoder(tokenizer, model, penultimate=True, device=device)
        for tokenizer, model in (
            (pipeline.tokenizer, pipeline.text_encoder),
            (pipeline.tokenizer_2, second),
        )
        if model is not None
    ]


def count(pipeline: DiffusionPipeline, prompt: str) -> int:
    """Tokens of `prompt` without special tokens, in the tokenizer that needs most."""
    return max(len(_tokens(encoder, prompt)[0]) for encoder in text_encoders(pipeline))


def needed(pipeline: DiffusionPipeline, *prompts: str) -> bool:
    """Whether one of the prompts is too long for the pipeline's own encoding, or has emphasis."""
    encoders = text_encoders(pipeline)
    return any(
        emphasis.parse(prompt)[0].text != prompt
        or any(len(_tokens(encoder, prompt)[0]) > encoder.max_tokens for encoder in encoders)
        for prompt in prompts
    )


def encode(
    pipeline: DiffusionPipeline, prompt: str, negative: str, *, guided: bool
) -> tuple[Tensor | None, ...]:
    """What `pipeline.encode_prompt` gives: embeddings, negative ones, pooled, negative pooled; None = none."""
    encoders = text_encoders(pipeline)
    prompts = [prompt, negative] if guided else [prompt]
    chunks = max(
        -(-len(_tokens(encoder, p)[0]) // encoder.max_tokens) for encoder in encoders for p in prompts
    )
    positive = _encode(encoders, prompt, max(1, chunks))
    if not guided:
        other: tuple[Tensor | None, Tensor | None] = (None, None)
    elif not negative and getattr(pipeline.config, "force_zeros_for_empty_prompt", False):
        other = tuple(None if part is None else torch.zeros_like(part) for part in positive)  # type: ignore[assignment]  # two in, two out
    else:
        other = _encode(encoders, negative, max(1, chunks))
    return positive[0], other[0], positive[1], other[1]


def _tokens(encoder: _TextEncoder, prompt: str) -> tuple[list[int], list[float]]:
    """Token ids without special tokens, and the weight of each."""
    ids: list[int] = []
    weights: list[float] = []
    for part in emphasis.parse(prompt):
        found = encoder.tokenizer(part.text, add_special_tokens=False, truncation=False).input_ids
        ids += found
        weights += [part.weight] * len(found)
    return ids, weights


def _encode(encoders: list[_TextEncoder], prompt: str, chunks: int) -> _Side:
    encoded = [_encode_with(encoder, prompt, chunks) for encoder in encoders]
    return torch.cat([embeddings for embeddings, _ in encoded], dim=-1), encoded[-1][1]


def _encode_with(encoder: _TextEncoder, prompt: str, chunks: int) -> _Side:
    """One encoder's embeddings of all chunks; weight 1 where a chunk is filled up."""
    ids, weights = _tokens(encoder, prompt)
    rows = [ids[i * encoder.max_tokens : (i + 1) * encoder.max_tokens] for i in range(chunks)]
    factors = torch.ones(chunks, encoder.max_tokens + 2)
    for i in range(chunks):
        own = weights[i * encoder.max_tokens : (i + 1) * encoder.max_tokens]
        factors[i, 1 : 1 + len(own)] = torch.tensor(own)
    embeddings, pooled = _run(encoder, rows)  # chunks x tokens x width
    if (factors != 1).any():
        empty, _ = _run(encoder, [[]])
        scale = factors[..., None].to(embeddings.device, embeddings.dtype)
        moved = empty + scale * (embeddings - empty)
        embeddings = torch.where(scale == 1, embeddings, moved)  # to the last bit
    return embeddings.flatten(0, 1)[None], pooled


def _run(encoder: _TextEncoder, rows: list[list[int]]) -> _Side:
    """Rows of token ids without special tokens through the encoder; the first row's pooled embedding, if it has one."""
    tokenizer = encoder.tokenizer
    length = int(tokenizer.model_max_length)
    filled = []
    for row in rows:
        marked = [tokenizer.bos_token_id, *row, tokenizer.eos_token_id]
        filled.append(marked + [tokenizer.pad_token_id] * (length - len(marked)))
    ids = torch.tensor(filled, device=encoder.device)
    output = encoder.model(ids, output_hidden_states=encoder.penultimate)
    if not encoder.penultimate:
        return output[0], None
    pooled = output[0][:1] if output[0].ndim == 2 else None  # the projected text, of SDXL's second encoder
    return output.hidden_states[-2], pooled
