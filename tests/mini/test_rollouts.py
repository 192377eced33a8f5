"""The UNet's own way from noise to picture, as it is trained on: states, where they end, and the losses."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from sdxl_lora.mini.denoiser import levels, training_alphas
from sdxl_lora.mini.rollouts import CLEANUP, FIRST, LAST, Rollouts, loss, unevenness
from sdxl_lora.mini.store import LatentBatch, flat_cells

ALPHAS = training_alphas()
ROWS = 6


@dataclass
class CountingStore:
    """Every example that is drawn has latents of the next number, so that one can see which it is."""

    drawn: int = 0

    def draw(self, count: int) -> LatentBatch:
        numbers = torch.arange(self.drawn, self.drawn + count, dtype=torch.float32)
        self.drawn += count
        latents = numbers.view(-1, 1, 1, 1).expand(-1, 4, 8, 8).clone() / 100
        weights = torch.ones(count, 1, 8, 8)
        ids = torch.zeros(count, 77, dtype=torch.long)
        return LatentBatch(latents, weights, weights > 0, ids, ids)


@pytest.fixture
def rollouts() -> Rollouts:
    torch.manual_seed(3)
    return Rollouts(CountingStore(), ALPHAS, ROWS)  # type: ignore[arg-type]


def step(rollouts: Rollouts) -> tuple[Tensor, Tensor, Tensor]:
    """(clean latents, noisy latents, timesteps) of the rollouts, which a faultless UNet then takes a step on."""
    drawn, _, noisy, timesteps = rollouts.batch(0)
    rollouts.advance(drawn.latents)
    return drawn.latents, noisy, timesteps


def test_beside_the_rollouts_there_are_renders_with_any_noise(rollouts: Rollouts) -> None:
    drawn, dropped, noisy, timesteps = rollouts.batch(200)
    assert len(drawn.latents) == len(dropped) == len(noisy) == len(timesteps) == ROWS + 200
    assert timesteps[:ROWS].max() < FIRST[1] < 900 < timesteps[ROWS:].max()


def test_what_a_faultless_network_predicts_leads_along_a_straight_way(rollouts: Rollouts) -> None:
    clean, noisy, timesteps = step(rollouts)
    alpha, sigma = levels(timesteps, ALPHAS)
    noise = (noisy - alpha * clean) / sigma
    for _ in range(3):
        later, noisy, timesteps = step(rollouts)
        alpha, sigma = levels(timesteps, ALPHAS)
        same = (later == clean).flatten(1).all(1) & ((noisy - alpha * clean).abs().flatten(1).amax(1) > 0)
        expected = alpha * clean + sigma * noise
        assert same.any()
        torch.testing.assert_close(noisy[same], expected[same], atol=1e-4, rtol=1e-3)


def test_mistakes_stay_in_what_the_network_sees_next(rollouts: Rollouts) -> None:
    drawn, _, noisy, timesteps = rollouts.batch(0)
    going_on = timesteps > LAST + 200
    rollouts.advance(drawn.latents + 1)
    _, _, following, then = rollouts.batch(0)
    alpha, sigma = levels(timesteps, ALPHAS)
    noise = (noisy - alpha * (drawn.latents + 1)) / sigma
    alpha, sigma = levels(then, ALPHAS)
    expected = alpha * (drawn.latents + 1) + sigma * noise
    assert going_on.any()
    torch.testing.assert_close(following[going_on], expected[going_on], atol=1e-4, rtol=1e-3)


def test_a_rollout_ends_with_one_cleanup_step_without_noise_and_another_example_follows(
    rollouts: Rollouts,
) -> None:
    ways: list[list[tuple[float, int, bool]]] = [[] for _ in range(ROWS)]
    for _ in range(60):
        clean, noisy, timesteps = step(rollouts)
        alpha, _ = levels(timesteps, ALPHAS)
        free = torch.isclose(noisy, alpha * clean, atol=1e-5).flatten(1).all(1)
        for row in range(ROWS):
            ways[row].append((clean[row, 0, 0, 0].item(), int(timesteps[row]), bool(free[row])))
    for way in ways:
        ends = [index for index, (_, _, free) in enumerate(way) if free]
        assert len(ends) >= 2
        for end in ends:
            assert CLEANUP[0] <= way[end][1] < CLEANUP[1]
            assert way[end - 1][0] == way[end][0]  # the same example
        for end in (end for end in ends if end + 1 < len(way)):
            assert way[end + 1][0] != way[end][0]
            assert FIRST[0] <= way[end + 1][1] < FIRST[1]
            assert not way[end + 1][2]


def test_a_loss_is_nothing_only_where_nothing_is_wrong() -> None:
    drawn = CountingStore(drawn=1).draw(2)
    timesteps = torch.tensor([50, 800])
    assert loss(drawn.latents, drawn, timesteps, ALPHAS) == 0
    assert loss(drawn.latents + 0.1, drawn, timesteps, ALPHAS) > 0


def test_with_much_noise_the_loss_is_that_of_v() -> None:
    torch.manual_seed(0)
    drawn = CountingStore(drawn=1).draw(3)
    timesteps = torch.tensor([700, 800, 900])
    alpha, sigma = levels(timesteps, ALPHAS)
    noise, velocity = torch.randn_like(drawn.latents), torch.randn_like(drawn.latents)
    noisy = alpha * drawn.latents + sigma * noise
    found = loss(alpha * noisy - sigma * velocity, drawn, timesteps, ALPHAS)
    expected = (velocity - (alpha * noise - sigma * drawn.latents)).pow(2).mean()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


def test_unevenness_is_of_flat_cells_and_another_shade_is_none() -> None:
    torch.manual_seed(0)
    everywhere = torch.ones(1, 1, 16, 16, dtype=torch.bool)
    left = everywhere.clone()
    left[..., 8:] = False
    noisy = torch.zeros(1, 4, 16, 16)
    noisy[..., 8:] = torch.randn(1, 4, 16, 8)
    assert unevenness(torch.full((1, 4, 16, 16), 0.3), everywhere) == 0
    assert unevenness(noisy, left) == 0
    assert unevenness(noisy, everywhere) > unevenness(noisy / 10, everywhere) > 0


def test_cells_are_flat_where_a_picture_has_hardly_a_gradient() -> None:
    picture = torch.full((1, 32, 32, 3), 128, dtype=torch.uint8)
    picture[:, :, 20:] = 40
    picture[:, :, :8] += torch.arange(8, dtype=torch.uint8)[
        None, None, :, None
    ]  # one step per px: a soft gradient
    flat = flat_cells(picture, 8)
    assert flat.shape == (1, 1, 4, 4)
    assert flat[0, 0].tolist() == [[True, True, False, True]] * 4
