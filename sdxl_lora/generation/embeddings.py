"""Prompt -> text embeddings, remembered, and counting what of a prompt a model reads.

The embeddings are the ones the stock pipeline computes: an empty negative prompt becomes zeros for SDXL
models that say so, else the embedding of the empty text. Prompts that the pipeline would cut, and prompts with
emphasis, are encoded by `long_prompts`.
"""

from dataclasses import dataclass

import torch
from diffusers import DiffusionPipeline

from sdxl_lora.generation import long_prompts
from sdxl_lora.lru_cache import LruCache
from sdxl_lora.models.loading import LoadedModel
from sdxl_lora.models.quiet import quiet

_REMEMBERED = 64  # prompts; about 0.6 MB each for SDXL

Embeddings = dict[str, torch.Tensor]  # as the pipeline's call takes them
_Key = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class TokenCount:
    """How long a prompt is for a model, not counting the marks at both ends."""

    tokens: int
    limit: int  # tokens the model reads at once

    @property
    def pieces(self) -> int:
        """How many times the text encoder reads; words in later pieces count less."""
        return max(1, -(-self.tokens // self.limit))


def count_tokens(model: LoadedModel, text: str) -> TokenCount:
    """Length of `text` in the tokens of the model; emphasis and its brackets cost none."""
    with quiet():
        tokens = long_prompts.count(model.pipeline, text)
    return TokenCount(tokens=tokens, limit=model.pipeline.tokenizer.model_max_length - 2)


def embed(model: LoadedModel, prompt: str, negative_prompt: str, guided: bool) -> Embeddings:
    """Arguments of the pipeline's call for one picture; the model must be in use by the caller.

    `guided`: with classifier-free guidance, which needs the negative side too.
    """
    memory: LruCache[_Key, Embeddings] = model.base.memory.setdefault("embeddings", LruCache(_REMEMBERED))
    key: _Key = (model.config.loras, prompt, negative_prompt, guided)
    found = memory.find(key)
    if found is None:
        with torch.no_grad(), quiet():
            found = memory.keep(key, _encode(model.pipeline, prompt, negative_prompt or None, guided))
    return dict(found)


def _encode(pipeline: DiffusionPipeline, prompt: str, negative: str | None, guided: bool) -> Embeddings:
    if long_prompts.needed(pipeline, prompt, (guided and negative) or ""):
        encoded = long_prompts.encode(pipeline, prompt, negative or "", guided=guided)
    else:
        encoded = pipeline.encode_prompt(
            prompt,
            device=pipeline.device,
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
