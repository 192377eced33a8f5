"""Latents of an autoencoder: how many pixels one stands for, and their scale for the denoising network.

Pure functions of a VAE's configuration. Nothing else in this project assumes a factor or a scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_SD1_SCALE = 0.18215  # SD 1.x files predate the entry


def factor(config: Mapping[str, Any]) -> int:
    """Pixels of a picture's side per latent: every block of the VAE but the last halves the side."""
    return int(2 ** (len(config["block_out_channels"]) - 1))


def scaling_factor(config: Mapping[str, Any]) -> float:
    """By how much the latents are scaled, besides what the VAE may state per channel."""
    return float(config.get("scaling_factor", _SD1_SCALE))


def scale(latents: Tensor, config: Mapping[str, Any]) -> Tensor:
    """What the encoder gives -> what the denoising network takes (BCHW)."""
    statistics = _statistics(latents, config)
    if statistics is None:
        return latents * scaling_factor(config)
    mean, deviation = statistics
    return (latents - mean) * scaling_factor(config) / deviation


def scale_deviation(deviation: Tensor, config: Mapping[str, Any]) -> Tensor:
    """`scale` of a standard deviation of latents, which no mean moves (BCHW)."""
    statistics = _statistics(deviation, config)
    return deviation * scaling_factor(config) / (1 if statistics is None else statistics[1])


def unscale(latents: Tensor, config: Mapping[str, Any]) -> Tensor:
    """What the denoising network gives -> what the decoder takes: the inverse of `scale` (BCHW)."""
    statistics = _statistics(latents, config)
    if statistics is None:
        return latents / scaling_factor(config)
    mean, deviation = statistics
    return latents * deviation / scaling_factor(config) + mean


def _statistics(latents: Tensor, config: Mapping[str, Any]) -> tuple[Tensor, Tensor] | None:
    """Mean and deviation per channel, where a VAE states them."""
    mean, deviation = config.get("latents_mean"), config.get("latents_std")
    if mean is None or deviation is None:
        return None
    shape = (1, -1, 1, 1)
    return latents.new_tensor(mean).view(shape), latents.new_tensor(deviation).view(shape)
