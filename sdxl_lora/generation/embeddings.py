"""Prompt -> text embeddings, remembered, and counting what of a prompt a model reads.

The embeddings are the ones the stock pipeline computes: an empty negative prompt becomes zeros for SDXL
models that say so, else the embedding of the empty text. Prompts that the pipeline would cut, and prompts with
emphasis, are encoded by `models.long_prompts`.
"""

from sdxl_lora.generation.tokens import TokenCount
from sdxl_lora.lru_cache import LruCache
from sdxl_lora.models.engine import Embeddings
from sdxl_lora.models.loading import LoadedModel

_REMEMBERED = 64  # prompts; about 0.6 MB each for SDXL

_Key = tuple[object, ...]


def count_tokens(model: LoadedModel, text: str) -> TokenCount:
    """Length of `text` in the tokens of the model; emphasis and its brackets cost none."""
    tokens, limit = model.engine.token_count(text)
    return TokenCount(tokens=tokens, limit=limit)


def embed(model: LoadedModel, prompt: str, negative_prompt: str, guided: bool) -> Embeddings:
    """Embeddings of one picture's prompt; the model must be in use by the caller.

    `guided`: with classifier-free guidance, which needs the negative side too.
    """
    cache: LruCache[_Key, Embeddings] = model.base.cache.setdefault("embeddings", LruCache(_REMEMBERED))
    key: _Key = (model.config.loras, prompt, negative_prompt, guided)
    found = cache.find(key)
    if found is None:
        found = cache.keep(key, model.engine.encode(prompt, negative_prompt, guided=guided))
    return dict(found)
