"""What a run will need, before its weights are loaded: memory, disk, time.

The UNet is built without storage (torch's meta device) and run once, with the LoRA on it, forwards and backwards:
counting what autograd keeps gives the activations, counting matrix products and convolutions gives the arithmetic.
Attention counts as its fused kernel, which keeps no scores. Time is that arithmetic over the rate this machine reaches
on one large matrix product. All are lower bounds; `--compile` recomputes some of the activations and may need less.
"""

import time
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from sdxl_lora.models.int8 import quantise_layers
from sdxl_lora.training.adapter import Adapter
from sdxl_lora.training.components import lora_settings, pictures_at_once
from sdxl_lora.training.fitting import OPTIMIZER_BYTES, FusedAttention
from sdxl_lora.training.setup import Setup

_ENCODER_TENSORS = (
    3  # of the VAE's first block at once: what comes in, what goes through, what is being written
)
_BENCHMARK_SIDE = {"cpu": 1024, "cuda": 8192, "mps": 4096}


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Bytes and seconds; lower bounds."""

    weights: int  # frozen UNet, in the precision of the run
    trained: int  # LoRA, gradients, optimizer
    activations: int  # kept for the backward pass, per process
    caching: int  # in memory while the caches are filled, before the UNet is there
    cache: int  # on disk
    flops: float  # per picture on average, forward and backward, and the frozen model's answers
    seconds: float  # all updates, with every step at the machine's measured rate
    trained_parameters: int

    @property
    def training(self) -> int:
        return self.weights + self.trained + self.activations

    @property
    def memory(self) -> int:
        """The peak."""
        return max(self.training, self.caching)


def estimate(setup: Setup) -> Estimate:
    """Estimates a run."""
    unet, adapter = _meta_unet(setup)
    batch = min(setup.config.train_batch_size, setup.data_index.trained)
    kept, forward, flops = _one_step(setup, unet, batch)
    trained = sum(parameter.numel() for parameter in adapter.parameters())
    frozen = sum(p.numel() * p.element_size() for p in unet.parameters() if not p.requires_grad)
    asked = _share_of_regular(setup) if setup.config.prior_prediction else 0.0  # of the frozen model, forward
    per_picture = (flops + asked * forward) / batch
    pictures = setup.total * setup.config.gradient_accumulation_steps * batch
    return Estimate(
        weights=frozen,
        trained=trained * OPTIMIZER_BYTES,
        activations=kept,
        caching=_caching_bytes(setup),
        cache=_cache_bytes(setup),
        flops=per_picture,
        seconds=pictures * per_picture / machine_rate(setup.accelerator.device, setup.dtype),
        trained_parameters=trained,
    )


def _share_of_regular(setup: Setup) -> float:
    """Regularisation pictures among all; every picture is in an epoch once."""
    return 1 - setup.data_index.num_instance_images / setup.data_index.trained


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
    with torch.device("meta"):
        unet: Any = setup.base.empty_unet().to(setup.dtype)
        if setup.config.base_precision == "int8":
            quantise_layers(unet)
        # DoRA's magnitudes need real weights, and are few
        settings = replace(lora_settings(setup), dora=False)
        adapter = Adapter({"unet": unet}, settings, 0, setup.compute)
    if setup.config.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    return unet.train(), adapter


def _one_step(setup: Setup, unet: Any, batch: int) -> tuple[int, float, float]:
    """(bytes kept for the backward pass, operations of the forward pass, of both) of one batch."""
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
    unet.set_attn_processor(FusedAttention())
    with counter:
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            found = unet(
                empty(batch, setup.base.latent_channels, side, side),
                empty(batch, dtype=torch.int64),
                empty(batch, tokens, width),
                added_cond_kwargs=added,
                return_dict=False,
            )[0]
        forward = float(counter.get_total_flops())
        found.sum().backward()
    return sum(kept.values()), forward, float(counter.get_total_flops())


def _caching_bytes(setup: Setup) -> int:
    """What the VAE needs at least, or the text encoders where they are larger."""
    base, config = setup.base, setup.config
    needed = [0]
    if config.text_cached:
        needed.append(_parameters(*base.empty_text_encoders()) * setup.dtype.itemsize)
    if not config.no_latent_cache:
        vae = base.empty_vae()
        pixels = pictures_at_once(setup.accelerator.device, setup.resolution) * setup.resolution**2
        values = _parameters(vae) + _ENCODER_TENSORS * pixels * int(vae.config.block_out_channels[0])
        needed.append(values * base.vae_dtype(setup.dtype).itemsize)
    return max(needed)


def _parameters(*models: Any) -> int:
    return sum(parameter.numel() for model in models for parameter in model.parameters())


def _cache_bytes(setup: Setup) -> int:
    data_index, base = setup.data_index, setup.base
    latents = 0
    if not setup.config.no_latent_cache:
        for row in range(len(data_index)):
            height, width = data_index.buckets[data_index.groups[row]]
            different = {data_index.placement(row, variant) for variant in range(data_index.variants)}
            latents += len(different) * height * width // base.vae_factor**2
        latents *= base.latent_channels * 2 * 4  # mean and deviation in fp32
    text = 0
    if setup.config.text_cached:
        tokens, width, pooled = base.text_shape()
        text = (len(data_index.captions) + 1) * (tokens * width + pooled) * setup.dtype.itemsize
    return latents + text
