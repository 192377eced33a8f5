"""Long prompts are read to the end, and emphasis moves embeddings by its weight and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sdxl_lora.generation import PictureDone, generate
from sdxl_lora.generation.embeddings import embed
from sdxl_lora.models import long_prompts
from sdxl_lora.models.loading import LoadedModel, ModelConfig, load
from sdxl_lora.request import ResolvedRequest


@pytest.fixture(params=["sdxl", "sd"])
def either(request: pytest.FixtureRequest, tiny_sdxl: Path, tiny_sd: Path) -> LoadedModel:
    folder = tiny_sdxl if request.param == "sdxl" else tiny_sd
    return load(ModelConfig(model=str(folder), precision="fp32"))


@pytest.mark.parametrize("negative", ["", "blurry"])
def test_a_short_prompt_is_encoded_as_the_pipeline_does_it(either: LoadedModel, negative: str) -> None:
    with either.use() as engine, torch.no_grad():
        pipeline = engine.pipeline
        ours = long_prompts.encode(pipeline, "a navy jacket", negative, guided=True)
        theirs = pipeline.encode_prompt(
            "a navy jacket",
            device=pipeline.device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=True,
            negative_prompt=negative or None,
        )
    for own, stock in zip(ours, theirs, strict=False):  # SD has no pooled ones
        assert stock is not None
        torch.testing.assert_close(own, stock)


def test_what_stands_beyond_the_limit_still_counts(either: LoadedModel) -> None:
    with either.use():
        one, other = (embed(either, "x" * 80 + word, "blurry", guided=True) for word in ("navy", "teal"))
    assert one["prompt_embeds"].shape[1] == one["negative_prompt_embeds"].shape[1] == 2 * 77
    assert torch.equal(one["prompt_embeds"][:, :77], other["prompt_embeds"][:, :77])
    assert not torch.equal(one["prompt_embeds"][:, 77:], other["prompt_embeds"][:, 77:])


def test_a_long_negative_prompt_makes_the_prompt_as_long(either: LoadedModel) -> None:
    with either.use():
        found = embed(either, "a cap", "x" * 200, guided=True)
    assert found["prompt_embeds"].shape == found["negative_prompt_embeds"].shape
    assert found["prompt_embeds"].shape[1] == 3 * 77


def test_a_weight_of_one_changes_nothing_and_others_move_only_their_words(either: LoadedModel) -> None:
    with either.use():
        plain, one, loud = (
            embed(either, prompt, "", guided=False)["prompt_embeds"]
            for prompt in ("a navy cap", "a (navy:1) cap", "a (navy:1.5) cap")
        )
        empty = embed(either, " ", "", guided=False)["prompt_embeds"]
    torch.testing.assert_close(plain, one)
    changed = (plain - loud).abs().amax(dim=-1)[0].nonzero().flatten().tolist()
    assert changed == [2, 3, 4, 5]  # the start mark, "a", then four bytes
    torch.testing.assert_close(loud[:, 2:6], empty[:, 2:6] + 1.5 * (plain - empty)[:, 2:6])


def test_brackets_without_a_number_are_characters(either: LoadedModel) -> None:
    assert not long_prompts.needed(either.engine.pipeline, "a (navy) cap [red]", "")
    assert long_prompts.count(either.engine.pipeline, "a(b)") == 4


@pytest.mark.parametrize("prompt", ["jacket " * 40, "a (navy:1.4) cap"])
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_such_prompts_are_drawn(
    either: LoadedModel, request_: ResolvedRequest, prompt: str, guidance: float
) -> None:
    request = replace(
        request_,
        model=either.config.model,
        model_sha256=either.config.model_sha256,
        prompt=prompt,
        guidance=guidance,
        steps=2,
    )
    events = list(generate(either, request))
    assert isinstance(events[-1], PictureDone)
