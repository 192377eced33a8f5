"""The learning rates are diffusers', counted in updates."""

import pytest
import torch
from diffusers.optimization import get_scheduler

from sdxl_lora.training.config import SCHEDULES
from sdxl_lora.training.schedule import factor


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("warmup", [0, 5])
def test_every_schedule_is_diffusers(name, warmup):
    base, total = 0.01, 20
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=base)
    theirs = get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=total)
    for update in range(total):
        ours = factor(name, update, warmup=warmup, total=total, base=base)
        assert ours * base == pytest.approx(theirs.get_last_lr()[0], abs=1e-9), update
        optimizer.step()
        theirs.step()
