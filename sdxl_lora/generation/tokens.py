"""How long a prompt is for a model, by the model's own tokenizers and without loading the model.

Fast enough to be asked at every keystroke. Counts as `generation.count_tokens` does, which needs the whole model.
"""

import functools
import itertools
import threading
from pathlib import Path
from typing import Any

from sdxl_lora import prompts
from sdxl_lora.errors import StudioError
from sdxl_lora.generation import TokenCount
from sdxl_lora.models import registry
from sdxl_lora.models.quiet import quiet
from sdxl_lora.prompts import emphasis

LOOKED_AT = 32  # prompts of one with choices in it; the longest counts
SPECIAL_TOKENS = 2  # tokens that begin and end what is read at once
_lock = threading.Lock()  # tokenizers are not safe to share


def count(model: str, prompt: str) -> TokenCount | None:
    """Length of `prompt` for the model of that name, its longest variant where it has choices.

    None where nobody can say: the model is unknown, not on this machine or broken, or the prompt's braces do not match.
    """
    try:
        folder = registry.describe(model).folder
        variants = list(itertools.islice(prompts.expand(prompt), LOOKED_AT))
    except StudioError:  # the page says elsewhere what is wrong
        return None
    if folder is None:
        return None
    with _lock, quiet():  # being too long is what is asked about
        tokenizers = _tokenizers(folder)
        if not tokenizers:
            return None
        tokens = max(_tokens(tokenizer, text) for tokenizer in tokenizers for text in variants)
    return TokenCount(tokens=tokens, limit=int(tokenizers[0].model_max_length) - SPECIAL_TOKENS)


def in_words(found: TokenCount) -> str:
    """For people: "52 of 77 tokens", or in how many chunks the prompt is sent."""
    limit = found.limit + SPECIAL_TOKENS
    if found.chunks == 1:
        return f"{found.tokens + SPECIAL_TOKENS} of {limit} tokens"
    return (
        f"{found.tokens} tokens, sent in {found.chunks} chunks of up to {limit}: what comes first counts most"
    )


@functools.lru_cache(maxsize=4)
def _tokenizers(folder: Path) -> tuple[Any, ...]:
    """One or two; none where the folder has none that can be read."""
    from transformers import CLIPTokenizer

    parts = [folder / name for name in ("tokenizer", "tokenizer_2") if (folder / name).is_dir()]
    try:
        return tuple(CLIPTokenizer.from_pretrained(part, local_files_only=True) for part in parts)
    except (OSError, ValueError):
        return ()


def _tokens(tokenizer: Any, prompt: str) -> int:
    """Without marks; emphasis and its brackets cost none."""
    return sum(
        len(tokenizer(part.text, add_special_tokens=False, truncation=False).input_ids)
        for part in emphasis.parse(prompt)
    )
