"""The length of a prompt is known before the model is."""

from pathlib import Path

import pytest

from sdxl_lora.generation import TokenCount, count_tokens, tokens
from sdxl_lora.models.loading import ModelConfig, load


@pytest.mark.parametrize("prompt", ["a navy cap", "a (navy:1.4) cap " * 20, "紺色 🧥", "a " * 74, "a " * 75])
def test_it_counts_as_the_loaded_model_does(prompt: str) -> None:
    assert tokens.count("mini", prompt) == count_tokens(load(ModelConfig(model="mini")), prompt)


def test_of_a_prompt_with_choices_the_longest_counts() -> None:
    assert tokens.count("mini", "a {red|burgundy} cap") == tokens.count("mini", "a burgundy cap")


@pytest.mark.parametrize(
    ("model", "prompt"),
    [("sdxl", "a cap"), ("minni", "a cap"), ("mini", "a {cap"), ("nowhere/at-all", "a cap")],
)
def test_where_nobody_can_say_there_is_no_number(model: str, prompt: str) -> None:
    assert tokens.count(model, prompt) is None


def test_a_model_with_one_text_encoder_has_one_tokenizer(tiny_sd: Path) -> None:
    assert tokens.count(str(tiny_sd), "ab") == TokenCount(tokens=2, limit=75)


def test_it_is_said_with_the_marks_and_chunks_are_announced() -> None:
    assert tokens.in_words(TokenCount(tokens=50, limit=75)) == "52 of 77 tokens"
    assert tokens.in_words(TokenCount(tokens=75, limit=75)) == "77 of 77 tokens"
    assert tokens.in_words(TokenCount(tokens=76, limit=75)).startswith(
        "76 tokens, sent in 2 chunks of up to 77"
    )
