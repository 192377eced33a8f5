"""How long a prompt is for a model, by the model's own tokenizers and without loading the model.

Fast enough to be asked at every keystroke, also before transformers is imported: a tokenizer that lies there as
`tokenizer.json` is read by the library that transformers reads it with. Counts as `generation.count_tokens` does, which
needs the whole model.
"""

import functools
import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from sdxl_lora import later, plain_json, prompts
from sdxl_lora.errors import StudioError
from sdxl_lora.models import registry
from sdxl_lora.prompts import emphasis

LOOKED_AT = 32  # prompts of one with choices in it; the longest counts
SPECIAL_TOKENS = 2  # tokens that begin and end what is read at once
_lock = threading.Lock()  # tokenizers are not safe to share


@dataclass(frozen=True, kw_only=True)
class TokenCount:
    """How long a prompt is for a model, not counting the special tokens at both ends."""

    tokens: int
    limit: int  # tokens the model reads at once

    @property
    def chunks(self) -> int:
        """How many times the text encoder reads; words in later chunks count less."""
        return max(1, -(-self.tokens // self.limit))


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
    with _lock:
        readers = _readers(folder)
        if not readers:
            return None
        tokens = max(_tokens(reader, text) for reader in readers for text in variants)
    return TokenCount(tokens=tokens, limit=readers[0].limit)


def in_words(found: TokenCount) -> str:
    """For people: "52 of 77 tokens", or in how many chunks the prompt is sent."""
    limit = found.limit + SPECIAL_TOKENS
    if found.chunks == 1:
        return f"{found.tokens + SPECIAL_TOKENS} of {limit} tokens"
    return (
        f"{found.tokens} tokens, sent in {found.chunks} chunks of up to {limit}: what comes first counts most"
    )


@dataclass(frozen=True)
class _Reader:
    """A tokenizer: how it counts, and how many tokens are read at once, both without the special ones."""

    count: Callable[[str], int]
    limit: int


@functools.lru_cache(maxsize=4)
def _readers(folder: Path) -> tuple[_Reader, ...]:
    """One or two; none where the folder has none that can be read."""
    parts = [folder / name for name in ("tokenizer", "tokenizer_2") if (folder / name).is_dir()]
    try:
        return tuple(_quick(part) or _slow(part) for part in parts)
    except (OSError, ValueError):
        return ()


def _quick(part: Path) -> _Reader | None:
    """From `tokenizer.json`; None for older folders, which have only its parts. Raises `OSError`, `ValueError`."""
    whole, settings = part / "tokenizer.json", part / "tokenizer_config.json"
    if not (whole.is_file() and settings.is_file()):
        return None
    limit = plain_json.parse(settings.read_text(encoding="utf-8")).get("model_max_length")
    text = whole.read_text(encoding="utf-8")
    if not isinstance(limit, int) or plain_json.parse(text).get("model", {}).get("type") != "BPE":
        return None
    reader = Tokenizer.from_str(text)
    reader.no_truncation()
    reader.no_padding()
    return _Reader(
        lambda text: len(reader.encode(text, add_special_tokens=False).ids), limit - SPECIAL_TOKENS
    )


def _slow(part: Path) -> _Reader:
    """By transformers. Raises `OSError`, `ValueError`."""
    with later.importing():
        from transformers import CLIPTokenizer

        from sdxl_lora.models.quiet import quiet
    with quiet():
        reader = CLIPTokenizer.from_pretrained(part, local_files_only=True)

    def count(text: str) -> int:
        with quiet():  # being too long is what is asked about
            return len(reader(text, add_special_tokens=False, truncation=False).input_ids)

    return _Reader(count, int(reader.model_max_length) - SPECIAL_TOKENS)


def _tokens(reader: _Reader, prompt: str) -> int:
    """Without marks; emphasis and its brackets cost none."""
    return sum(reader.count(part.text) for part in emphasis.parse(prompt))
