"""How the finished model is stored."""

import random
import zlib

import safetensors.torch
import torch

from sdxl_lora.mini import captions, package
from sdxl_lora.mini.package import round_weights
from sdxl_lora.mini.scene import sample_scene
from sdxl_lora.models.capabilities import read as capabilities_of_files


def test_rounded_weights_are_what_bf16_makes_of_them_and_fp16_holds_them_but_for_the_tiniest() -> None:
    layer = torch.nn.Linear(64, 64)
    as_bf16 = layer.weight.detach().to(torch.bfloat16)
    round_weights(layer)
    assert torch.equal(layer.weight.to(torch.bfloat16), as_bf16)
    assert (layer.weight.half().float() - layer.weight).abs().max() <= 2**-25  # half of fp16's smallest step


def test_rounded_weights_pack_better() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(256, 256)
    packed = []
    for _ in range(2):
        packed.append(len(zlib.compress(safetensors.torch.save({"weight": layer.weight.detach().half()}))))
        round_weights(layer)
    assert packed[1] < 0.9 * packed[0]


def test_the_packaged_model_says_the_words_and_garments_that_it_was_trained_on() -> None:
    found = capabilities_of_files(package.capabilities())
    rng = random.Random(5)
    for _ in range(300):
        shown = sample_scene(rng)
        sentence = captions.caption(shown, rng)
        assert found.unknown_words(sentence) == ()
        assert found.draws(sentence)
    assert found.unknown_words("a retriever") == ("retriever",)
