"""Samplers by name keep the noise schedule of the model."""

import pytest
from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler

from sdxl_lora.errors import UnknownNameError
from sdxl_lora.models import schedulers
from sdxl_lora.request import OWN_SCHEDULER

OWN = EulerDiscreteScheduler(
    beta_schedule="scaled_linear",
    prediction_type="v_prediction",
    timestep_spacing="trailing",
    rescale_betas_zero_snr=True,
)


@pytest.mark.parametrize("name", schedulers.NAMES)
def test_every_sampler_keeps_the_schedule_of_the_model(name: str) -> None:
    made = schedulers.make(name, OWN)
    for setting in ("beta_schedule", "prediction_type", "timestep_spacing", "num_train_timesteps"):
        assert made.config[setting] == OWN.config[setting]


def test_the_models_own_is_a_fresh_one_of_its_kind() -> None:
    made = schedulers.make(OWN_SCHEDULER, OWN)
    assert type(made) is EulerDiscreteScheduler
    assert made is not OWN
    assert dict(made.config) == dict(OWN.config)


def test_settings_of_a_name_are_applied() -> None:
    made = schedulers.make("dpm++ 2m karras", OWN)
    assert isinstance(made, DPMSolverMultistepScheduler)
    assert made.config.use_karras_sigmas


def test_a_misspelt_sampler_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'euler-a'"):
        schedulers.make("euler_a", OWN)
