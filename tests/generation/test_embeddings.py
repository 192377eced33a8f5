"""Prompts are encoded once, as the stock pipeline would, and long ones are drawn without a fuss."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sdxl_lora.generation import count_tokens, generate
from sdxl_lora.generation.embeddings import embed
from sdxl_lora.models import identity
from sdxl_lora.models.loading import LoadedModel, ModelConfig, load
from sdxl_lora.request import LoraSpec, ResolvedRequest
from tests import tiny


@pytest.fixture
def encodings(model: LoadedModel) -> Iterator[list[int]]:
    """Grows by one with every run of the first text encoder."""
    model.base.cache.clear()
    runs: list[int] = []
    hook = model.engine.pipeline.text_encoder.register_forward_hook(lambda *_: runs.append(1))
    yield runs
    hook.remove()


def test_the_same_prompt_is_encoded_once(
    model: LoadedModel, request_: ResolvedRequest, encodings: list[int]
) -> None:
    for seed in (1, 2):
        list(generate(model, replace(request_, seed=seed, count=2)))
    assert len(encodings) == 1


def test_another_prompt_or_negative_prompt_is_encoded(
    model: LoadedModel, request_: ResolvedRequest, encodings: list[int]
) -> None:
    for change in ({}, {"prompt": "a hat"}, {"negative_prompt": "blurry"}):
        list(generate(model, replace(request_, **change)))  # type: ignore[arg-type]
    assert len(encodings) == 1 + 1 + 2  # a negative prompt is encoded as well


def test_embeddings_of_a_lora_are_its_own(
    model: LoadedModel, request_: ResolvedRequest, tmp_path: Path, encodings: list[int]
) -> None:
    spec = LoraSpec(path=str(tiny.save_lora(tmp_path / "brand.safetensors")))
    branded = replace(request_, loras=identity.pinned([spec]))
    for request in (request_, branded, request_, branded):
        list(generate(load(ModelConfig.of(request)), request))
    assert len(encodings) == 2


def test_memory_of_prompts_is_bounded(model: LoadedModel) -> None:
    with model.use():
        for index in range(70):
            embed(model, f"a jacket {index}", "", guided=False)
    assert len(model.base.cache["embeddings"]) == 64


def test_an_empty_negative_prompt_is_zeros_where_the_model_says_so(model: LoadedModel) -> None:
    with model.use():
        embeddings = embed(model, "a jacket", "", guided=True)
    assert model.engine.pipeline.config.force_zeros_for_empty_prompt
    assert not embeddings["negative_prompt_embeds"].any()
    assert embeddings["prompt_embeds"].any()


def test_tokens_are_counted_without_the_marks_at_both_ends(model: LoadedModel) -> None:
    count = count_tokens(model, "abc de")  # the tiny tokenizer knows single bytes only
    assert (count.tokens, count.limit, count.chunks) == (5, 75, 1)
    assert count_tokens(model, "x" * 100).chunks == 2
    assert count_tokens(model, "(abc:1.3) de").tokens == 5


@pytest.mark.parametrize("prompt", ["jacket " * 500, "夹克 🧥 " * 100, "jacket\n\twith logo"])
def test_long_and_foreign_prompts_are_drawn_without_a_warning(
    prompt: str, model: LoadedModel, request_: ResolvedRequest, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("diffusers", "transformers"):
        logging.getLogger(name).addHandler(caplog.handler)
    events = list(generate(model, replace(request_, prompt=prompt, negative_prompt=prompt)))
    count_tokens(model, prompt)
    for name in ("diffusers", "transformers"):
        logging.getLogger(name).removeHandler(caplog.handler)
    assert type(events[-1]).__name__ == "PictureDone"
    assert caplog.messages == []
