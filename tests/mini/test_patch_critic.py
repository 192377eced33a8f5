"""The patch critic learns to tell, leaves a decoder alone at first, and then pushes it no harder than it may."""

import torch
from torch import nn

from sdxl_lora.mini.patch_critic import ADVERSARIAL_SHARE, HEAD_START, decoder_adversary


def stripes(count: int) -> torch.Tensor:
    """Sharp stripes, (N, 3, 32, 32) in -1..1."""
    row = torch.tensor([1.0, 1, -1, -1]).repeat(8)
    return row.expand(count, 3, 32, 32).contiguous()


def blurred(pixels: torch.Tensor) -> torch.Tensor:
    return nn.functional.avg_pool2d(pixels, 3, stride=1, padding=1)


def test_it_learns_to_tell_sharp_pictures_from_blurred_ones() -> None:
    torch.manual_seed(0)
    adversary = decoder_adversary("cpu")
    losses = [adversary.learn(stripes(4), blurred(stripes(4))) for _ in range(40)]
    assert losses[-1] < 0.5 < losses[0]


def test_it_says_nothing_while_it_is_new_and_then_weighs_its_gradient_against_the_reconstructions() -> None:
    torch.manual_seed(0)
    decoder = nn.Conv2d(3, 3, 1)
    adversary = decoder_adversary("cpu")
    decoded = decoder(blurred(stripes(4)))
    reconstruction = (decoded - stripes(4)).abs().mean()
    assert adversary.loss(decoded, reconstruction, decoder.weight) == 0
    adversary.steps = HEAD_START
    loss = adversary.loss(decoded, reconstruction, decoder.weight)
    ours, theirs = (
        torch.autograd.grad(part, decoder.weight, retain_graph=True)[0].norm()
        for part in (loss, reconstruction)
    )
    assert torch.isclose(ours, ADVERSARIAL_SHARE * theirs, rtol=0.05)
