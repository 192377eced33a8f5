"""Weights and targets by the papers' formulas, written another way."""

from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr

from sdxl_lora.training.batches import Batch, StepRng
from sdxl_lora.training.loss import denoising_loss, draw_noise, draw_timesteps, target_of, weights
from sdxl_lora.training.text import TextCondition

DRAWS = StepRng(seed=1, update=2, step=0, rank=0)


def scheduler(prediction: str = "epsilon") -> DDPMScheduler:
    return DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=prediction
    )


def loss_of(unet, process, data: Batch, **settings) -> torch.Tensor:
    noise, timesteps = draw_noise(data, DRAWS, 0.0), draw_timesteps(data, DRAWS, process)
    return denoising_loss(unet, process, data, noise, timesteps, **settings)


def batch(count: int = 3) -> Batch:
    latents = torch.randn(count, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    return Batch(
        keys=("x",) * count,
        latents=latents,
        condition=TextCondition(torch.zeros(count, 1, 1), None),
        time_ids=None,
        regular=tuple(row == 1 for row in range(count)),
    )


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_min_snr_weights_are_those_of_the_official_script(prediction):
    process, timesteps = scheduler(prediction), torch.tensor([0, 10, 500, 999])
    snr = compute_snr(process, timesteps)
    expected = torch.stack([snr, 5 * torch.ones_like(snr)], dim=1).min(dim=1)[0]
    expected = expected / snr if prediction == "epsilon" else expected / (snr + 1)
    assert torch.allclose(weights(process, timesteps, snr_gamma=5.0), expected)


def test_debiased_weights_are_the_inverse_root_of_the_snr():
    process, timesteps = scheduler(), torch.tensor([300, 999])
    alpha = process.alphas_cumprod[timesteps]
    assert torch.allclose(weights(process, timesteps, debiased=True), ((1 - alpha) / alpha).sqrt())


def test_without_weighting_every_picture_counts_one():
    assert weights(scheduler(), torch.tensor([1, 999])).tolist() == [1, 1]


def test_the_velocity_is_the_rotation_of_signal_and_noise():
    process, timesteps = scheduler("v_prediction"), torch.tensor([700, 20, 3])
    clean, noise = batch().latents, torch.ones(3, 4, 8, 8)
    alpha = process.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
    expected = alpha.sqrt() * noise - (1 - alpha).sqrt() * clean
    assert torch.allclose(target_of(process, clean, noise, timesteps), expected, atol=1e-6)
    assert target_of(scheduler(), clean, noise, timesteps) is noise


def test_a_model_that_knows_the_answer_has_no_loss():
    process, data = scheduler(), batch()
    noise = draw_noise(data, DRAWS, 0.0)
    losses = loss_of(lambda *a, **k: (noise,), process, data)
    assert losses.tolist() == [0, 0, 0]


def test_losses_are_means_per_picture():
    process, data = scheduler(), batch()
    noise = draw_noise(data, DRAWS, 0.0)
    losses = loss_of(lambda *a, **k: (torch.zeros_like(noise),), process, data)
    assert torch.allclose(losses, noise.square().mean(dim=(1, 2, 3)))


def test_the_offset_is_one_number_per_picture_and_channel_and_moves_nothing_else():
    plain, offset = draw_noise(batch(), DRAWS, 0.0), draw_noise(batch(), DRAWS, 0.1)
    difference = offset - plain
    assert torch.allclose(difference, difference[..., :1, :1].expand_as(difference), atol=1e-6)
    assert 0.02 < difference.std() < 0.4


def test_timesteps_are_spread_over_the_whole_process():
    found = draw_timesteps(batch(2000), DRAWS, scheduler())
    assert found.min() < 20
    assert found.max() > 980
    assert found.float().mean() == pytest.approx(499.5, abs=25)


def test_draws_depend_on_seed_update_step_and_process():
    rng = [
        StepRng(seed=s, update=u, step=p, rank=r)
        for s, u, p, r in [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)]
    ]
    noises = {draw_noise(batch(1), d, 0.0).sum().item() for d in rng}
    assert len(noises) == 5
    assert torch.equal(draw_noise(batch(1), rng[0], 0.0), draw_noise(batch(1), rng[0], 0.0))


class Doubling:
    """Stands for a UNet: what it answers is twice its input, three times inside `off`, when it is the frozen one."""

    factor = 2.0

    def __call__(self, noisy, timesteps, embeddings, **rest):
        return (noisy * self.factor,)

    @contextmanager
    def off(self):
        self.factor = 3.0
        yield
        self.factor = 2.0


def test_regularisation_pictures_count_their_weight_and_others_one():
    plain = loss_of(Doubling(), scheduler(), batch())
    halved = loss_of(Doubling(), scheduler(), batch(), prior_weight=0.5)
    assert torch.allclose(halved, plain * torch.tensor([1.0, 0.5, 1.0]))


def test_the_target_of_regularisation_pictures_is_the_frozen_models_answer():
    unet, given = Doubling(), batch()
    losses = loss_of(unet, scheduler(), given, without_lora=unet.off)
    steps = draw_timesteps(given, DRAWS, scheduler())
    noisy = scheduler().add_noise(given.latents, draw_noise(given, DRAWS, 0.0), steps)
    assert losses[1] == pytest.approx(float((noisy[1] ** 2).mean()), rel=1e-5)  # (3 - 2)^2 of what came in
    plain = loss_of(Doubling(), scheduler(), given)
    assert torch.equal(losses[[0, 2]], plain[[0, 2]])


def test_latents_count_as_the_masks_weights_say():
    process, made = scheduler(), batch()
    answer = torch.zeros(3, 4, 8, 8)

    def unet(*_, **__):
        return (answer,)

    weights = torch.zeros(3, 1, 8, 8)
    weights[..., :4] = 2  # mean 1: the left half alone
    masked = loss_of(unet, process, replace(made, weights=weights))
    noise = draw_noise(made, DRAWS, 0.0)
    assert torch.allclose(masked, noise[..., :4].pow(2).mean(dim=(1, 2, 3)))
    same = loss_of(unet, process, replace(made, weights=torch.ones(3, 1, 8, 8)))
    assert torch.allclose(same, loss_of(unet, process, made))
