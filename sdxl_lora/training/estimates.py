"""What a run will need, before its weights are loaded: memory, disk, time.

The UNet is built without storage (torch's meta device) and run once, with the LoRA on it: counting what
autograd keeps gives the activations, counting matrix products and convolutions gives the arithmetic. Time
is that arithmetic over the rate this machine reaches on one large matrix product, so it is a lower bound.
"""

import time
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from sdxl_lora.training.adapter import Adapter, LoraSettings
from sdxl_lora.training.int8 import quantise_transformers
from sdxl_lora.training.setup import Setup

_OPTIMIZER_BYTES = 16  # per trained parameter: weight, gradient and two moments in fp32
_BACKWARD = 1.0  # forwards' worth of arithmetic in a backward through frozen weights
_BENCHMARK_SIDE = {"cpu": 1024, "cuda": 8192, "mps": 4096}


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Bytes and seconds; lower bounds."""

    weights: int  # frozen UNet, in the precision of the run
    trained: int  # LoRA, gradients, optimizer
    activations: int  # kept for the backward pass, per process
    cache: int  # on disk
    flops: float  # per picture on average, forward and backward, and the frozen model's answers
    seconds: float  # all updates, with every step at the machine's measured rate
    trained_parameters: int

    @property
    def memory(self) -> int:
        return self.weights + self.trained + self.activations


def estimate(setup: Setup) -> Estimate:
    """Estimates a run."""
    unet, adapter = _meta_unet(setup)
    batch = min(setup.config.train_batch_size, len(setup.survey))
    kept, flops = _one_step(setup, unet, batch)
    trained = sum(parameter.numel() for parameter in adapter.parameters())
    frozen = sum(p.numel() * p.element_size() for p in unet.parameters() if not p.requires_grad)
    repeated = 1.0 if setup.config.gradient_checkpointing else 0.0  # the forward is done twice
    asked = _share_of_regular(setup) if setup.config.prior_prediction else 0.0  # of the frozen model, forward
    per_picture = flops / batch * (1 + _BACKWARD + repeated + asked)
    pictures = setup.total * setup.config.gradient_accumulation_steps * batch
    return Estimate(
        weights=frozen,
        trained=trained * _OPTIMIZER_BYTES,
        activations=kept,
        cache=_cache_bytes(setup),
        flops=per_picture,
        seconds=pictures * per_picture / machine_rate(setup.accelerator.device, setup.dtype),
        trained_parameters=trained,
    )


def _share_of_regular(setup: Setup) -> float:
    """Regularisation pictures among all; every picture is in an epoch once."""
    return 1 - setup.survey.own / len(setup.survey)


def machine_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating point operations per second of one large matrix product here, the best of three."""
    side = _BENCHMARK_SIDE.get(device.type, 1024)
    a = torch.ones(side, side, device=device, dtype=dtype)
    best = 0.0
    for _ in range(3):
        began = time.perf_counter()
        float((a @ a)[0, 0])  # reading one number waits for the device
        best = max(best, 2 * side**3 / (time.perf_counter() - began))
    return best


def _meta_unet(setup: Setup) -> tuple[Any, Adapter]:
    config = UNet2DConditionModel.load_config(setup.base.folder / "unet")
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(config).to(setup.dtype)
        if setup.config.base_precision == "int8":
            quantise_transformers(unet)
        settings = LoraSettings(
            rank=setup.config.rank,
            alpha=setup.config.alpha,
            dora=False,  # its magnitudes need real weights, and are few
            target=setup.config.lora_target,
        )
        adapter = Adapter({"unet": unet}, settings, 0)
    if setup.config.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    return unet.train(), adapter


def _one_step(setup: Setup, unet: Any, batch: int) -> tuple[int, float]:
    """(bytes kept for the backward pass, operations of the forward pass) of one batch."""
    tokens, width, pooled = setup.base.text_shape()
    side = setup.resolution // setup.base.vae_factor
    kept: dict[int, int] = {}
    parameters = {id(parameter) for parameter in unet.parameters()}
    alive: list[Tensor] = []  # so that no id is used twice

    def count(tensor: Tensor) -> Tensor:
        base = tensor._base if tensor._base is not None else tensor
        if id(base) not in parameters and id(base) not in kept:
            kept[id(base)] = prod(base.shape) * base.dtype.itemsize
            alive.append(base)
        return tensor

    def empty(*shape: int, dtype: torch.dtype = setup.dtype) -> Tensor:
        return torch.zeros(*shape, dtype=dtype, device="meta")

    added = None
    if setup.base.architecture == "sdxl":
        added = {"text_embeds": empty(batch, pooled), "time_ids": empty(batch, 6, dtype=torch.float32)}
    counter = FlopCounterMode(display=False)
    with counter, torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        unet(
            empty(batch, setup.base.latent_channels, side, side),
            empty(batch, dtype=torch.int64),
            empty(batch, tokens, width),
            added_cond_kwargs=added,
        )
    return sum(kept.values()), float(counter.get_total_flops())


def _cache_bytes(setup: Setup) -> int:
    survey, base = setup.survey, setup.base
    latents = 0
    if not setup.config.no_latent_cache:
        for row in range(len(survey)):
            height, width = survey.buckets[survey.groups[row]]
            different = {survey.placement(row, variant) for variant in range(survey.variants)}
            latents += len(different) * height * width // base.vae_factor**2
        latents *= base.latent_channels * 2 * 4  # mean and deviation in fp32
    text = 0
    if not (setup.config.no_text_cache or setup.config.train_text_encoder):
        tokens, width, pooled = base.text_shape()
        text = (len(survey.captions) + 1) * (tokens * width + pooled) * setup.dtype.itemsize
    return latents + text
