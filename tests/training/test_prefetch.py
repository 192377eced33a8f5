"""Inputs that a thread makes ahead of time are those that are made when they are needed."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from diffusers import DDPMScheduler

from sdxl_lora.errors import StorageError
from sdxl_lora.training import components, prefetch, setup


def loaded(config):
    prepared = setup.prepare(config, lambda text: None)
    parts = next(item for item in components.load(prepared) if isinstance(item, components.Components))
    return prepared, parts


def on_another_device(prepared):
    """Its batches are made on the CPU and then moved."""
    return replace(prepared, accelerator=SimpleNamespace(device=torch.device("meta"), process_index=0))


def made(prepared, builder, start: int = 0):
    return [
        (update.index, [inputs.tensors() for inputs in steps])
        for update, steps in prefetch.of_updates(prepared, builder, DDPMScheduler(), start)
    ]


def test_a_thread_makes_the_same_inputs_one_update_ahead(configure, monkeypatch):
    prepared, parts = loaded(configure(gradient_accumulation_steps=2, noise_offset=0.1))
    plain = made(prepared, parts.builder)
    moved = []
    monkeypatch.setattr(prefetch.StepInputs, "to", lambda inputs, device: moved.append(device.type) or inputs)
    ahead = made(on_another_device(prepared), parts.builder)
    assert set(moved) == {"meta"}
    assert [index for index, _ in ahead] == [index for index, _ in plain] == [0, 1, 2, 3]
    for (_, steps), (_, others) in zip(plain, ahead, strict=True):
        for tensors, same in zip(steps, others, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(tensors, same, strict=True))


def test_what_goes_wrong_in_the_thread_is_raised(configure, monkeypatch):
    prepared, parts = loaded(configure())

    def broken(rows, rng):
        raise StorageError("record 3 of the cache is damaged")

    monkeypatch.setattr(parts.builder, "batch", broken)
    with pytest.raises(StorageError, match="record 3"):
        made(on_another_device(prepared), parts.builder)
