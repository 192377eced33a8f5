"""More words by a language model on this machine: a proposal, never sent anywhere. A tiny random model stands in."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from sdxl_lora.errors import ModelUnavailableError, PromptError
from sdxl_lora.prompts import rewriting
from sdxl_lora.prompts.rewriting import PromptRewriter, _tidied, propose


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers over bytes, randomly initialised, with a chat template."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("language")
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: index for index, symbol in enumerate([*symbols, "<end>"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", model_max_length=1024)
    fast.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    fast.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=2048,
        eos_token_id=vocabulary["<end>"],
        bos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def test_a_model_on_this_machine_writes_and_the_same_words_give_the_same_answer(
    language_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def tidied(text: str) -> str:
        seen.append(text)
        return "a navy cap of wool"

    monkeypatch.setattr(rewriting, "_tidied", tidied)
    rewriter = PromptRewriter(str(language_model))
    found = [rewriter.rewrite("a (navy:1.4) cap, white background") for _ in range(2)]
    assert seen[0] == seen[1]
    assert len(seen[0]) > 0
    assert found[0].prompt == "a navy cap of wool"
    assert found[0].lost == ("background: white background",)


def test_the_task_and_the_plain_words_are_what_the_model_reads(language_model: Path) -> None:
    _, tokenizer = PromptRewriter(str(language_model))._load()
    text = rewriting._conversation(tokenizer, "a navy cap")
    assert text.startswith("system: You write prompts")
    assert text.endswith("user: a navy cap\n")
    tokenizer.chat_template = None
    assert rewriting._conversation(tokenizer, "a navy cap").endswith("Words: a navy cap\nSentence:")


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ('Prompt: "A navy cap, wool.\x07"\n\nI hope this helps', "A navy cap, wool."),
        ("\n\n**a {red|navy} __colours__ cap**", "a rednavy colours cap"),
        ("紺色の帽子", "紺色の帽子"),
    ],
)
def test_an_answer_is_reduced_to_what_a_prompt_may_hold(answer: str, kept: str) -> None:
    assert _tidied(answer) == kept


@pytest.mark.parametrize("answer", ["", "\n", "…!?", "\ufffd\x00"])
def test_an_answer_without_words_is_said_so(answer: str) -> None:
    with pytest.raises(PromptError, match="gave no words"):
        _tidied(answer)


@pytest.mark.parametrize("source", ["nowhere/at-all", "/nowhere", "not a name!"])
def test_a_model_that_is_not_here_is_one_line_and_nothing_is_fetched(source: str) -> None:
    with pytest.raises(ModelUnavailableError, match="is not here or not whole; run `hf download") as error:
        propose(source, "a cap")
    assert "\n" not in str(error.value)


def test_it_is_off_until_a_model_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SDXL_LORA_ENRICH", raising=False)
    assert rewriting.chosen() == ""
    with pytest.raises(PromptError, match="name a small instruct model"):
        propose(" ", "a cap")


def test_an_empty_prompt_is_not_sent(language_model: Path) -> None:
    with pytest.raises(PromptError, match="the prompt is empty"):
        propose(str(language_model), "  ")
