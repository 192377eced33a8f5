"""What the UNet is conditioned on, and what a left-out caption is."""

import pytest
import torch

from sdxl_lora.training import base_model
from sdxl_lora.training.batches import CachedText, LiveText
from sdxl_lora.training.text import TextEncoding, first_end, token_count, token_ids
from tests import tiny


def encoding_of(folder):
    base = base_model.describe("tiny", folder)
    parts = base.tokenizers(), base.text_encoders(torch.float32)
    return base, TextEncoding(base.architecture, *parts, torch.device("cpu"))


@pytest.fixture
def sdxl(tiny_sdxl):
    return encoding_of(tiny_sdxl)


@pytest.fixture
def sd(tiny_sd):
    return encoding_of(tiny_sd)


@torch.no_grad()
def test_sdxl_reads_what_its_own_pipeline_reads(sdxl):
    pipeline = tiny.sdxl_pipeline()
    expected, _, pooled, _ = pipeline.encode_prompt("a top, Halden", do_classifier_free_guidance=False)
    found = sdxl[1].encode(["a top, Halden"])
    assert torch.allclose(found.embeddings, expected, atol=1e-6)
    assert torch.allclose(found.pooled, pooled, atol=1e-6)


@torch.no_grad()
def test_sd_reads_what_its_own_pipeline_reads(sd):
    pipeline = tiny.sd_pipeline()
    expected, _ = pipeline.encode_prompt("a top", "cpu", 1, do_classifier_free_guidance=False)
    found = sd[1].encode(["a top"])
    assert torch.allclose(found.embeddings, expected, atol=1e-6)
    assert found.pooled is None


def test_the_first_end_of_text_counts_where_padding_repeats_it():
    assert first_end(torch.tensor([[5, 1, 9, 9], [5, 9, 0, 0]]), 9).tolist() == [2, 1]


def test_long_captions_are_cut_and_keep_their_end():
    tokenizer = tiny.tokenizer()
    ids = token_ids(tokenizer, ["x" * 200])
    assert ids.shape == (1, 77)
    assert ids[0, -1] == tokenizer.eos_token_id
    assert token_count(tokenizer, "x" * 200) == 202


@torch.no_grad()
def test_a_left_out_caption_is_zeros_for_sdxl_and_empty_for_sd(sdxl, sd):
    left_out = LiveText(sdxl[1]).encode([None, "a"])
    assert left_out.embeddings[0].abs().sum() == 0
    assert left_out.pooled[0].abs().sum() == 0
    assert left_out.embeddings[1].abs().sum() > 0
    assert torch.equal(LiveText(sd[1]).encode([None]).embeddings, sd[1].encode([""]).embeddings)
    assert sdxl[1].unconditional(2).embeddings.abs().sum() == 0
    assert torch.equal(sd[1].unconditional(1).embeddings, sd[1].encode([""]).embeddings)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["sdxl", "sd"])
def test_the_cache_gives_back_what_was_encoded(kind, request, tmp_path):
    base, encoding = request.getfixturevalue(kind)
    captions = ["a", "b", "c"]
    cache = CachedText(captions, tmp_path, "key", base.text_shape(), torch.float32)
    assert list(cache.fill(encoding, 2)) == [(2, 4), (4, 4)]
    wanted: list[str | None] = ["c", None, "a"]
    found, expected = cache.encode(wanted), LiveText(encoding).encode(wanted)
    assert torch.allclose(found.embeddings, expected.embeddings, atol=1e-6)
    assert (found.pooled is None) == (expected.pooled is None)
    if found.pooled is not None:
        assert torch.allclose(found.pooled, expected.pooled, atol=1e-6)
