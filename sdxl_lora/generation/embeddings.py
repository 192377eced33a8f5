"""Prompt -> text embeddings, remembered, and counting what of a prompt a model reads.

The embeddings are the ones the stock pipeline computes: an empty negative prompt becomes zeros for SDXL
models that say so, else the embedding of the empty text.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from diffusers import DiffusionPipeline

from sdxl_lora.models.loading import LoadedModel

_REMEMBERED = 64  # prompts; about 0.6 MB each for SDXL
_TRUNCATION_WARNINGS = ("truncated because CLIP", "Token indices sequence length")
_NOISY_LOGGERS = (
    "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",
    "diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl",
    "transformers.tokenization_utils_base",
)

Embeddings = dict[str, torch.Tensor]  # as the pipeline's call takes them
_Key = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class TokenCount:
    """How long a prompt is for a model, not counting the marks at both ends."""

    tokens: int
    limit: int  # tokens the model reads; what comes after is cut

    @property
    def cut(self) -> int:
        """Tokens that the model does not read."""
        return max(0, self.tokens - self.limit)


def count_tokens(model: LoadedModel, text: str) -> TokenCount:
    """Length of `text` in the tokens of the model."""
    tokenizer = model.pipeline.tokenizer
    with _no_truncation_warnings():
        tokens = len(tokenizer(text, truncation=False, add_special_tokens=False).input_ids)
    return TokenCount(tokens=tokens, limit=tokenizer.model_max_length - 2)


def embed(model: LoadedModel, prompt: str, negative_prompt: str, guided: bool) -> Embeddings:
    """Arguments of the pipeline's call for one picture; the model must be in use by the caller.

    `guided`: with classifier-free guidance, which needs the negative side too.
    """
    memory = model.base.memory.setdefault("embeddings", OrderedDict())
    key: _Key = (model.config.loras, prompt, negative_prompt, guided)
    if key not in memory:
        with torch.no_grad(), _no_truncation_warnings():
            memory[key] = _encode(model.pipeline, prompt, negative_prompt or None, guided)
        while len(memory) > _REMEMBERED:
            memory.popitem(last=False)
    memory.move_to_end(key)
    return dict(memory[key])


def _encode(pipeline: DiffusionPipeline, prompt: str, negative: str | None, guided: bool) -> Embeddings:
    device = pipeline.device
    encoded = pipeline.encode_prompt(
        prompt,
        device=device,
        num_images_per_prompt=1,
        do_classifier_free_guidance=guided,
        negative_prompt=negative,
    )
    names = (
        "prompt_embeds",
        "negative_prompt_embeds",
        "pooled_prompt_embeds",
        "negative_pooled_prompt_embeds",
    )
    return {name: value for name, value in zip(names, encoded, strict=False) if value is not None}


class _DropTruncation(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not any(part in str(record.msg) for part in _TRUNCATION_WARNINGS)


@contextmanager
def _no_truncation_warnings() -> Iterator[None]:
    """The libraries warn at every long prompt; this project shows a token count instead."""
    quiet = _DropTruncation()
    loggers = [logging.getLogger(name) for name in _NOISY_LOGGERS]
    for logger in loggers:
        logger.addFilter(quiet)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(quiet)
