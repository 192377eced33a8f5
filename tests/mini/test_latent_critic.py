"""The critic of latents learns to tell renders from blurred ones, and pushes a UNet no harder than it may."""

import torch
from torch import nn

from sdxl_lora.mini.latent_critic import ADVERSARIAL_SHARE, LatentCritic, unet_adversary


def checks(count: int) -> torch.Tensor:
    """Sharp latents, (N, 4, 16, 16)."""
    cells = torch.arange(16)
    return (2.0 * ((cells[:, None] + cells) % 2) - 1).expand(count, 4, 16, 16).contiguous()


def blurred(latents: torch.Tensor) -> torch.Tensor:
    return nn.functional.avg_pool2d(latents, 3, stride=1, padding=1)


def test_it_says_of_every_second_and_every_fourth_cell_whether_it_is_a_renders() -> None:
    fine, coarse = LatentCritic()(checks(2))
    assert fine.shape == (2, 1, 8, 8)
    assert coarse.shape == (2, 1, 4, 4)


def test_it_learns_to_tell_sharp_latents_from_blurred_ones() -> None:
    torch.manual_seed(0)
    adversary = unet_adversary("cpu")
    losses = [adversary.learn(checks(4), blurred(checks(4))) for _ in range(40)]
    assert losses[-1] < 1 < 3.5 < losses[0]


def test_its_gradient_is_a_share_of_that_of_the_other_losses_and_only_in_what_it_is_asked_about() -> None:
    torch.manual_seed(0)
    adversary = unet_adversary("cpu")
    predicted = blurred(checks(4)).requires_grad_()
    others = (predicted - checks(4)).pow(2).mean()
    loss = adversary.loss(predicted[:2], others, predicted)
    ours, theirs = (torch.autograd.grad(part, predicted, retain_graph=True)[0] for part in (loss, others))
    assert torch.isclose(ours.norm(), ADVERSARIAL_SHARE * theirs.norm(), rtol=0.05)
    assert ours[:2].abs().max() > 0
    assert ours[2:].abs().max() == 0


def test_what_follows_it_becomes_sharper() -> None:
    torch.manual_seed(0)
    adversary = unet_adversary("cpu")
    for _ in range(60):
        adversary.learn(checks(4), blurred(checks(4)))
    drawn = blurred(checks(4)).requires_grad_()
    before = (drawn.detach() - checks(4)).pow(2).mean()
    optimizer = torch.optim.Adam([drawn], lr=0.05)
    for _ in range(20):
        optimizer.zero_grad()
        adversary.loss(drawn, 0.1 * drawn.pow(2).mean(), drawn).backward()
        optimizer.step()
    assert (drawn.detach() - checks(4)).pow(2).mean() < before
