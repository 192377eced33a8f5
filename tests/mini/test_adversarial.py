"""Pictures that a UNet began itself: how their prefixes are drawn, where rollouts of them begin, and where they end."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sdxl_lora.mini import adversarial
from sdxl_lora.mini.adversarial import USES, AdversarialRollouts, Prefixes, anchor_loss, head_start
from sdxl_lora.mini.denoiser import levels, training_alphas
from sdxl_lora.mini.latent_critic import unet_adversary
from sdxl_lora.mini.rollouts import CLEANUP
from sdxl_lora.mini.sheets import GUIDANCE
from sdxl_lora.mini.store import LatentBatch

ALPHAS = training_alphas()
SIDE = 8
SIZES = torch.zeros(1, 6)


def examples(count: int) -> LatentBatch:
    """Latents of renders, all 1."""
    latents = torch.ones(count, 4, SIDE, SIDE)
    ids = torch.arange(count)[:, None].expand(count, 77).clone()
    return LatentBatch(latents, latents[:, :1], latents[:, :1] > 0, ids, ids)


class Store:
    def draw(self, count: int) -> LatentBatch:
        return examples(count)


class Encoder:
    """Captions as numbers: the hidden states of caption i are all i + 1."""

    def encode(self, ids: Tensor, ids_2: Tensor, dropped: Tensor) -> tuple[Tensor, Tensor]:
        hidden = (ids[:, :1, None].float() + 1).expand(-1, 77, 8)
        return hidden, hidden[:, 0]


class Knowing(nn.Module):
    """A UNet that always predicts latents of a tenth of its caption's number; none without a caption."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, noisy: Tensor, timesteps: Tensor, hidden: Tensor, **_: Any) -> tuple[Tensor]:
        self.seen.append(int(timesteps[0]))
        alpha, sigma = levels(timesteps, ALPHAS)
        aim = hidden[:, :1, :1, None].expand_as(noisy) / 10
        return ((alpha * noisy - aim) / sigma,)


@pytest.fixture
def prefixes() -> Prefixes:
    torch.manual_seed(0)
    return Prefixes.drawn(Knowing(), Encoder(), examples(6), ALPHAS, SIZES.expand(6, -1))  # type: ignore[arg-type]


def test_prefixes_are_drawn_as_for_a_user_with_guidance_at_first_and_a_cleanup_step_at_the_end() -> None:
    unet = Knowing()
    drawn = Prefixes.drawn(unet, Encoder(), examples(6), ALPHAS, SIZES.expand(6, -1))  # type: ignore[arg-type]
    assert unet.seen[:4] == [999, 999, 949, 949]  # with and without the caption
    assert unet.seen[-9:] == [399, 349, 299, 249, 199, 149, 99, 49, 99]
    assert drawn.timestep == 399
    wanted = (torch.arange(6) + 1).view(-1, 1, 1, 1) / 10
    torch.testing.assert_close(drawn.examples.latents, wanted.expand(6, 4, SIDE, SIDE), atol=1e-4, rtol=1e-3)


def test_guidance_is_in_the_prefix_and_no_longer_in_what_is_finished(prefixes: Prefixes) -> None:
    alpha, sigma = levels(torch.full((6,), 399), ALPHAS)
    guided = GUIDANCE * (torch.arange(6) + 1).view(-1, 1, 1, 1) / 10
    noise = (prefixes.noisy - alpha * guided) / sigma
    assert noise.std() == pytest.approx(1, abs=0.3)
    assert noise.mean().abs() < 0.2


def test_a_rollout_goes_from_its_prefix_to_a_cleanup_step_and_another_prefix_follows(
    prefixes: Prefixes,
) -> None:
    rollouts = AdversarialRollouts(Store(), ALPHAS, 3, prefixes)  # type: ignore[arg-type]
    ways: list[list[tuple[int, float]]] = [[], [], []]
    for _ in range(40):
        drawn, dropped, _, timesteps = rollouts.batch(0)
        assert not dropped.any()
        for row, way in enumerate(ways):
            way.append((int(timesteps[row]), drawn.latents[row].mean().item()))
        rollouts.advance(drawn.latents)
    for way in ways:
        begins = [i for i, (timestep, _) in enumerate(way) if timestep == 399]
        assert len(begins) >= 3
        for begin in begins[:-1]:
            steps = [timestep for timestep, _ in way[begin : begin + 9]]
            assert steps[:8] == [399, 349, 299, 249, 199, 149, 99, 49]
            assert CLEANUP[0] <= steps[8] < CLEANUP[1]
            assert len({latents for _, latents in way[begin : begin + 9]}) == 1  # of one picture


def test_prefixes_are_worn_once_each_was_used_so_often(prefixes: Prefixes) -> None:
    rollouts = AdversarialRollouts(Store(), ALPHAS, 6, prefixes)  # type: ignore[arg-type]
    worn = []
    for _ in range(10 * USES):
        rollouts.advance(torch.zeros(6, 4, SIDE, SIDE))
        worn.append(rollouts.worn)
        if rollouts.worn:
            rollouts.exchange(prefixes)
    assert worn.index(True) >= 8 * USES  # a rollout has eight steps and a cleanup step
    assert worn.count(True) == 1


def test_what_is_the_same_coarsely_is_anchored_and_another_colour_is_not() -> None:
    torch.manual_seed(0)
    finished = torch.randn(2, 4, SIDE, SIDE)
    fine = torch.tensor([1.0, -1.0]).repeat(SIDE // 2)
    assert anchor_loss(finished + fine, finished) < 1e-9
    assert anchor_loss(finished + 0.5, finished) > 0.5


def test_the_critic_has_a_start_before_the_unet_listens_to_it(
    prefixes: Prefixes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adversarial, "HEAD_START", 30)
    torch.manual_seed(0)
    adversary = unet_adversary("cpu")
    head_start(adversary, Store(), prefixes)  # type: ignore[arg-type]
    renders, drawn = (
        adversary.critic(torch.ones(1, 4, SIDE, SIDE)),
        adversary.critic(prefixes.examples.latents),
    )
    assert all(render.mean() > ours.mean() for render, ours in zip(renders, drawn, strict=True))
