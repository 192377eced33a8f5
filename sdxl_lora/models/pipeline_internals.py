"""What diffusers' pipelines do not promise, and this project relies on: all of it is in here.

What is set in callbacks is set as diffusers' own guide "Pipeline callbacks" does it, for want of public names.
`tests/test_private_names.py` runs each on real pipelines, so that an upgrade which takes one away fails there and not
in a picture.
"""

import copy
from typing import Any

import torch
from diffusers import DiffusionPipeline, SchedulerMixin


def copy_of(pipeline: DiffusionPipeline, scheduler: SchedulerMixin) -> DiffusionPipeline:
    """A pipeline with the same weights, but its own sampler and state of a call, so that both can draw at once."""
    other = copy.copy(pipeline)
    other.scheduler = scheduler
    return other


def replace_network(pipeline: DiffusionPipeline, network: Any) -> None:
    """Lets a copied pipeline draw with another network than its UNet, past the registry of components, which takes only
    classes it knows.
    """
    vars(pipeline)["unet"] = network


def network_with(network: torch.nn.Module, **parts: torch.nn.Module | None) -> Any:
    """A shallow copy of a network, with its weights and hooks, in which some parts are others."""
    other = copy.copy(network)
    vars(other)["_modules"] = {**network._modules, **parts}
    return other


def mirror(network: torch.nn.Module) -> Any:
    """A copy of a network and of all modules in it that shares their weights and hooks; what is set on one, as its
    compiled call, is not set on the other.
    """
    parts = {name: part and mirror(part) for name, part in network._modules.items()}
    return network_with(network, **parts)


def mirror_with_config(network: torch.nn.Module) -> Any:
    """A `mirror` whose configuration can be changed without the network's: loading an IP-Adapter writes into it."""
    other = mirror(network)
    other._internal_dict = copy.copy(network.config)
    return other


def execution_device(pipeline: DiffusionPipeline) -> torch.device:
    """Where a pipeline computes, also while its weights wait elsewhere."""
    device: torch.device = pipeline._execution_device
    return device


def stop(running: DiffusionPipeline) -> None:
    """Inside a call's callback: the remaining steps are skipped, and the call returns the latents as they are."""
    running._interrupt = True


def set_guidance_scale(running: DiffusionPipeline, scale: float) -> None:
    """Inside a call's callback: guidance of the remaining steps; 1 = none, for which the call's tensors are halved."""
    running._guidance_scale = scale


def callback_tensors(pipeline: DiffusionPipeline) -> list[str]:
    """The tensors that a call's callback may ask for and replace."""
    return list(pipeline._callback_tensor_inputs)
