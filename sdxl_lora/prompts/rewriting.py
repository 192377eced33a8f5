"""More words for a short prompt, by a small instruct model on this machine. Off until somebody names one.

Nothing is sent anywhere, and weights are never fetched unasked. What comes back is a proposal: it is shown before it is
used, and holds only what a prompt may hold. A model may still invent a colour or a logo nobody asked for; the claims of
the prompt that it lost are therefore named beside its words.
"""

import functools
import os
import re
import threading
import unicodedata
from dataclasses import dataclass
from typing import Any

from sdxl_lora.config import MAX_PROMPT_CHARACTERS
from sdxl_lora.errors import ModelUnavailableError, PromptError, StudioError
from sdxl_lora.prompts import attributes, emphasis

EXAMPLE = "Qwen/Qwen2.5-0.5B-Instruct"
MAX_WORDS = 60  # that a model is asked for
_NEW_TOKENS = 120
_TASK = (
    "You write prompts for pictures of clothing in an online shop. Rewrite the user's words as one sentence of at most"
    f" {MAX_WORDS} words. Keep every garment, colour, pattern, brand, logo and place exactly as given, invent no"
    " others, and add only fabric, light, camera and style. Answer with the sentence alone."
)
_LABEL = re.compile(r"^\s*(?:(?:new |rewritten )?prompt|sentence|answer)\s*:\s*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """What the model made of the words."""

    prompt: str
    lost: tuple[str, ...]  # claims of the words that it dropped or changed, e.g. "colour: navy"


class PromptRewriter:
    """One causal language model; loaded at first use, may be called by several threads."""

    def __init__(self, source: str) -> None:
        """`source`: folder or hub id of an instruct model in safetensors, its weights on this machine."""
        self.source = source.strip()
        if not self.source:
            raise PromptError(f"name a small instruct model, for example {EXAMPLE}")
        self._lock = threading.Lock()
        self._parts: tuple[Any, Any] | None = None  # model, tokenizer

    def rewrite(self, prompt: str) -> Proposal:
        """A richer prompt. Greedy, so that the same words give the same answer.

        Raises `PromptError` for an empty prompt or an answer without words, `ModelUnavailableError`.
        """
        if not prompt.strip():
            raise PromptError("the prompt is empty; write a few words first")
        answer = self._answer(emphasis.plain(prompt))
        return Proposal(prompt=answer, lost=tuple(_lost(prompt, answer)))

    def _answer(self, prompt: str) -> str:
        import torch

        with self._lock, torch.inference_mode():
            model, tokenizer = self._load()
            inputs = tokenizer(_conversation(tokenizer, prompt), return_tensors="pt", truncation=True)
            written = model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                max_new_tokens=_NEW_TOKENS,
                do_sample=False,
                pad_token_id=tokenizer.eos_token_id,
            )
            text = tokenizer.decode(written[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return _tidied(text)

    def _load(self) -> tuple[Any, Any]:
        if self._parts is None:
            from transformers import AutoModelForCausalLM, AutoTokenizer

            try:
                tokenizer = AutoTokenizer.from_pretrained(self.source, local_files_only=True)
                model = AutoModelForCausalLM.from_pretrained(
                    self.source, local_files_only=True, use_safetensors=True
                )
            except (
                OSError,
                ValueError,
                KeyError,
                RuntimeError,
            ) as error:  # what transformers raises for no model
                raise ModelUnavailableError(
                    f"the language model {self.source} is not here or not whole; run `hf download {self.source}`,"
                    " or name a folder that holds it"
                ) from error
            self._parts = model.eval(), tokenizer
        return self._parts


def chosen() -> str:
    """The model that `SDXL_LORA_ENRICH` names; "" = none."""
    return os.environ.get("SDXL_LORA_ENRICH", "").strip()


@functools.lru_cache(maxsize=1)
def rewriter_of(source: str) -> PromptRewriter:
    """One instance per process: such a model takes a gigabyte. Raises `PromptError` for no name."""
    return PromptRewriter(source)


def _conversation(tokenizer: Any, prompt: str) -> str:
    """The task and the words, as the model's own template has them; plainly where it has none."""
    if tokenizer.chat_template:
        messages = [{"role": "system", "content": _TASK}, {"role": "user", "content": prompt}]
        text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return text
    return f"{_TASK}\n\nWords: {prompt}\nSentence:"


def _tidied(text: str) -> str:
    """The first paragraph, without what no prompt may hold. Raises `PromptError` if nothing is left."""
    first = next((line for line in _LABEL.sub("", text.strip()).splitlines() if line.strip()), "")
    kept = "".join(
        c for c in first if unicodedata.category(c) not in ("Cc", "Cs", "Co", "Cn") and c not in "{}|\ufffd"
    )
    found = " ".join(kept.replace("__", " ").split()).strip("\"'“”* ")[:MAX_PROMPT_CHARACTERS]
    if not any(c.isalpha() for c in found):
        raise PromptError("the language model gave no words; try again with other words, or another model")
    return found


def _lost(before: str, after: str) -> list[str]:
    """Claims of the words that the answer does not make any more."""
    kept = {(claim.name, claim.value.lower()) for claim in attributes.find(after)}
    return [
        f"{claim.name}: {claim.value}"
        for claim in attributes.find(emphasis.plain(before))
        if (claim.name, claim.value.lower()) not in kept
    ]


def propose(source: str, prompt: str) -> Proposal:
    """`PromptRewriter.rewrite` by the model of that name; raises as it does."""
    try:
        return rewriter_of(source).rewrite(prompt)
    except StudioError:
        rewriter_of.cache_clear()  # its weights may be there the next time
        raise
