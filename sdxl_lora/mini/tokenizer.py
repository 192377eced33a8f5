"""The two CLIP tokenizers of the bundled model: byte-level BPE learned from its own captions.

The layout is CLIP's (256 bytes, 256 bytes at a word's end, merges, two specials; arXiv 2103.00020, 2.4), so that
`CLIPTokenizer` loads it and any text in any script has tokens. Knows nothing of what captions mean.
"""

import json
import random
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from sdxl_lora.mini.captions import corpus

START, END = "<|startoftext|>", "<|endoftext|>"
MAX_LENGTH = 77  # tokens, as CLIP's own, so that what fits here fits SDXL
_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def learn_merges(sentences: list[str], vocabulary_size: int) -> list[tuple[str, str]]:
    """Byte-pair merges of CLIP's pre-tokenization, most frequent first."""
    tokenizer = Tokenizer(models.BPE(unk_token=END, end_of_word_suffix="</w>", continuing_subword_prefix=""))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        end_of_word_suffix="</w>",
        show_progress=False,
        min_frequency=3,
    )
    tokenizer.train_from_iterator(sentences, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    pairs = (m.split(" ") if isinstance(m, str) else m for m in merges)
    return [(first, second) for first, second in pairs]


def clip_vocabulary(merges: list[tuple[str, str]]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Token -> id in CLIP's order, and the merges whose parts exist."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*alphabet, *(a + "</w>" for a in alphabet)])}
    kept = []
    for first, second in merges:
        if first in vocabulary and second in vocabulary:
            kept.append((first, second))
            vocabulary.setdefault(first + second, len(vocabulary))
    for special in (START, END):
        vocabulary[special] = len(vocabulary)
    return vocabulary, kept


def build_tokenizers(
    folder: Path, *, seed: int, sentences: int = 30_000, vocabulary_size: int = 2_048
) -> None:
    """Write `tokenizer` (pads with the end token) and `tokenizer_2` (pads with "!"), as SDXL has them."""
    merges = learn_merges(list(corpus(random.Random(seed), sentences)), vocabulary_size)
    vocabulary, kept = clip_vocabulary(merges)
    for name, pad in (("tokenizer", END), ("tokenizer_2", "!")):
        tokenizer = CLIPTokenizer(vocab=vocabulary, merges=kept, pad_token=pad, model_max_length=MAX_LENGTH)
        tokenizer.save_pretrained(folder / name)
